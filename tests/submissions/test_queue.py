"""The queue: one holder at a time, nothing lost, nothing twice."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import text

from submissions import queue as queue_module
from submissions.database import connect
from submissions.ledger import Ledger
from submissions.queue import ATTEMPTS, LeaseLostError, Queue
from submissions.schema import NEXT, Status, Submission


@pytest.fixture
def engine(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'new' / 'service.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def queue(engine):
    return Queue(engine)


def request(number: int, **more) -> Submission:
    return Submission(
        name=f"model {number}", architecture="net", suite="mini-v1", encoder_hash=f"{number:064x}", **more
    )


def test_the_oldest_is_claimed_first_and_only_once(queue):
    first, second = queue.add(request(1))[0], queue.add(request(2))[0]
    assert queue.claim("a").id == first.id
    assert queue.claim("b").id == second.id
    assert queue.claim("c") is None


def test_the_same_weights_are_queued_once(queue):
    entry, new = queue.add(request(1))
    again, new_again = queue.add(request(1, owner="somebody else"))
    assert new
    assert not new_again
    assert again == entry


def test_an_anchor_is_known_by_kind_and_architecture(queue):
    anchors = [Submission(name="x", architecture=a, suite="mini-v1", anchor="random") for a in ("net", "net", "other")]
    assert [queue.add(anchor)[1] for anchor in anchors] == [True, False, True]


def test_two_workers_at_once_never_hold_the_same_submission(queue):
    for number in range(40):
        queue.add(request(number))

    def take_all(worker: str) -> list[int]:
        taken = []
        while (entry := queue.claim(worker)) is not None:
            taken.append(entry.id)
        return taken

    with ThreadPoolExecutor(4) as pool:
        lists = list(pool.map(take_all, "abcd"))
    everything = [entry_id for taken in lists for entry_id in taken]
    assert sorted(everything) == sorted(set(everything))
    assert len(everything) == 40


def test_a_lost_worker_gives_its_submission_back_and_can_no_longer_speak_for_it(queue, monkeypatch):
    entry = queue.add(request(1))[0]
    monkeypatch.setattr(queue_module, "LEASE", timedelta(seconds=-1))
    queue.claim("dead")
    taken = queue.claim("alive")
    assert taken.id == entry.id
    assert taken.attempts == 2
    with pytest.raises(LeaseLostError):
        queue.renew(entry.id, "dead")
    with pytest.raises(LeaseLostError):
        queue.move(entry.id, Status.DONE, worker="dead", result_id="r")


def test_a_submission_that_loses_every_worker_fails_with_a_sentence(queue, monkeypatch):
    monkeypatch.setattr(queue_module, "LEASE", timedelta(seconds=-1))
    entry = queue.add(request(1))[0]
    for _ in range(ATTEMPTS):
        assert queue.claim("dead") is not None
    assert queue.claim("alive") is None
    assert queue.entry(entry.id).status == Status.FAILED
    assert "lost" in queue.entry(entry.id).note


def test_giving_back_does_not_count_as_an_attempt(queue):
    entry = queue.add(request(1))[0]
    queue.claim("a")
    queue.release(entry.id, "a")
    assert queue.entry(entry.id).attempts == 0
    assert queue.claim("b").id == entry.id


@pytest.mark.parametrize("start", list(Status))
@pytest.mark.parametrize("to", list(Status))
def test_only_legal_moves_are_made(queue, engine, start, to):
    entry = queue.add(request(1))[0]
    with engine.begin() as db:
        db.execute(text("UPDATE submission SET status = :s"), {"s": start})
    if to in NEXT[start]:
        queue.move(entry.id, to)
        assert queue.entry(entry.id).status == to
    else:
        with pytest.raises(ValueError, match=f"is {start} and cannot become {to}"):
            queue.move(entry.id, to)


def test_progress_is_told_per_step_and_starts_afresh_with_a_new_claim(queue):
    entry = queue.add(request(1))[0]
    queue.claim("a")
    queue.tell(entry.id, "finetune", "running", 0.5, "epoch 3")
    queue.tell(entry.id, "finetune", "running", 0.75, "epoch 4")
    (step,) = queue.entry(entry.id).progress
    assert (step.step, step.share, step.words) == ("finetune", 0.75, "epoch 4")
    queue.release(entry.id, "a")
    assert queue.claim("b").progress == ()


def test_a_queue_survives_its_process(tmp_path):
    url = f"sqlite:///{tmp_path / 'service.sqlite'}"
    one = connect(url)
    Queue(one).add(request(1))
    one.dispose()
    other = connect(url)
    assert Queue(other).claim("a").submission == request(1)
    other.dispose()


def test_the_ledger_keeps_every_line_in_order(engine):
    ledger = Ledger(engine)
    for number in range(3):
        ledger.record("scored", encoder_hash="ab", suite="mini-v1", words=f"line {number}")
    ledger.record("scored", encoder_hash="cd", suite="mini-v1", words="another")
    assert [event.words for event in ledger.events("ab")] == ["line 0", "line 1", "line 2"]
    assert len(ledger.events()) == 4


def test_a_wrong_database_url_is_named():
    with pytest.raises(ValueError, match="'nonsense' is no database URL"):
        connect("nonsense")
