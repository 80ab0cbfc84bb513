"""Training runs, in full.

A recipe is a function that returns its whole setting; a variant calls the first and replaces two fields. The docstring
says what it costs and what came out: a claim that anyone can check.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any, Literal

from bench.schema import ClipSpec, Normalisation, content_hash
from reference_models.backbones import parse
from reference_models.pretext.supervised import Labels
from reference_models.pretext.vcop import ClipOrder
from reference_models.pretrain import Task

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


def mini_vcop() -> Recipe:
    """Clip order prediction, the demo's model.

    Loss: log(6) = 1.79 at the start.
    """
    return Recipe(
        name="mini-vcop",
        title="Clip order (mini)",
        architecture="shufflenet_v1_x0_5",
        task=ClipOrder(num_clips=3, gap=6, dropout=0.0),
        videos="motion",
        clip=MINI_CLIP,
        batch_size=8,
        steps=200,
        learning_rate=3e-3,
        weight_decay=0.05,
        head_rate=0.1,
        warm_up=0.08,
        brightness=0.2,
        contrast=0.2,
        saturation=0.2,
    )


def mini_supervised(architecture: str = "shufflenet_v1_x0_5") -> Recipe:
    """The anchor: labels of the same videos, as many clips and steps.

    Loss: log of the number of classes at the start.
    """
    order = mini_vcop()
    return replace(
        order,
        name="mini-supervised",
        title=f"Supervised ({architecture})",
        architecture=architecture,
        task=Labels(clips_per_video=3),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {"mini-vcop": mini_vcop, "mini-supervised": mini_supervised}
"""By the name that `reelproof pretrain` takes."""


def recipe_named(name: str, architecture: str = "") -> Recipe:
    """The recipe of this name; on another backbone where one is named.

    Raises:
        ValueError: If there is none, naming the nearest.
    """
    if name not in RECIPES:
        close = get_close_matches(name, RECIPES, n=2)
        hint = f"Did you mean {' or '.join(close)}?" if close else f"There is: {', '.join(RECIPES)}."
        raise ValueError(f"There is no recipe {name!r}. {hint}")
    recipe = RECIPES[name]()
    if not architecture or architecture == recipe.architecture:
        return recipe
    parse(architecture)
    return replace(recipe, architecture=architecture, title=f"{recipe.title} on {architecture}")
