"""VideoMAE: hide most tubes of a clip, show a transformer the rest, draw what was hidden.

Source: Tong et al., "VideoMAE: Masked Autoencoders are Data-Efficient Learners for Self-Supervised Video Pre-Training",
NeurIPS 2022, section 3; MCG-NJU/VideoMAE at 14ef8d8, modeling_pretrain.py, engine_for_pretraining.py (CC-BY-NC: written from
the specification). The decoder is four blocks of half the trunk's width with one head for every 64 channels: 192, 384 and
512 for ViT-S, B and L, as in the source. A grey drawing has a loss of almost 1 (tubes.py).

Differs from the source (tubes.py has more):
- a trunk starts as ours all do (normal, sd .02); the source's encoder starts as its decoder (Xavier, uniform);
- the norm behind the encoder is a part of the head, thrown away with it as finetuning throws it away in the source. The
  trunk's `fc_norm` behind pooling has no part in the task and stays as it was.

Shapes: B clips, N tubelets, K of them visible, M hidden, C channels, V values (pixels x colours) of a tubelet.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.schema import ClipSpec
from bench.video.sampling import random_start
from reference_models.added import added
from reference_models.backbones.videomae import Block, Grid, VideoMAE
from reference_models.pretext.drawing import shrunk
from reference_models.pretext.tubes import (
    Over,
    cannot_draw,
    cannot_hide,
    draw_mask,
    drawing_error,
    drawn_of,
    grid_of,
    hidden_tubes,
    to_draw,
)

HEAD_WIDTH = 64
"""Channels of an attention head of the decoder."""


@dataclass(frozen=True)
class TubeMasking:
    """Settings of the task, with the values of the source."""

    ratio: float = 0.9
    """Share of the positions over space that is hidden, rounded down to whole ones."""

    depth: int = 4
    """Blocks of the decoder."""

    over: Over = added("tubelet")
    """What the pixels to be drawn are standardised over."""

    shrink: int = added(1)
    """The drawing has so many times fewer rows and columns than the clip, its pixels being means (ours): what a small network
    cannot know of a place, its grain, is then not asked for."""

    @property
    def words(self) -> str:
        """For cards."""
        return "masked video autoencoding"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Nothing is contrasted."""
        return "non-contrastive"

    @property
    def clips_per_video(self) -> int:
        """One, most of it hidden."""
        return 1

    @property
    def draws(self) -> tuple[int, ...]:
        """One: input and target are the same pixels."""
        return (0,)

    @property
    def chance(self) -> Mapping[str, float]:
        """A grey drawing."""
        return {"explained": 0.0}

    def span(self, clip: ClipSpec) -> int:
        """A clip."""
        return clip.span

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """The trunk must do without the hidden tokens."""
        if not isinstance(trunk, VideoMAE):
            return (
                "masked video autoencoding shows the network the visible patches alone, which this backbone cannot be "
                "shown. Take videomae_vit_b, videomae_vit_s or videomae_vit_mini; for backbones that give a map there are "
                "the recipes mini-videomae-map and paper-videomae-map."
            )
        return cannot_draw(trunk.tubelet, self.shrink) or cannot_hide(
            (clip.num_frames, clip.size, clip.size), trunk.tubelet, self.ratio
        )

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """One clip from a random place."""
        return random_start(num_frames, clip, rng)[None]

    def make_example(self, places_NT: NDArray[np.int64], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clip, and the number from which its mask follows."""
        return {"clips": places_NT, "mask": draw_mask(rng)}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """The decoder. What of the trunk has no part in the task is frozen."""
        assert isinstance(trunk, VideoMAE), "refused otherwise"
        trunk.fc_norm.requires_grad_(False)
        grid = grid_of((clip.num_frames, clip.size, clip.size), trunk.tubelet)
        drawn = math.prod(drawn_of(trunk.tubelet, self.shrink))
        return Decoder(trunk, grid, self.depth, 3 * drawn)

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error over the hidden tubelets; almost 1 is that of a grey drawing."""
        assert isinstance(trunk, VideoMAE), "refused otherwise"
        clips_BCTHW = batch["clips"][:, 0]
        frames, rows, columns = clips_BCTHW.shape[2:]
        hidden_BN = hidden_tubes(batch["mask"], grid_of((frames, rows, columns), trunk.tubelet), self.ratio)
        visible_BK, hidden_BM = (where.nonzero()[:, 1].view(len(where), -1) for where in (~hidden_BN, hidden_BN))
        drawn_BMV = head(trunk.forward_visible(clips_BCTHW, visible_BK), visible_BK, hidden_BM)
        drawn = drawn_of(trunk.tubelet, self.shrink)
        target_BNV = to_draw(shrunk(clips_BCTHW.float(), self.shrink), drawn, self.over)
        return drawing_error(drawn_BMV, target_BNV[hidden_BN].view(drawn_BMV.shape))


class Decoder(nn.Module):
    """From the tokens that were seen to the pixels that were not.

    Args:
        trunk: Whose tokens it is shown; it is half as wide, and tells places apart as the trunk does.
        grid: Tubelets of the clip over time, rows and columns.
        depth: Blocks.
        num_values: To draw of a tubelet.
    """

    places_NC: Tensor

    def __init__(self, trunk: VideoMAE, grid: Grid, depth: int, num_values: int) -> None:
        super().__init__()
        width = trunk.feature_dim // 2
        self.register_buffer("places_NC", trunk.positions.table(grid, width).float(), persistent=False)
        self.norm = nn.LayerNorm(trunk.feature_dim, eps=1e-6)
        self.narrow = nn.Linear(trunk.feature_dim, width, bias=False)
        self.mask_token = nn.Parameter(torch.empty(width))
        self.blocks = nn.ModuleList(Block(width, max(1, width // HEAD_WIDTH)) for _ in range(depth))
        self.last_norm = nn.LayerNorm(width, eps=1e-6)
        self.draw = nn.Linear(width, num_values)
        nn.init.trunc_normal_(self.mask_token, std=0.02)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, seen_BKC: Tensor, visible_BK: Tensor, hidden_BM: Tensor) -> Tensor:
        """Values [B, M, V] of the hidden tubelets, in the order of their numbers."""
        seen_BKC = self.narrow(self.norm(seen_BKC))
        places_NC = self.places_NC.to(seen_BKC)
        x_BNC = torch.cat(
            [seen_BKC + places_NC[visible_BK], self.mask_token.to(seen_BKC) + places_NC[hidden_BM]], dim=1
        )
        for block in self.blocks:
            x_BNC = block(x_BNC)
        drawn_BMV: Tensor = self.draw(self.last_norm(x_BNC[:, visible_BK.shape[1] :]))
        return drawn_BMV
