"""What is asked of the service, and what became of it."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from bench.schema import Frozen, Hash, ModelName


class Submission(Frozen):
    """One request to judge one encoder under one suite."""

    name: ModelName
    """Shown on the board."""

    architecture: str
    suite: str
    checkpoint: str = ""
    """Folder of the canonical copy; empty for an anchor, whose checkpoint the worker makes."""

    encoder_hash: Hash | None = None
    """None for an anchor until it is made."""

    anchor: Literal["", "random", "supervised"] = ""
    owner: Annotated[str, Field(max_length=60)] = ""

    @property
    def identity(self) -> str:
        """Two requests with one identity are the same request."""
        return f"{self.suite}:{self.encoder_hash or f'{self.anchor}:{self.architecture}'}"


class Status(StrEnum):
    """Where a submission stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    """Our failure: the last of several attempts broke off."""

    REJECTED = "rejected"
    """The submitter's problem, said in words he can act on."""


NEXT: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.RUNNING, Status.REJECTED}),
    Status.RUNNING: frozenset({Status.DONE, Status.REJECTED, Status.FAILED, Status.QUEUED}),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.DONE: frozenset(),
    Status.REJECTED: frozenset({Status.QUEUED}),
}
"""The legal moves."""


class StageProgress(Frozen):
    """How far one step of a submission's work has come."""

    step: str
    """`videos`, `checkpoint`, or the name of a stage."""

    state: Literal["waiting", "running", "done"]
    share: float
    words: str
    seconds: float
    """Since the step began; its length once it is done."""


class Entry(Frozen):
    """A submission in the queue."""

    id: int
    submission: Submission
    status: Status
    attempts: int
    note: str
    """Why it failed or was rejected, in words."""

    created: AwareDatetime
    changed: AwareDatetime
    result_id: str | None
    heartbeat: AwareDatetime | None
    """Last sign of life of the worker that holds it."""

    progress: tuple[StageProgress, ...] = ()


class Event(Frozen):
    """One line of the ledger. Never changed, never removed."""

    time: AwareDatetime
    event: str
    """`admitted`, `scored`, `verdict`, `failed`, `rejected`."""

    encoder_hash: str
    suite: str
    words: str
    submission_id: int | None = None
    result_id: str | None = None
