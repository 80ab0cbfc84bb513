"""The worker: every submission comes to one end, says which, and no kill loses or doubles a result."""

import os
import signal
import socket
import subprocess
import threading
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from bench.home import Home
from bench.results import StoredResult
from bench.schema import STAGES, Card, Environment, Normalisation, Result
from bench.suites.mini_v1 import MINI_V1
from submissions import worker as worker_module
from submissions.database import connect
from submissions.ledger import Ledger
from submissions.queue import ATTEMPTS, Queue
from submissions.schema import Status, Submission
from submissions.worker import Worker


def hash_of(number):
    return f"{number:064x}"


def card_of(loaded, standing, suite=MINI_V1):
    """What the loaded checkpoint says of itself, as `submissions.evaluate.card_of` would put it."""
    assert suite is MINI_V1
    return Card(
        name=standing.name,
        architecture=loaded.architecture,
        weight_hash=hash_of(loaded.number),
        encoder_hash=hash_of(loaded.number),
        normalisation=Normalisation(),
        feature_dim=8,
        parameters=100,
        anchor=standing.anchor,
        owner=standing.owner,
    )


def result_of(card, suite_hash=MINI_V1.hash, submission_id=None):
    return Result(
        result_id=f"{card.encoder_hash[-4:]}-result",
        card=card,
        suite="mini-v1",
        suite_hash=suite_hash,
        suite_status="draft",
        created=datetime.now(UTC),
        submission_id=submission_id,
        datasets=(),
        stages=(),
        scores=(),
        environment=Environment(python="", platform="", cpu="", threads=1, libraries={}, code_version=""),
        postable=True,
    )


class Bench:
    """Everything slow that a worker calls, in one place: what was judged, and what judging does."""

    def __init__(self, folder):
        self.folder = folder
        self.judged = []
        self.opened = 0
        self.made = []
        self.during = lambda **_: None

    def open_suite(self, suite, home, report):
        self.opened += 1
        report("motion: drawing", 0.5)
        return {}

    def keep(self, folder, home):
        kind, number = folder.name.split("-")
        config = SimpleNamespace(clip=None)
        return SimpleNamespace(architecture=kind, number=int(number), config=config), self.folder / "kept" / folder.name

    def make_checkpoint(self, request, home, device, report):
        self.made.append(f"{request.anchor} {request.architecture}")
        report("training", 0.5)
        return self.folder / f"net-{100 + len(self.made)}"

    def judge(self, kept, suite, videos, home, *, standing, submission_id, device, progress, before_writing):
        self.judged.append(kept.name)
        self.during(progress=progress, kept=kept)
        for stage in STAGES:
            progress(stage, "running", "words", 0.5)
            progress(stage, "done", "", 1.0)
        before_writing()
        loaded, _ = self.keep(kept, home)
        result = result_of(card_of(loaded, standing), submission_id=submission_id)
        return StoredResult(result, home.results / result.result_id)


@pytest.fixture
def bench(tmp_path, monkeypatch):
    bench = Bench(tmp_path)
    for name in ("open_suite", "keep", "make_checkpoint", "judge"):
        monkeypatch.setattr(worker_module, name, getattr(bench, name))
    monkeypatch.setattr(worker_module, "card_of", card_of)
    monkeypatch.setattr(worker_module, "read_results", lambda _folder: [])
    return bench


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("REELPROOF_DATABASE", raising=False)
    return Home(tmp_path / "home")


