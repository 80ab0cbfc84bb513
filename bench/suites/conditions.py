"""Noise that a suite does not ask for by itself: the same suite under other conditions, with a robustness hash of its own.

`mini-v1+held` is `mini-v1` with held noise. Every other stage keeps its hash, so features, probe and finetuned models
come from the cache, and what is computed is robustness alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bench.suites.protocol import Suite

FAMILIES = ("gaussian", "impulse", "shot", "speckle")


@dataclass(frozen=True)
class Conditions:
    """Noises that are asked for by name."""

    corruptions: tuple[str, ...]
    words: str


OPTIONAL: Mapping[str, Conditions] = MappingProxyType(
    {
        "imagenet-c": Conditions(
            tuple(f"{family}/imagenet-c@input/v1" for family in FAMILIES),
            "constants of ImageNet-C on the frames that the model sees, after resize and crop: what most image benchmarks mean",
        ),
        "held": Conditions(
            tuple(f"{family}/ucf101-p@source/held/v1" for family in FAMILIES),
            "constants of the suite at the suite's position, but one draw of noise held over the whole video, as a dirty lens is",
        ),
    }
)


def with_conditions(suite: Suite, name: str) -> Suite:
    """The suite with other noise.

    Raises:
        ValueError: If there are no conditions of this name.
    """
    if name not in OPTIONAL:
        raise ValueError(f"There are no conditions {name!r} for {suite.name}. There are: {', '.join(OPTIONAL)}.")
    robustness = suite.robustness.model_copy(update={"corruptions": OPTIONAL[name].corruptions})
    return suite.model_copy(update={"name": f"{suite.name}+{name}", "robustness": robustness})
