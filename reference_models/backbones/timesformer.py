"""TimeSformer with divided attention: every block attends over time, then over space.

Source: Bertasius et al., "Is Space-Time Attention All You Need for Video Understanding?", ICML 2021;
facebookresearch/TimeSformer at a5ef29a, timesformer/models/vit.py (CC-BY-NC: written from the specification).
State-dict keys are the source's (inside its `model.`), without the head. Built for one clip; the source stretches
position tables to other clips, here that is left to whoever converts a checkpoint.

The linear layer after the attention over time starts at zero in all twelve blocks (the source means to spare the
first), so a fresh network sees single frames until that layer moves.

Shapes: B clips, T frames, S patches of a frame, C channels. The tokens x are [B, 1 + S T, C]: the class token first,
then patch by patch, its frames together.
"""

from functools import partial

import torch
from timm.layers import Attention, DropPath
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from reference_models.backbones.accepted import exactly

PATCH = 16
DROP_PATH = 0.1
"""Of the last block; 0 of the first, linear between."""


class TimeSformer(nn.Module):
    """Clips to one feature a clip.

    Args:
        frames: Of the clips it takes.
        size: Rows and columns of the frames it takes; a multiple of 16.
        width: Channels.
        heads: Of the attention.
        depth: Number of blocks.
    """

    def __init__(self, frames: int, size: int, width: int = 768, heads: int = 12, depth: int = 12) -> None:
        super().__init__()
        if size % PATCH:
            raise ValueError(f"TimeSformer needs a size in sixteens, not {size}.")
        self.frames, self.size, self.feature_dim = frames, size, width
        self.patch_embed = PatchEmbedding(width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (size // PATCH) ** 2, width))
        self.time_embed = nn.Parameter(torch.zeros(1, frames, width))
        self.time_drop = nn.Identity()
        rates = [DROP_PATH * i / max(1, depth - 1) for i in range(depth)]
        self.blocks = nn.ModuleList(DividedBlock(width, heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        for part in self.modules():
            if isinstance(part, nn.Linear):
                nn.init.trunc_normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for block in self.blocks:
            assert isinstance(block, DividedBlock)
            nn.init.zeros_(block.temporal_fc.weight)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]: the class token."""
        return self.forward_features(clips)[:, 0].float()

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, [B, 1 + S T, C]."""
        x_BTSC = self.patch_embed(clips) + self.pos_embed[:, None, 1:]
        x_BSTC = x_BTSC.transpose(1, 2) + self.time_embed[:, None]
        cls_B1C = (self.cls_token + self.pos_embed[:, :1]).expand(clips.shape[0], -1, -1)
        x = self.time_drop(torch.cat([cls_B1C, x_BSTC.flatten(1, 2)], dim=1))
        for block in self.blocks:
            x = block(x, self.frames)
        last: Tensor = self.norm(x)
        return last

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.time_drop, **{f"block{i}": block for i, block in enumerate(self.blocks)}}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return exactly("TimeSformer", (frames, height, width), self.frames, self.size)


class PatchEmbedding(nn.Module):
    """16 x 16 pixels of one frame to one token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, kernel_size=PATCH, stride=PATCH)

    def forward(self, clips: Tensor) -> Tensor:
        frames = self.proj(clips.transpose(1, 2).flatten(0, 1))
        tokens_BTSC: Tensor = frames.flatten(2).transpose(1, 2).unflatten(0, (clips.shape[0], -1))
        return tokens_BTSC


class DividedBlock(Block):
    """Attention over the frames of a patch, attention over the patches of a frame, an MLP."""

    def __init__(self, width: int, heads: int, drop_path: float) -> None:
        norm = partial(nn.LayerNorm, eps=1e-6)
        super().__init__(width, heads, qkv_bias=True, norm_layer=norm, drop_path=drop_path)  # type: ignore[arg-type]
        self.temporal_norm1 = norm(width)
        self.temporal_attn = Attention(width, heads, qkv_bias=True)
        self.temporal_fc = nn.Linear(width, width)
        self.temporal_drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor, num_frames: int) -> Tensor:  # type: ignore[override]
        cls_B1C, rest = x[:, :1], x[:, 1:]
        rows = rest.unflatten(1, (-1, num_frames)).flatten(0, 1)  # a row a patch
        over_time = self.temporal_drop_path(self.temporal_attn(self.temporal_norm1(rows)))
        rest = rest + self.temporal_fc(over_time.unflatten(0, (x.shape[0], -1)).flatten(1, 2))

        frames_BTSC = rest.unflatten(1, (-1, num_frames)).transpose(1, 2)
        with_cls = torch.cat([cls_B1C[:, None].expand(-1, num_frames, -1, -1), frames_BTSC], dim=2)
        over_space = self.drop_path1(self.attn(self.norm1(with_cls.flatten(0, 1)))).unflatten(0, (x.shape[0], -1))
        cls_B1C = cls_B1C + over_space[:, :, 0].mean(1, keepdim=True)
        rest = rest + over_space[:, :, 1:].transpose(1, 2).flatten(1, 2)

        x = torch.cat([cls_B1C, rest], dim=1)
        y: Tensor = x + self.drop_path2(self.mlp(self.norm2(x)))
        return y


def timesformer_b(frames: int, size: int) -> TimeSformer:
    """TimeSformer-B, divided attention: 121 M parameters, 768 features."""
    return TimeSformer(frames, size)
