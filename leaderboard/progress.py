"""What goes on now, and how long it will take: the queue as the page shows it.

Times left come from what was measured: the pace of a running step, and what a step took in earlier results of the suite.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from bench.activity import Activity
from bench.results import StoredResult
from bench.schema import STAGES, StageName
from leaderboard.views import Job, Step, Work
from submissions.queue import ATTEMPTS, LEASE
from submissions.schema import Entry, StageProgress, Status

STAGE_WORDS: Mapping[StageName, str] = {
    "linear_probe": "linear probe",
    "finetune": "finetune",
    "retrieval": "retrieval",
    "robustness": "noise sweep",
    "distillation": "distillation",
    "cka": "layer similarity",
}
ORDER = ("checkpoint", "videos", *STAGES)
"""Of the work on a submission."""

JUDGING = "Judging "
"""How the worker's own activity begins."""

EARLY_SHARE = 0.05
"""Before this share of a step its pace says nothing."""


def jobs(entries: Sequence[Entry], results: Sequence[StoredResult], now: datetime) -> tuple[Job, ...]:
    """Every submission, the running ones first, then those that wait in their order, then what was done, newest first."""
    waiting = [entry.id for entry in entries if entry.status == Status.QUEUED]
    running = any(entry.status == Status.RUNNING for entry in entries)
    made = [_job(entry, waiting, running, usual_seconds(results, entry.submission.suite), now) for entry in entries]
    order = {"running": 0, "queued": 1}
    return tuple(sorted(made, key=lambda job: (order.get(job.status, 2), job.id if job.status in order else -job.id)))


def works(activities: Sequence[Activity], *, judging: bool) -> tuple[Work, ...]:
    """What goes on besides the queue.

    Args:
        activities: Everything that goes on.
        judging: Whether a submission is running: the worker's own activity then says the same once more.
    """
    return tuple(
        Work(title=one.title, words=one.words, share=min(max(one.share, 0.0), 1.0), left_s=one.left_s)
        for one in activities
        if not (judging and one.title.startswith(JUDGING))
    )


def usual_seconds(results: Sequence[StoredResult], suite: str) -> dict[str, float]:
    """What each stage takes under a suite: the longest of the last five results, for what came from the cache took none."""
    found: dict[str, list[float]] = {}
    for stored in results:
        if stored.result.suite == suite:
            for stage in stored.result.stages:
                found.setdefault(stage.stage, []).append(stage.seconds)
    return {stage: max(seconds[-5:]) for stage, seconds in found.items()}


def seconds_left(steps: Sequence[StageProgress], usual: Mapping[str, float]) -> float | None:
    """Seconds until the last stage is done; None where some stage was never measured."""
    by_name = {step.step: step for step in steps}
    left = 0.0
    for name in STAGES:
        step = by_name.get(name)
        if step is not None and step.state == "done":
            continue
        share = step.share if step is not None else 0.0
        if step is not None and step.state == "running" and share > EARLY_SHARE:
            left += step.seconds * (1 - share) / share
        elif name in usual:
            left += usual[name] * (1 - share)
        else:
            return None
    return left


def _job(entry: Entry, waiting: Sequence[int], anything_runs: bool, usual: Mapping[str, float], now: datetime) -> Job:
    submission = entry.submission
    left = seconds_left(entry.progress, usual) if entry.status == Status.RUNNING else None
    heartbeat = (now - entry.heartbeat).total_seconds() if entry.heartbeat and entry.status == Status.RUNNING else None
    position = waiting.index(entry.id) + 1 if entry.status == Status.QUEUED else None
    done = sum(step.share for step in entry.progress if step.step in STAGES)
    return Job(
        id=entry.id,
        name=submission.name,
        architecture=submission.architecture,
        anchor=submission.anchor,
        owner=submission.owner,
        suite=submission.suite,
        status=entry.status.value,
        position=position,
        attempt=max(entry.attempts, 1),
        attempts=ATTEMPTS,
        share=done / len(STAGES) if entry.status != Status.DONE else 1.0,
        words=_words(entry, position, anything_runs, heartbeat),
        left_s=left,
        heartbeat_s=heartbeat,
        changed=entry.changed,
        result_id=entry.result_id,
        steps=_steps(entry, usual),
    )


def _words(entry: Entry, position: int | None, anything_runs: bool, heartbeat_s: float | None) -> str:
    if entry.status in (Status.FAILED, Status.REJECTED):
        return entry.note
    if entry.status == Status.DONE:
        return "judged"
    if entry.status == Status.QUEUED:
        place = "queued, next" if position == 1 else f"queued, position {position}"
        again = f". {entry.note}" if entry.note else ""
        return place + (again or ("" if anything_runs else "; it starts when a worker is free"))
    if heartbeat_s is not None and heartbeat_s > LEASE.total_seconds():
        return f"no sign of life from the worker; attempt {min(entry.attempts + 1, ATTEMPTS)} of {ATTEMPTS} follows"
    at_work = [step for step in entry.progress if step.state == "running"]
    if not at_work:
        return "starting"
    words = f": {at_work[-1].words}" if at_work[-1].words else ""
    return step_title(at_work[-1].step) + words


def _steps(entry: Entry, usual: Mapping[str, float]) -> tuple[Step, ...]:
    """Every step, in the order of the work; those that wait say what they usually take."""
    if entry.status != Status.RUNNING:
        return ()
    told = {step.step: step for step in entry.progress}
    unknown = [name for name in told if name not in ORDER]
    steps = []
    for name in (*ORDER, *unknown):
        step = told.get(name)
        if step is not None and step.state != "waiting":
            share = min(max(step.share, 0.0), 1.0)
            steps.append(
                Step(name=step_title(name), words=step.words, state=step.state, share=share, seconds=step.seconds)
            )
        elif step is not None or name in STAGES:
            steps.append(Step(name=step_title(name), words="", state="waiting", share=0.0, seconds=usual.get(name)))
    return tuple(steps)


def step_title(step: str) -> str:
    """A step in words."""
    return next((words for stage, words in STAGE_WORDS.items() if stage == step), step)
