"""The vision transformer of VideoMAE: joint attention over tubelets, no class token.

Source: Tong et al., "VideoMAE", NeurIPS 2022; MCG-NJU/VideoMAE at 14ef8d8, modeling_finetune.py (CC-BY-NC: written from
the specification). State-dict keys are those of the source's finetuning model, without its head.

Positions are a fixed table of sines, computed for the clip at hand and no part of the weights: any clip of whole tubelets is
taken. The source counts the tokens through, so that the neighbour above stands a row's length away and that in the next frames
a whole picture's. Queries and values have a bias, keys have none. The feature is the mean over tokens,
then a LayerNorm (`fc_norm`), which a pretraining checkpoint does not have: there it is fresh.

`videomae_vit_mini` is ours: narrow, with patches of 8 pixels, so that a frame of 56 pixels has as many positions (7 x 7) as
the source's patches leave of one of 112; and with positions that tell frame, row and column apart. With the source's it did not
find the neighbours of a tubelet in 12,000 clips of the motion videos, with these in 6,000 (docs/lab_notes.md).

Shapes: B clips, N tokens, K of them visible, C channels, H heads, D channels of a head.
"""

from collections.abc import Callable

import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torch.nn import functional

from reference_models.backbones.accepted import multiples

TUBELET = (2, 16, 16)
"""Frames, rows and columns of a token."""

Grid = tuple[int, int, int]
"""Tokens over time, rows and columns."""

Table = Callable[[Grid, int], Tensor]
"""From grid and width to positions [N, C]."""


def counted_through(grid: Grid, width: int) -> Tensor:
    """The source's positions: of the token's number, by time, row, column."""
    num_tokens = grid[0] * grid[1] * grid[2]
    return sines(torch.arange(num_tokens, dtype=torch.float64, device="cpu"), width)


def axis_by_axis(grid: Grid, width: int) -> Tensor:
    """Ours: a quarter of the channels for the place in time, and half of the others each for row and column.

    Waves are 6 to 630 tokens long, since an axis has no more of them.
    """
    places = torch.meshgrid(*(torch.arange(size, dtype=torch.float64, device="cpu") for size in grid), indexing="ij")
    parts = channels_of_axes(width)
    return torch.cat([sines(at.flatten(), part, longest=100) for at, part in zip(places, parts, strict=True)], dim=1)


def channels_of_axes(width: int) -> tuple[int, int, int]:
    """How many of these channels tell frame, row and column."""
    frame, row = width // 4, width * 3 // 8
    return frame, row, width - frame - row


def sines(position: Tensor, width: int, longest: int = 10_000) -> Tensor:
    """Of every position [N] sines on even, cosines on odd channels [N, C], of position / longest^(2 (c // 2) / C)."""
    channel = torch.arange(width, dtype=torch.float64, device="cpu")
    angle_NC = position[:, None] / longest ** (2 * (channel // 2) / width)
    return torch.where(channel % 2 == 0, angle_NC.sin(), angle_NC.cos())


class VideoMAE(nn.Module):
    """Clips to one feature a clip.

    Args:
        width: Channels.
        heads: Of the attention.
        depth: Number of blocks.
        tubelet: Frames, rows and columns of a token.
        table: Where a token is.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        depth: int = 12,
        tubelet: tuple[int, int, int] = TUBELET,
        table: Table = counted_through,
    ) -> None:
        super().__init__()
        self.feature_dim = width
        self.tubelet = tubelet
        self.patch_embed = TubeletEmbedding(width, tubelet)
        self.positions = Positions(table)
        if table is axis_by_axis:
            # Nothing is computed from it. Weights of networks that differ in their table alone would have one hash.
            self.register_buffer("channels_of_axes", torch.tensor(channels_of_axes(width)))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.fc_norm = nn.LayerNorm(width, eps=1e-6)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]."""
        features: Tensor = self.fc_norm(self.forward_features(clips).float().mean(1))
        return features

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens [B, N, C]; N is T/2 x H/16 x W/16, or as the tubelet says."""
        x_BNC = self._embedded(clips)
        for block in self.blocks:
            x_BNC = block(x_BNC)
        return x_BNC

    def forward_visible(self, clips: Tensor, visible_BK: Tensor) -> Tensor:
        """The last tokens [B, K, C] where only the tokens of these numbers are shown to the network."""
        x_BNC = self._embedded(clips)
        x_BKC = x_BNC.gather(1, visible_BK[:, :, None].expand(-1, -1, self.feature_dim))
        for block in self.blocks:
            x_BKC = block(x_BKC)
        return x_BKC

    def _embedded(self, clips: Tensor) -> Tensor:
        frames, rows, columns = (whole // part for whole, part in zip(clips.shape[2:], self.tubelet, strict=True))
        embedded_BNC: Tensor = self.positions(self.patch_embed(clips), (frames, rows, columns))
        return embedded_BNC

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.positions, **{f"block{i}": block for i, block in enumerate(self.blocks)}}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return multiples("VideoMAE's ViT", (frames, height, width), self.tubelet[0], self.tubelet[1])


class TubeletEmbedding(nn.Module):
    """Two frames of 16 x 16 pixels, or another tubelet, to one token."""

    def __init__(self, width: int, tubelet: tuple[int, int, int] = TUBELET) -> None:
        super().__init__()
        self.proj = nn.Conv3d(3, width, kernel_size=tubelet, stride=tubelet)

    def forward(self, clips: Tensor) -> Tensor:
        tokens_BNC: Tensor = self.proj(clips).flatten(2).transpose(1, 2)
        return tokens_BNC


class Positions(nn.Module):
    """Adds where each token of a grid is."""

    def __init__(self, table: Table) -> None:
        super().__init__()
        self.table = table

    def forward(self, x_BNC: Tensor, grid: Grid) -> Tensor:
        return x_BNC + self.table(grid, x_BNC.shape[2]).to(x_BNC)


class Block(nn.Module):
    """Attention and an MLP, each after a LayerNorm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x_BNC: Tensor) -> Tensor:
        x_BNC = x_BNC + self.attn(self.norm1(x_BNC))
        y_BNC: Tensor = x_BNC + self.mlp(self.norm2(x_BNC))
        return y_BNC


class Attention(nn.Module):
    """Self-attention with a bias on queries and values, and none on keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.proj = nn.Linear(width, width)

    def forward(self, x_BNC: Tensor) -> Tensor:
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        qkv = functional.linear(x_BNC, self.qkv.weight, bias)
        q_BHND, k_BHND, v_BHND = qkv.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y_BHND = functional.scaled_dot_product_attention(q_BHND, k_BHND, v_BHND)
        out_BNC: Tensor = self.proj(y_BHND.transpose(1, 2).flatten(2))
        return out_BNC


def videomae_vit_mini() -> VideoMAE:
    """Ours: 0.8 M parameters, 128 features, 4 blocks, patches of 8 pixels, positions axis by axis."""
    return VideoMAE(width=128, heads=4, depth=4, tubelet=(2, 8, 8), table=axis_by_axis)


def videomae_vit_s() -> VideoMAE:
    """ViT-S: 22 M parameters, 384 features."""
    return VideoMAE(width=384, heads=6)


def videomae_vit_b() -> VideoMAE:
    """ViT-B: 86 M parameters, 768 features."""
    return VideoMAE(width=768, heads=12)
