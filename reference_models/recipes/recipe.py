"""What a training run is, in full.

A recipe is a function that returns one of these; a variant calls the first and replaces two fields. The function's
docstring says what it costs and what came out: a claim that anyone can check.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from bench.schema import ClipSpec, Normalisation, content_hash
from reference_models.pretext.task import Task

MINI_CLIP = ClipSpec(num_frames=16, stride=1, resize=(64, 85), size=56)
"""The clip of mini-v1."""

IMAGENET = Normalisation()


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
    """Embedded family whose pretraining set is used; labels are read by the supervised task only."""

    clip: ClipSpec
    normalisation: Normalisation = IMAGENET
    batch_size: int
    """Videos a step."""

    steps: int
    optimiser: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float
    """Peak, after a linear warm-up; then cosine to 0."""

    weight_decay: float
    head_rate: float = 1.0
    """Learning rate of the head, as a multiple of the trunk's."""

    warm_up: float = 0.1
    """Share of the steps."""

    clip_gradient: float | None = None
    brightness: float = 0.0
    """Largest relative change, one draw a clip; so are contrast and saturation."""

    contrast: float = 0.0
    saturation: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """All of it, as JSON values."""
        plain = {**asdict(self), "task": {"name": type(self.task).__name__, **asdict(self.task)}}  # type: ignore[call-overload]
        plain |= {
            "clip": self.clip.model_dump(mode="json"),
            "normalisation": self.normalisation.model_dump(mode="json"),
        }
        return plain

    @property
    def hash(self) -> str:
        """Two recipes with one hash train alike."""
        return content_hash(self.settings)
