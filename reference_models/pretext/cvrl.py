"""CVRL: two clips of a video find each other among the clips of all other videos in the batch.

Source: Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021, sections 3.1 to 3.3;
tensorflow/models, official/projects/video_ssl: ops/video_ssl_preprocess_ops.py (`sample_ssl_sequence`),
modeling/video_ssl_model.py, losses/losses.py.

Differs from the source:
- the interval comes from the inverse of its distribution; the source bisects to the same whole number;
- videos shorter than a clip are left out and counted; the source wraps around;
- negatives and batch statistics are those of the batch in one process; the source joins its replicas' batches.
How the benchmark paper ran CVRL, and with what batch, it does not say.

Shapes: B videos, N = 2 rows, V = 2 B views, C T H W a clip, D of an embedding.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from reference_models.pretext.momentum import embed
from reference_models.pretext.trunk import width_of


@dataclass(frozen=True)
class InstanceContrast:
    """Settings of the task, with the values of the paper."""

    hidden: int = 2048
    """Width of the head's hidden layers."""

    hidden_layers: int = 3
    dim: int = 128
    """Of the embeddings."""

    temperature: float = 0.1

    @property
    def words(self) -> str:
        """For cards."""
        return "contrast of two clips"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Views against views."""
        return "contrastive"

    @property
    def clips_per_video(self) -> int:
        """Both views."""
        return 2

    @property
    def draws(self) -> tuple[int, ...]:
        """Every view for itself."""
        return (0, 1)

    @property
    def chance(self) -> Mapping[str, float]:
        """Of `ahead`; that of `accuracy` is one over the other views of a batch, 1 / (2 B - 1)."""
        return {"ahead": 0.5}

    def span(self, clip: ClipSpec) -> int:
        """A clip."""
        return clip.span

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """Any backbone will do."""
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """Two clips, the nearer the likelier, in random order."""
        places = num_frames - clip.span + 1
        interval = interval_at(rng.random(), places)
        first = int(rng.integers(places - interval))
        starts_N = rng.permutation([first, first + interval])
        return starts_N[:, None] + np.arange(clip.num_frames, dtype=np.int64) * clip.stride

    def make_example(self, places_NT: NDArray[np.int64], _rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clips as they are."""
        return {"clips": places_NT}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """Hidden layers with batch normalisation, then a linear one."""
        widths = [width_of(trunk), *[self.hidden] * self.hidden_layers]
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], self.dim))

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """NT-Xent; 2 log(2 B - 1) is chance.

        Raises:
            ValueError: If the batch is one video: it has no negative.
        """
        first, second = batch["clips"].unbind(1)
        if len(first) < 2:
            raise ValueError("A batch of one video has nothing to be told from. Take batches of at least 2 videos.")
        views_VD = functional.normalize(embed(trunk, head, torch.cat([first, second])), dim=1)
        return nt_xent(views_VD, self.temperature)


def interval_at(share: float, places: int) -> int:
    """The interval below which this share of the distribution lies, rounded down to frames.

    CVRL's equation for a density that falls evenly with the interval: F(k) = 2 k / M - k^2 / M^2, M the number of places at
    which a clip can begin. So P(k) = (2 (M - k) - 1) / M^2 for k = 0 .. M - 1.
    """
    return int(places * (1 - math.sqrt(1 - share)))


def nt_xent(views_VD: Tensor, temperature: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Every view must find the other one of its video among all views of the batch.

    The source's sum of two cross-entropies, one for each half of the views, each against the 2 B - 1 other views.

    Args:
        views_VD: Unit vectors: the first view of every video, then the second in the same order.
        temperature: Divides the cosines.

    Returns:
        Loss; `accuracy`, how often the other view is the nearest of all; and `ahead`, the share of the other videos' views
        that are farther than it, a tie being one half.
    """
    num_videos = len(views_VD) // 2
    with torch.autocast(views_VD.device.type, enabled=False):
        similarity_VV = (views_VD @ views_VD.T / temperature).fill_diagonal_(-math.inf)
    other_V = torch.arange(2 * num_videos, device=views_VD.device).roll(num_videos)
    found = similarity_VV.detach()
    above_VV = torch.sign(found.gather(1, other_V[:, None]) - found) / 2 + 0.5  # 1 for a view itself, at minus infinity
    return 2 * functional.cross_entropy(similarity_VV, other_V), {
        "accuracy": (found.argmax(1) == other_V).float().mean(),
        "ahead": ((above_VV.sum(1) - 1.5) / (2 * num_videos - 2)).mean(),
    }
