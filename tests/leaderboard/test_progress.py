"""The queue as the page shows it."""

from datetime import UTC, datetime, timedelta

import pytest

from bench.activity import Activity
from bench.schema import STAGES
from leaderboard.progress import jobs, seconds_left, works
from submissions.schema import Entry, StageProgress, Status, Submission

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
USUAL = dict.fromkeys(STAGES, 60.0)


def entry(
    number: int, status: Status, *, progress: tuple[StageProgress, ...] = (), note: str = "", beat_s: float = 5
) -> Entry:
    return Entry(
        id=number,
        submission=Submission(name=f"model {number}", architecture="c3d", suite="mini-v1"),
        status=status,
        attempts=1,
        note=note,
        created=NOW,
        changed=NOW,
        result_id=None,
        heartbeat=NOW - timedelta(seconds=beat_s),
        progress=progress,
    )


def step(name: str, state: str, share: float, seconds: float, words: str = "") -> StageProgress:
    return StageProgress.model_validate(
        {"step": name, "state": state, "share": share, "words": words, "seconds": seconds}
    )


def test_what_runs_comes_first_then_what_waits_in_its_order_then_what_is_over_newest_first() -> None:
    entries = [
        entry(1, Status.DONE),
        entry(2, Status.QUEUED),
        entry(3, Status.RUNNING),
        entry(4, Status.QUEUED),
        entry(5, Status.REJECTED, note="No."),
    ]
    assert [job.id for job in jobs(entries, (), NOW)] == [3, 2, 4, 5, 1]
    assert [job.position for job in jobs(entries, (), NOW)] == [None, 1, 2, None, None]


def test_a_running_step_is_told_in_words() -> None:
    running = entry(1, Status.RUNNING, progress=(step("robustness", "running", 0.5, 30, "motion: shot 3"),))
    assert jobs([running], (), NOW)[0].words == "noise sweep: motion: shot 3"


def test_a_worker_that_fell_silent_is_said_to_be_lost() -> None:
    (job,) = jobs([entry(1, Status.RUNNING, beat_s=500)], (), NOW)
    assert job.words == "no sign of life from the worker; attempt 2 of 3 follows"


def test_a_waiting_submission_says_why_it_is_back() -> None:
    (job,) = jobs([entry(1, Status.QUEUED, note="The worker was lost; another attempt follows.")], (), NOW)
    assert job.words == "queued, next. The worker was lost; another attempt follows."


def test_time_left_is_the_pace_of_the_running_step_and_what_the_others_usually_take() -> None:
    progress = [step("linear_probe", "done", 1, 10), step("finetune", "running", 0.5, 100)]
    assert seconds_left(progress, USUAL) == pytest.approx(100 + 4 * 60)


def test_time_left_is_unknown_while_a_stage_was_never_measured() -> None:
    assert seconds_left([step("finetune", "running", 0.5, 100)], {"finetune": 200.0}) is None


def test_steps_stand_in_the_order_of_the_work_and_waiting_ones_tell_what_they_usually_take() -> None:
    progress = (
        step("cka", "waiting", 0, 900),
        step("finetune", "running", 0.5, 100),
        step("linear_probe", "done", 1, 10),
        step("videos", "done", 1, 3),
    )
    (job,) = jobs([entry(1, Status.RUNNING, progress=progress)], (), NOW)
    assert [one.name for one in job.steps][:3] == ["videos", "linear probe", "finetune"]
    assert [one.seconds for one in job.steps if one.name == "layer similarity"] == [None]


def test_judging_is_shown_as_a_submission_and_not_twice() -> None:
    going = [
        Activity("Judging x (c3d)", "cka", 0.2, 0.0, 10.0, 1),
        Activity("Pretraining y", "step 1", 1.7, 0.0, 10.0, 1),
    ]
    assert [(work.title, work.share) for work in works(going, judging=True)] == [("Pretraining y", 1.0)]
    assert len(works(going, judging=False)) == 2
