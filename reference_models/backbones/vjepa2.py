"""The encoder of V-JEPA 2: a vision transformer over tubelets whose positions turn queries and keys.

Source: Assran et al., "V-JEPA 2", 2025; facebookresearch/vjepa2 (MIT), in the values of transformers' `VJEPA2Model`
without its predictor. State-dict keys are those of timm's VisionTransformer. The feature is the mean over the
normalised tokens; the source trains an attentive pooler instead, which is a head.

Positions are frames, rows and columns of tubelets, each turning a third of a head's channels, so any clip of whole
tubelets is taken. A quirk of the source is kept: neighbouring channels are turned as pairs, but the table of angles is
laid out half after half, so the two of a pair turn by different angles.

Shapes: B clips, N tokens, C channels, H heads, D channels of a head, P channels that one axis turns.
"""

from functools import partial

import torch
from timm.layers import Mlp
from torch import Tensor, nn
from torch.nn import functional

from reference_models.backbones.accepted import multiples
from reference_models.backbones.videomae import TUBELET, TubeletEmbedding


class VJepa2(nn.Module):
    """Clips to one feature a clip.

    Args:
        width: Channels.
        heads: Of the attention.
        depth: Number of blocks.
    """

    def __init__(self, width: int, heads: int, depth: int) -> None:
        super().__init__()
        self.feature_dim = width
        self.axis_width = 2 * (width // heads // 3 // 2)  # of a head, for each of the three axes
        self.patch_embed = TubeletEmbedding(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Conv3d):
                nn.init.trunc_normal_(part.weight, std=0.02)
                assert part.bias is not None
                nn.init.zeros_(part.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]."""
        return self.forward_features(clips).float().mean(1)

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, [B, N, C]; N is T/2 x H/16 x W/16."""
        grid = [size // side for size, side in zip(clips.shape[2:], TUBELET, strict=True)]
        turns = angles(grid, self.axis_width).to(clips)
        x_BNC = self.patch_embed(clips)
        for block in self.blocks:
            x_BNC = block(x_BNC, turns)
        last_BNC: Tensor = self.norm(x_BNC)
        return last_BNC

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.patch_embed, **{f"block{i}": block for i, block in enumerate(self.blocks)}}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return multiples("V-JEPA 2", (frames, height, width), frames=TUBELET[0], size=TUBELET[1])


class Block(nn.Module):
    """Attention and an MLP, each after a LayerNorm and added to its input."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.norm1 = norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = norm(width)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x_BNC: Tensor, turns: Tensor) -> Tensor:
        x_BNC = x_BNC + self.attn(self.norm1(x_BNC), turns)
        y_BNC: Tensor = x_BNC + self.mlp(self.norm2(x_BNC))
        return y_BNC


class Attention(nn.Module):
    """Self-attention between turned queries and turned keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BNC: Tensor, turns: Tensor) -> Tensor:
        q_BHND, k_BHND, v_BHND = self.qkv(x_BNC).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        y_BHND = functional.scaled_dot_product_attention(turned(q_BHND, turns), turned(k_BHND, turns), v_BHND)
        out_BNC: Tensor = self.proj(y_BHND.transpose(1, 2).flatten(2))
        return out_BNC


def angles(grid: list[int], axis_width: int) -> Tensor:
    """By what angle each of the first channels of a head turns at each token: [N, 3 P]."""
    half = axis_width // 2
    frequency = 1 / 10000 ** (torch.arange(half, dtype=torch.float64, device="cpu") / half)
    places = torch.meshgrid(*(torch.arange(size, dtype=torch.float64, device="cpu") for size in grid), indexing="ij")
    turns = [place.flatten()[:, None] * frequency for place in places]
    return torch.cat([torch.cat([turn, turn], dim=1) for turn in turns], dim=1)


def turned(x_BHND: Tensor, turns_NP: Tensor) -> Tensor:
    """The first channels of every head turned in neighbouring pairs; those beyond three equal thirds stay."""
    num_turned = turns_NP.shape[1]
    x, rest = x_BHND[..., :num_turned], x_BHND[..., num_turned:]
    pairs = x.unflatten(-1, (-1, 2))
    quarter_turn = torch.stack([-pairs[..., 1], pairs[..., 0]], dim=-1).flatten(-2)
    return torch.cat([x * turns_NP.cos() + quarter_turn * turns_NP.sin(), rest], dim=-1)


def vjepa2_vit_l() -> VJepa2:
    """ViT-L: 304 M parameters, 1024 features."""
    return VJepa2(width=1024, heads=16, depth=24)
