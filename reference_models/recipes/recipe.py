"""What a training run is, in full.

A recipe is a function that returns one of these; a variant calls the first and replaces two fields. The function's
docstring says what it costs and what came out: a claim that anyone can check.
"""

from dataclasses import dataclass
from typing import Any, Literal

from bench.schema import ClipSpec, Normalisation, content_hash
from reference_models.added import added, settings_of
from reference_models.augmentation import Augmentation
from reference_models.pretext.task import Task
from reference_models.recipes.landing import Landing

MINI_CLIP = ClipSpec(num_frames=16, stride=1, resize=(64, 85), size=56)
"""The clip of mini-v1."""

IMAGENET = Normalisation()
UNIT = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""Pixels from 0 to 1, as VCOP and PRP have them."""

WINDOW = Augmentation()
"""A square from anywhere, its pixels as they are."""

PAPER_AUGMENTATION = Augmentation(rotation=10, flip=0.5, brightness=0.5, contrast=0.5, saturation=0.25, hue=0.5)
"""The paper's list for rotation, clip order and playback rate (supplement 9.3): rotation, resize, crop, colour jitter, flip.
It prints no magnitudes; these stand beside the same list in FingerRec's VTDL, src/data/config.py."""

PAPER_CLIP = ClipSpec()
"""16 frames of 112 x 112, out of 128 x 171 as VCOP and PRP resize. The paper does not print a stride."""

PAPER_VIDEOS = "50,000 videos of Kinetics-400"
"""The paper's default subset: 125 of each class (`reelproof data subset`)."""

PAPER_MILESTONES = (50, 100, 150)
"""Epochs at which the paper looks besides the 200th (its Table 11)."""


def steps_for(epochs: int, batch_size: int, videos: int = 50_000) -> int:
    """Steps in which every one of the videos is seen once an epoch."""
    return epochs * videos // batch_size


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training run, in full."""

    name: str
    title: str
    """Of the checkpoint it makes."""

    architecture: str
    """Name in reference_models.backbones."""

    task: Task
    videos: str
    """Embedded family whose pretraining set is used, `appearance` or `motion`, with `-long` behind it for the set of long
    videos; or in words what videos to bring. Labels are read by the supervised task only."""

    clip: ClipSpec
    normalisation: Normalisation = IMAGENET
    batch_size: int
    """Videos a step."""

    batches: Literal["shuffled", "by_source"] = added("shuffled")
    """Any videos together, or the videos of a source together: hard negatives, for tasks that compare within a batch."""

    accumulate: int = 1
    """Parts in which a batch passes through the network; batch statistics are those of a part."""

    steps: int
    milestones: tuple[int, ...] = ()
    """Steps after which the weights become a checkpoint of their own, beside the last."""

    optimiser: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float
    """Peak, after a linear warm-up; then as the schedule says."""

    schedule: Literal["cosine", "constant", "step"] = "cosine"
    drops: tuple[float, ...] = ()
    """Shares of the steps after which a `step` schedule falls to a tenth."""

    floor: float = 0.0
    """Share of the peak at which the cosine ends."""

    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW."""

    weight_decay: float
    head_rate: float = 1.0
    """Learning rate of the head, as a multiple of the trunk's."""

    warm_up: float = 0.1
    """Share of the steps."""

    clip_gradient: float | None = None
    augmentation: Augmentation = WINDOW
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0
    landing: Landing | None = None
    """Where a run should land; says nothing about the training, so it is no part of the hash."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that the training depends on, as JSON values."""
        plain = {**settings_of(self), "task": {"name": type(self.task).__name__, **settings_of(self.task)}}  # type: ignore[arg-type]
        del plain["landing"]
        plain |= {
            "clip": self.clip.model_dump(mode="json"),
            "normalisation": self.normalisation.model_dump(mode="json"),
        }
        return plain

    @property
    def hash(self) -> str:
        """Two recipes with one hash train alike."""
        return content_hash(self.settings)
