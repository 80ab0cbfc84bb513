"""Rotation: turn a clip by quarters, ask by how many.

Source: Jing et al., "Self-Supervised Spatiotemporal Feature Learning via Video Rotation Prediction" (3DRotNet), 2018;
LongLong-Jing/3DRotNet at 32dcfcf (its code was read, not copied: it carries no licence). All rotations of a clip are in
the batch, so a step costs as many clips as there are rotations.

Levels of the paper's Table 13: two, three or four rotations. Which angles the first two have is not printed; the paper's
teaser draws 90 degrees clockwise as the second, 270 as the third and 180 as the last, and so they are read here: {0, 90},
{0, 90, 270}, all four (`LEVELS`).

Differs from the source:
- the features are batch-normalised, without affine, before the head (see vcop.py for the reason);
- with fewer than four rotations the last layer is as wide as there are rotations.

Shapes: B videos, T frames, H W rows and columns, K rotations.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from bench.video.sampling import random_start
from reference_models.pretext.trunk import width_of

LEVELS: dict[int, tuple[int, ...]] = {2: (0, 3), 3: (0, 3, 1), 4: (0, 1, 2, 3)}
"""Counter-clockwise quarter turns by the number of rotations: 90 degrees clockwise is three of them."""


@dataclass(frozen=True)
class Rotation:
    """Settings of the task, with the values of the source."""

    quarter_turns: tuple[int, ...] = LEVELS[4]
    """Counter-clockwise, as `numpy.rot90` counts; the label is the place in this list."""

    hidden: int = 64
    """Width of the head's hidden layer."""

    @property
    def words(self) -> str:
        """For cards."""
        return "rotation prediction"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Nothing is contrasted."""
        return "non-contrastive"

    @property
    def clips_per_video(self) -> int:
        """One clip in all its rotations."""
        return len(self.quarter_turns)

    @property
    def draws(self) -> tuple[int, ...]:
        """One: the clip is augmented, then turned. Mirrored after turning, a clip would tell the wrong angle."""
        return (0,)

    @property
    def chance(self) -> Mapping[str, float]:
        """One rotation of all."""
        return {"accuracy": 1 / len(self.quarter_turns)}

    def span(self, clip: ClipSpec) -> int:
        """A clip."""
        return clip.span

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """Any backbone will do."""
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """One clip from a random place."""
        return random_start(num_frames, clip, rng)[None]

    def make_example(self, places_NT: NDArray[np.int64], _rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clip, upright: it is turned where it lies on the device."""
        return {"clips": places_NT}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """Two layers, as in the source."""
        width = width_of(trunk)
        layers = (nn.Linear(width, self.hidden), nn.ReLU(), nn.Linear(self.hidden, len(self.quarter_turns)))
        return nn.Sequential(nn.BatchNorm1d(width, affine=False), *layers)

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over all rotations of all clips; log K is chance."""
        clips_BCTHW = batch["clips"][:, 0]
        turned = torch.cat([torch.rot90(clips_BCTHW, turns, (3, 4)) for turns in self.quarter_turns])
        labels = torch.arange(len(self.quarter_turns), device=turned.device).repeat_interleave(len(clips_BCTHW))
        logits = head(trunk(turned).float())
        right = (logits.detach().argmax(1) == labels).float().mean()
        return functional.cross_entropy(logits, labels), {"accuracy": right}
