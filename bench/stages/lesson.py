"""What a network learns from, step by step, and the one way from an untrained network to a cached fit.

Read by finetuning and by distillation: they differ in the clips that they show, in what stands beside a clip, and in
the loss.

Shapes: B clips, T frames, H W rows and columns.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.cache import Arrays, Key
from bench.names import generator
from bench.stages.case import Case
from bench.stages.classifier import (
    ByDepth,
    FinetunedModel,
    changed,
    epochs_of,
    fill,
    kept,
    plan_of,
    shuffled,
    stacked,
    weights_of,
)
from bench.suites.protocol import TrainingCard
from bench.training import Batch, Loss, MakeBatch, train

MILESTONE_EPOCHS = 10
"""Every so many epochs, but for the last, the weights are kept for the scorer: see `bench.stages.selection`."""

Labelled = tuple[str, str, int]
"""Split, video id, label."""


class Look(NamedTuple):
    """A clip to learn from, and what stands beside it."""

    clip_THWC: NDArray[np.uint8]
    beside: Arrays


@dataclass(frozen=True)
class Lesson:
    """Which clips are learnt from in which step.

    Epochs follow each other without a seam: a batch that an epoch leaves unfilled is filled from the next, so every batch is full.
    """

    name: str
    """Of the stage: begins the names of everything drawn."""

    seed: int
    card: TrainingCard
    epochs: int
    videos: tuple[Labelled, ...]
    look: Callable[[int, np.random.Generator], Look]
    """From the position of a video and a generator of its own to this epoch's clip of it."""

    keeps_milestones: bool = False

    @property
    def steps(self) -> int:
        """Until every video was seen once an epoch."""
        return math.ceil(self.epochs * len(self.videos) / self.card.batch_size)

    @property
    def milestones(self) -> dict[int, int]:
        """By number of steps the epochs that lie behind them, where these are a multiple of ten and not all."""
        epochs = range(MILESTONE_EPOCHS, self.epochs if self.keeps_milestones else 0, MILESTONE_EPOCHS)
        return {math.ceil(epoch * len(self.videos) / self.card.batch_size): epoch for epoch in epochs}

    @property
    def batch(self) -> MakeBatch:
        """From step to batch: uint8 clips, labels, brightness and contrast, and what stands beside the clips."""
        order, size, count = shuffled(self.name, self.seed), self.card.batch_size, len(self.videos)

        def make(step: int) -> Batch:
            positions = order(step, size, count)
            examples = []
            for position, epoch in zip(positions, epochs_of(step, size, count), strict=True):
                _, video_id, label = self.videos[position]
                rng = generator(self.name, self.seed, epoch, video_id)
                clip_THWC, beside = self.look(position, rng)
                examples.append({**changed(clip_THWC, self.card, rng), "labels": np.asarray(label), **beside})
            return Batch(tuple(self.videos[position][1] for position in positions), stacked(examples))

        return make


class Learnt(NamedTuple):
    """What is told of a training."""

    final_loss: float
    seconds: float
    """0 where it was cached."""


def learn(
    case: Case, kind: str, key: Key, model: FinetunedModel, prepare: Callable[[], Lesson], loss: Loss, rate: float
) -> Learnt:
    """Train the model, or fill it from the cache; it ends in eval mode on the case's device.

    Args:
        case: Gives cache, device, precision and progress.
        kind: Under which the trained weights are kept, by the key; those at the lesson's milestones beside them.
        key: All that determines the training.
        model: Untrained.
        prepare: Gives the lesson; not asked where the model is in the cache.
        loss: Of a model and a batch.
        rate: Learning rate.
    """
    stored = case.cache.get(kind, key)
    seconds = 0.0
    if stored is None:
        started = time.monotonic()
        lesson = prepare()
        log = train(
            model if lesson.card.layer_decay == 1 else ByDepth(model),
            loss,
            lesson.batch,
            plan_of(model, lesson.card, rate, lesson.steps, case.suite.precision),
            names=(lesson.name, lesson.seed),
            device=case.device,
            report=case.report,
            kept=kept(case, key),
            milestones={
                step: partial(_keep_milestone, case, kind, key, model, epoch)
                for step, epoch in lesson.milestones.items()
            },
        )
        stored = {**weights_of(model), "fact/loss": np.array(log.last("loss"))}
        case.cache.put(kind, key, stored)
        kept(case, key).forget()
        seconds = time.monotonic() - started
    else:
        fill(model, stored)
    model.to(case.device).eval()
    return Learnt(float(stored["fact/loss"].item()), seconds)


def milestone_key(key: Key, epoch: int) -> Key:
    """Names the weights of a training after so many epochs."""
    return {**key, "epoch": epoch}


def taught_videos(case: Case, splits: tuple[str, ...] = ("train", "validation")) -> tuple[Labelled, ...]:
    """Every video that is learnt from, split by split."""
    sets = {"train": case.dataset.train, "validation": case.dataset.validation}
    return tuple(
        (split, video_id, int(label))
        for split in splits
        for video_id, label in zip(sets[split].ids, sets[split].labels, strict=True)
    )


def _keep_milestone(case: Case, kind: str, key: Key, model: FinetunedModel, epoch: int) -> None:
    case.cache.put(f"{kind}-milestone", milestone_key(key, epoch), weights_of(model))
