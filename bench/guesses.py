"""What a model says of the test videos, before anyone looks at their labels.

A stage returns guesses; `bench.scoring` joins them with the labels. So no stage ever holds a test label, a score is a pure function of
stored guesses, and a new score of an old result needs no weights.

Shapes: N videos, K classes or neighbours.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.schema import CLEAN, Condition, StageName


@dataclass(frozen=True)
class Guesses:
    """Labels for each test video, best first, by one model under one condition."""

    stage: StageName
    dataset: str
    video_ids: tuple[str, ...]
    ranking_NK: NDArray[np.int16]
    """Class labels, best guess first; for retrieval the labels of the nearest training videos, nearest first."""

    model: str = ""
    condition: Condition = CLEAN
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ranking_NK.ndim != 2 or len(self.video_ids) != len(self.ranking_NK):
            raise ValueError(f"{len(self.video_ids)} videos but a ranking of shape {self.ranking_NK.shape}")


@dataclass(frozen=True)
class Grams:
    """Minibatch Gram matrices of named layers, in float32: all that CKA needs.

    Two sets of the same videos in the same batches can be compared, whatever models they come from.
    """

    dataset: str
    model: str
    """`pretrained` or `finetuned`."""

    video_ids: tuple[str, ...]
    """In the order of the batches."""

    layers: tuple[str, ...]
    """In execution order; the last is the pooled feature."""

    grams_LBNN: NDArray[np.float32]
    """[layers, batches, n, n]; the last batch is left out where it is smaller."""


@dataclass(frozen=True)
class StageOutput:
    """What a stage returns."""

    guesses: tuple[Guesses, ...] = ()
    grams: tuple[Grams, ...] = ()
    facts: dict[str, float | int | str] = field(default_factory=dict)
    """What was chosen and found on the way, by `<dataset>.<word>`."""

    remarks: tuple[str, ...] = ()
    """Sentences for the reader of the result."""


def rank_labels(logits_NK: NDArray[np.floating]) -> NDArray[np.int16]:
    """Classes by falling logit, ties by class number.

    Raises:
        ValueError: If a logit is not finite.
    """
    if not np.isfinite(logits_NK).all():
        raise ValueError("The model's output holds NaN or infinity. Nothing is scored from it.")
    return np.argsort(-logits_NK, axis=1, kind="stable").astype(np.int16)
