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

    def span(self, clip: ClipSpec) -> int:
        """A clip."""
        return clip.span

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """Clips from random places."""
        return np.stack([random_start(num_frames, clip, rng) for _ in range(self.clips_per_video)])

    def make_example(self, clips_NTHWC: NDArray[np.uint8], _rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clips as they are; the label is added where they are read."""
        return {"clips": clips_NTHWC}

    def build_head(self, feature_dim: int) -> nn.Module:
        """Batch normalisation without affine, as in finetuning, and one linear layer."""
        return nn.Sequential(nn.BatchNorm1d(feature_dim, affine=False), nn.Linear(feature_dim, self.num_classes))

    def loss(self, backbone: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over the clips; log K is chance."""
        clips_BNCTHW = batch["clips"]
        labels = batch["labels"].repeat_interleave(clips_BNCTHW.shape[1])
        logits = head(backbone(clips_BNCTHW.flatten(0, 1)).float())
        right = (logits.detach().argmax(1) == labels).float().mean()
        return functional.cross_entropy(logits, labels), {"accuracy": right}