@pytest.fixture
def engine(home):
    engine = connect(home.database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def queue(engine):
    return Queue(engine)


@pytest.fixture
def work(home, monkeypatch):
    """Make a worker that shares the test's database and closes it afterwards."""
    engines = []

    def connected(url):
        engines.append(connect(url))
        return engines[-1]

    monkeypatch.setattr(worker_module, "connect", connected)
    yield lambda **settings: Worker(home, **settings)
    for one in engines:
        one.dispose()


def submit(queue, number=1, **more):
    values = {"name": f"model {number}", "architecture": "net", "suite": "mini-v1", "owner": "somebody"}
    request = Submission(
        **{**values, "checkpoint": f"/checkpoints/net-{number}", "encoder_hash": hash_of(number), **more}
    )
    return queue.add(request)[0]


def lines(engine):
    return [(event.event, event.submission_id, event.words) for event in Ledger(engine).events()]


# To the end


def test_a_submission_is_judged_and_posted_with_a_line_in_the_ledger(queue, engine, bench, work):
    entry = submit(queue)
    assert work().run(until_idle=True) == 1
    done = queue.entry(entry.id)
    assert (done.status, done.attempts, done.result_id, done.note) == (Status.DONE, 1, "0001-result", "")
    assert done.submission.checkpoint == str(bench.folder / "kept" / "net-1")
    assert lines(engine) == [("scored", entry.id, "model 1: every stage of mini-v1 ran")]
    assert Ledger(engine).events()[0].result_id == "0001-result"
    assert Ledger(engine).events(hash_of(1)) == Ledger(engine).events()


def test_every_step_is_told_and_ends_done(queue, bench, work):
    entry = submit(queue)
    seen = {}
    bench.during = lambda **_: seen.update({step.step: step.state for step in queue.entry(entry.id).progress})
    work().run(until_idle=True)
    assert seen == {"videos": "done", "checkpoint": "done", **dict.fromkeys(STAGES, "waiting")}
    assert {step.step: step.state for step in queue.entry(entry.id).progress} == dict.fromkeys(seen, "done")


def test_the_videos_are_opened_once_for_all_submissions(queue, bench, work):
    submit(queue, 1)
    submit(queue, 2)
    work().run(until_idle=True)
    assert bench.judged == ["net-1", "net-2"]
    assert bench.opened == 1


# Anchors


def test_missing_anchors_are_queued_once_behind_a_visitor_and_none_behind_an_anchor(queue, bench, work):
    submit(queue, 1)
    submit(queue, 2)
    submit(queue, 3, architecture="other")
    worker = work(anchors=("random", "supervised"))
    assert worker.run(until_idle=True) == 7
    asked = [(e.submission.anchor, e.submission.architecture) for e in queue.entries() if e.submission.anchor]
    assert asked == [("random", "net"), ("supervised", "net"), ("random", "other"), ("supervised", "other")]
    assert bench.made == ["random net", "supervised net", "random other", "supervised other"]
    assert {entry.status for entry in queue.entries()} == {Status.DONE}


def test_an_anchor_is_told_whose_weights_it_got(queue, bench, work):
    anchor = submit(queue, anchor="random", checkpoint="", encoder_hash=None)
    assert work(anchors=("random", "supervised")).run(until_idle=True) == 1
    made = queue.entry(anchor.id).submission
    assert made.encoder_hash == hash_of(101)
    assert made.checkpoint == str(bench.folder / "kept" / "net-101")


def test_a_worker_asked_for_no_anchors_queues_none_and_a_later_one_makes_up_for_it(queue, bench, work):
    submit(queue)
    assert work().run(until_idle=True) == 1
    assert work(anchors=("random",)).run(until_idle=True) == 1
    assert [entry.submission.anchor for entry in queue.entries()] == ["", "random"]


def test_no_anchors_follow_a_rejected_submission(queue, bench, work):
    def refuse(**_):
        raise ValueError("no")

    submit(queue)
    bench.during = refuse
    work(anchors=("random",)).run(until_idle=True)
    assert len(queue.entries()) == 1


def test_anchors_that_failed_are_tried_again_by_the_next_worker(queue, bench, work):
    submit(queue)
    bench.during = lambda **_: None
    work(anchors=("random",)).run(until_idle=True)
    anchor = queue.entries()[-1]
    with queue._engine.begin() as db:
        db.exec_driver_sql(f"UPDATE submission SET status = 'failed', attempts = 3 WHERE id = {anchor.id}")
    assert work(anchors=("random",)).run(until_idle=True) == 1
    assert queue.entry(anchor.id).status == Status.DONE


# What goes wrong


def held_by(engine, worker):
    with engine.begin() as db:
        db.exec_driver_sql(
            f"UPDATE submission SET worker = '{worker}', status = 'running', attempts = 1, lease_until = '2999-01-01'"
        )


def test_what_a_killed_worker_of_this_machine_held_is_taken_at_once(queue, engine, bench, work):
    entry = submit(queue)
    gone = subprocess.Popen(["true"])
    gone.wait()
    held_by(engine, f"{socket.gethostname()}:{gone.pid}")
    assert work().run(until_idle=True) == 1
    found = queue.entry(entry.id)
    assert (found.status, found.attempts) == (Status.DONE, 2)


@pytest.mark.parametrize(
    "holder", [f"{socket.gethostname()}:{os.getpid()}", "elsewhere:4711"], ids=["one that lives", "one elsewhere"]
)
def test_a_worker_that_is_to_stop_when_idle_waits_for_what_another_holds(
    queue, engine, bench, work, monkeypatch, holder
):
    entry = submit(queue)
    held_by(engine, holder)
    waited = []

    def wait(_seconds):
        waited.append(queue.entry(entry.id).status)
        if len(waited) == 3:
            queue.move(entry.id, Status.DONE, result_id="0001-result")

    monkeypatch.setattr(worker_module.time, "sleep", wait)
    assert work().run(until_idle=True) == 0
    assert waited == [Status.RUNNING] * 3
    assert bench.judged == []


def test_what_the_submitter_can_mend_is_rejected_with_the_sentence_and_not_tried_again(queue, engine, bench, work):
    def refuse(**_):
        raise ValueError("stem.conv is missing. Save the whole trunk.")

    entry = submit(queue)
    bench.during = refuse
    assert work().run(until_idle=True) == 1
    found = queue.entry(entry.id)
    assert (found.status, found.note) == (Status.REJECTED, "stem.conv is missing. Save the whole trunk.")
    assert lines(engine) == [("rejected", entry.id, "model 1: stem.conv is missing. Save the whole trunk.")]


def test_what_breaks_is_tried_three_times_and_then_failed_and_the_next_one_is_served(queue, engine, bench, work):
    def break_off(*, kept, **_):
        if kept.name == "net-1":
            raise RuntimeError("out of memory")

    broken, good = submit(queue, 1), submit(queue, 2)
    bench.during = break_off
    assert work().run(until_idle=True) == ATTEMPTS + 1
    assert queue.entry(good.id).status == Status.DONE
    found = queue.entry(broken.id)
    assert (found.status, found.attempts) == (Status.FAILED, 3)
    assert found.note == "attempt 3 of 3 broke off: RuntimeError: out of memory"
    about = [(event, words) for event, number, words in lines(engine) if number == broken.id]
    assert [event for event, _ in about] == ["attempt failed", "attempt failed", "failed"]
    assert about[0][1] == "model 1: attempt 1 of 3 broke off: RuntimeError: out of memory"


def test_a_second_attempt_may_succeed(queue, bench, work):
    def break_off_once(**_):
        if len(bench.judged) == 1:
            raise OSError("the disk went away")

    entry = submit(queue)
    bench.during = break_off_once
    work().run(until_idle=True)
    found = queue.entry(entry.id)
    assert (found.status, found.attempts, found.note) == (Status.DONE, 2, "")


@pytest.mark.parametrize("stopped_by", ["Ctrl-C", "SIGTERM"])
def test_a_stopped_worker_gives_its_submission_back_unharmed(queue, engine, bench, work, stopped_by):
    def stop(**_):
        if stopped_by == "SIGTERM":
            signal.raise_signal(signal.SIGTERM)
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGTERM)
    entry = submit(queue)
    bench.during = stop
    with pytest.raises(KeyboardInterrupt):
        work().run(until_idle=True)
    found = queue.entry(entry.id)
    assert (found.status, found.attempts) == (Status.QUEUED, 0)
    assert lines(engine) == []
    assert signal.getsignal(signal.SIGTERM) is before
    bench.during = lambda **_: None
    assert work().run(until_idle=True) == 1
    assert queue.entry(entry.id).status == Status.DONE


