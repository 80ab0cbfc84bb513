"""Labels: no pretext at all. The anchor that shows what the labels of the pretraining videos are worth.

Shapes: B videos, N clips of a video, T frames, H W rows and columns, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from bench.video.sampling import random_start
from reference_models.pretext.trunk import width_of


@dataclass(frozen=True)
class Labels:
    """Every clip is asked for its video's class."""

    clips_per_video: int = 1
    """From places of their own: as many as the task it is compared with looks at."""

    num_classes: int = 0
    """Told by the videos."""

    @property
    def words(self) -> str:
        """For cards."""
        return "labels"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """None: it is no pretext task."""
        return ""

    @property
    def draws(self) -> tuple[int, ...]:
        """Every clip for itself."""
        return tuple(range(self.clips_per_video))

    @property
    def chance(self) -> Mapping[str, float]:
        """One class of all."""
        return {"accuracy": 1 / self.num_classes} if self.num_classes else {}

    def span(self, clip: ClipSpec) -> int:
        """A clip."""
        return clip.span

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """Any backbone will do."""
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """Clips from random places."""
        return np.stack([random_start(num_frames, clip, rng) for _ in range(self.clips_per_video)])

    def make_example(self, places_NT: NDArray[np.int64], _rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clips as they are; the label is added where they are read."""
        return {"clips": places_NT}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """Batch normalisation without affine, as in finetuning, and one linear layer."""
        width = width_of(trunk)
        return nn.Sequential(nn.BatchNorm1d(width, affine=False), nn.Linear(width, self.num_classes))

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over the clips; log K is chance."""
        clips_BNCTHW = batch["clips"]
        labels = batch["labels"].repeat_interleave(clips_BNCTHW.shape[1])
        logits = head(trunk(clips_BNCTHW.flatten(0, 1)).float())
        right = (logits.detach().argmax(1) == labels).float().mean()
        return functional.cross_entropy(logits, labels), {"accuracy": right}
