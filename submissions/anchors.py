"""The rows that show the scale: random initialisation, and the same architecture trained with labels.

Every architecture has its own. They go through the same queue and the same harness as anyone's checkpoint.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from bench.home import Home
from reference_models.pretrain import pretrain, random_checkpoint
from reference_models.recipes.supervised import mini_supervised
from submissions.queue import Queue
from submissions.schema import Status, Submission

Anchor = Literal["random", "supervised"]
ANCHORS: tuple[Anchor, ...] = ("random", "supervised")

WORDS: dict[str, str] = {"random": "Random initialisation", "supervised": "Supervised"}


def queue_missing(queue: Queue, architecture: str, suite: str, kinds: Sequence[Anchor]) -> list[Submission]:
    """Queue an architecture's anchors where nobody asked for them yet, and those that failed; returns them."""
    added = []
    for kind in kinds:
        request = Submission(name=WORDS[kind], architecture=architecture, suite=suite, anchor=kind)
        entry, new = queue.add(request)
        if entry.status == Status.FAILED:
            queue.move(entry.id, Status.QUEUED)
        if new or entry.status == Status.FAILED:
            added.append(request)
    return added


def make_checkpoint(request: Submission, home: Home, device: str, report: Callable[[str, float], None]) -> Path:
    """Make the checkpoint of an anchor, or find it made; a training that was cut off goes on where it was."""
    folder = home.checkpoints / f"{request.anchor}--{request.architecture}"
    if (folder / "config.json").exists():
        return folder
    if request.anchor == "random":
        return random_checkpoint(request.architecture, seed=0, folder=folder)
    return pretrain(mini_supervised(request.architecture), home=home, folder=folder, device=device, report=report)