class WaitsForTheOtherError(Exception):
    """In the place of sleep."""


@pytest.fixture
def waits(monkeypatch):
    """A worker that is to stop when idle waits for another's submission: told by an exception."""

    def wait(_seconds):
        raise WaitsForTheOtherError

    monkeypatch.setattr(worker_module.time, "sleep", wait)


def hand_to_another(engine):
    """As if the lease had run out and another worker had claimed the submission."""
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE submission SET worker = 'another', attempts = 2")


@pytest.mark.usefixtures("waits")
def test_a_worker_that_lost_its_lease_stops_and_touches_nothing(queue, engine, bench, work, monkeypatch):
    monkeypatch.setattr(worker_module, "HEARTBEAT_S", 0.01)
    entry = submit(queue)

    def lose(*, progress, **_):
        hand_to_another(engine)
        for _ in range(1000):  # until the heart has noticed
            progress("finetune", "running", "on it", 0.5)
            threading.Event().wait(0.01)
        raise AssertionError("the lost worker went on")

    bench.during = lose
    with pytest.raises(WaitsForTheOtherError):
        work().run(until_idle=True)
    found = queue.entry(entry.id)
    assert (found.status, found.attempts, found.result_id) == (Status.RUNNING, 2, None)
    assert lines(engine) == []
    queue.renew(entry.id, "another")


