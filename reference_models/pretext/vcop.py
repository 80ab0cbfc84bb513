"""Clip order: cut a video into clips, shuffle them, ask for the order.

Source: Xu et al., "Self-Supervised Spatiotemporal Learning via Video Clip Order Prediction", CVPR 2019;
xudejing/video-clip-order-prediction (its code was read, not copied: it carries no licence).

Differs from the source:
- the features are batch-normalised, without affine, before they are compared: pooled features that are all positive share
  a large mean, and under Adam every step then moves all answers at once;
- videos too short for the clips are left out and counted by the caller; the source works from lists of long ones;
- all chance comes from the generator passed in; the source reseeds the global one.

Shapes: B videos, N clips of a video, P pairs of clips, T frames, H W rows and columns, D features, O orders.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, permutations
from math import factorial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from bench.video.sampling import random_tuple, tuple_span
from reference_models.pretext.trunk import width_of


@dataclass(frozen=True)
class ClipOrder:
    """Settings of the task, with the values of the paper."""

    num_clips: int = 3
    gap: int = 8
    """Frames left out between two clips, so that the join gives nothing away."""

    hidden: int = 512
    """Width of the comparison of two clips."""

    dropout: float = 0.5

    @property
    def words(self) -> str:
        """For cards."""
        return "clip order prediction"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Nothing is contrasted."""
        return "non-contrastive"

    @property
    def clips_per_video(self) -> int:
        """All of the tuple."""
        return self.num_clips

    @property
    def draws(self) -> tuple[int, ...]:
        """Every clip for itself, so that places and colours tell nothing about order."""
        return tuple(range(self.num_clips))

    @property
    def chance(self) -> Mapping[str, float]:
        """One order of all."""
        return {"accuracy": 1 / factorial(self.num_clips)}

    @property
    def orders(self) -> tuple[tuple[int, ...], ...]:
        """Every order the clips can be put in, sorted; the target is an index into this."""
        return tuple(permutations(range(self.num_clips)))

    def span(self, clip: ClipSpec) -> int:
        """From the first frame of the first clip to the last of the last."""
        return tuple_span(clip, self.num_clips, self.gap)

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """Any backbone will do."""
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """Clips that follow each other, in their true order, from a random place."""
        return random_tuple(num_frames, clip, self.num_clips, self.gap, rng)

    def make_example(self, places_NT: NDArray[np.int64], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """Shuffle the clips and remember how: clip `i` of the question is clip `orders[target][i]` of the video."""
        target = int(rng.integers(factorial(self.num_clips)))
        return {"clips": places_NT[list(self.orders[target])], "target": np.asarray(target)}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """Compare the clips two by two, then decide."""
        return PairwiseHead(width_of(trunk), self.num_clips, self.hidden, self.dropout)

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy over the orders; log(num_clips!) is chance."""
        clips_BNCTHW, target_B = batch["clips"], batch["target"]
        features_BND = trunk(clips_BNCTHW.flatten(0, 1)).float().unflatten(0, clips_BNCTHW.shape[:2])
        logits_BO = head(features_BND)
        right = (logits_BO.detach().argmax(1) == target_B).float().mean()
        return functional.cross_entropy(logits_BO, target_B), {"accuracy": right}


class PairwiseHead(nn.Module):
    """Logits over orders from the features of every pair of clips."""

    def __init__(self, feature_dim: int, num_clips: int, hidden: int, dropout: float) -> None:
        super().__init__()
        first, second = zip(*combinations(range(num_clips), 2), strict=True)
        self.first, self.second = list(first), list(second)
        self.norm = nn.BatchNorm1d(feature_dim, affine=False)
        self.compare = nn.Sequential(nn.Linear(2 * feature_dim, hidden), nn.ReLU())
        self.decide = nn.Sequential(nn.Dropout(dropout), nn.Linear(len(first) * hidden, factorial(num_clips)))

    def forward(self, features_BND: Tensor) -> Tensor:
        normal_BND = self.norm(features_BND.flatten(0, 1)).view(features_BND.shape)
        pairs_BPD = torch.cat([normal_BND[:, self.first], normal_BND[:, self.second]], dim=2)
        logits_BO: Tensor = self.decide(self.compare(pairs_BPD).flatten(1))
        return logits_BO
