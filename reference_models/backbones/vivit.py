"""ViViT, model 1: a vision transformer over tubelets, with a class token and learned positions.

Source: Arnab et al., "ViViT: A Video Vision Transformer", ICCV 2021 (google-research/scenic); the joint space-time
model at B/16x2, as in transformers' `VivitModel`, whose values it has. State-dict keys are those of timm's
VisionTransformer. Built for one clip: there is a learned position for every token.

Shapes: B clips, N tokens (the class token first), C channels.
"""

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from reference_models.backbones.accepted import exactly
from reference_models.backbones.videomae import TUBELET, TubeletEmbedding


class ViViT(nn.Module):
    """Clips to one feature a clip.

    Args:
        frames: Of the clips it takes; even.
        size: Rows and columns of the frames it takes; a multiple of 16.
        width: Channels.
        heads: Of the attention.
        depth: Number of blocks.
    """

    def __init__(self, frames: int, size: int, width: int = 768, heads: int = 12, depth: int = 12) -> None:
        super().__init__()
        if frames % TUBELET[0] or size % TUBELET[1]:
            raise ValueError(f"ViViT needs an even number of frames and a size in sixteens, not {frames} and {size}.")
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.frames, self.size, self.feature_dim = frames, size, width
        num_tokens = frames // TUBELET[0] * (size // TUBELET[1]) ** 2
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + num_tokens, width))
        self.patch_embed = TubeletEmbedding(width)
        self.pos_drop = nn.Identity()
        activation = partial(nn.GELU, approximate="tanh")
        self.blocks = nn.Sequential(
            *(
                Block(width, heads, qkv_bias=True, norm_layer=norm, act_layer=activation)  # type: ignore[arg-type]
                for _ in range(depth)
            )
        )
        self.norm = norm(width)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Conv3d):
                nn.init.normal_(part.weight, std=0.02)
                assert part.bias is not None
                nn.init.zeros_(part.bias)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, C]: the class token."""
        return self.forward_features(clips)[:, 0].float()

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, [B, 1 + N, C]."""
        tokens_BNC = self.patch_embed(clips)
        x_BNC = torch.cat([self.cls_token.expand(clips.shape[0], -1, -1), tokens_BNC], dim=1)
        last_BNC: Tensor = self.norm(self.blocks(self.pos_drop(x_BNC + self.pos_embed)))
        return last_BNC

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.pos_drop, **{f"block{i}": block for i, block in enumerate(self.blocks)}}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return exactly("ViViT-B", (frames, height, width), self.frames, self.size)


def vivit_b(frames: int, size: int) -> ViViT:
    """ViViT-B/16x2: 86 M parameters, 768 features."""
    return ViViT(frames, size)