@pytest.mark.usefixtures("waits")
@pytest.mark.parametrize("end", ["done", "rejected", "broken"])
def test_a_lease_lost_at_the_last_moment_posts_nothing_and_the_worker_lives_on(queue, engine, bench, work, end):
    def lose(*, kept, **_):
        if kept.name == "net-1":
            hand_to_another(engine)
            if end != "done":
                raise (ValueError if end == "rejected" else RuntimeError)("the end")

    entry = submit(queue, 1)
    bench.during = lose
    with pytest.raises(WaitsForTheOtherError):
        work().run(until_idle=True)
    assert queue.entry(entry.id).status == Status.RUNNING
    assert lines(engine) == []
    queue.renew(entry.id, "another")


# After a kill


def test_a_result_written_before_the_kill_is_adopted_and_not_computed_again(queue, engine, bench, work, monkeypatch):
    entry = submit(queue)
    loaded = SimpleNamespace(architecture="net", number=1)
    card = card_of(loaded, SimpleNamespace(name="model 1", anchor="", owner="somebody"))
    others = [result_of(card, suite_hash=hash_of(7)), result_of(card.model_copy(update={"owner": "another"}))]
    written = [StoredResult(result, bench.folder) for result in (*others, result_of(card))]
    monkeypatch.setattr(worker_module, "read_results", lambda _folder: written)
    work().run(until_idle=True)
    found = queue.entry(entry.id)
    assert (found.status, found.result_id) == (Status.DONE, "0001-result")
    assert bench.judged == []
    assert [event for event, *_ in lines(engine)] == ["scored"]


def test_a_result_of_another_suite_or_owner_is_not_taken_for_it(queue, bench, work, monkeypatch):
    submit(queue)
    loaded = SimpleNamespace(architecture="net", number=1)
    card = card_of(loaded, SimpleNamespace(name="model 1", anchor="", owner="somebody"))
    others = [result_of(card, suite_hash=hash_of(7)), result_of(card.model_copy(update={"owner": "another"}))]
    monkeypatch.setattr(
        worker_module, "read_results", lambda _folder: [StoredResult(result, bench.folder) for result in others]
    )
    work().run(until_idle=True)
    assert bench.judged == ["net-1"]
