"""Multiscale Vision Transformers: fewer and wider tokens from stage to stage.

Source: Fan et al., "Multiscale Vision Transformers", ICCV 2021 (v1, base) and Li et al., "MViTv2", CVPR 2022 (v2,
small); torchvision.models.video.mvit, whose class this is, without classifier. State-dict keys are torchvision's.

Built for one clip: torchvision's own constructors take none but 16 x 224 x 224 (`spatial_size` reaches the class
twice), so the sixteen blocks are listed here.

Shapes: B clips, N tokens (the class token first), C channels.
"""

from torch import Tensor, nn
from torchvision.models.video.mvit import MSBlockConfig, MViT

from reference_models.backbones.accepted import exactly

NUM_BLOCKS = 16
WIDER_AT = (1, 3, 14)
"""The blocks with which channels and heads double, and whose queries are pooled."""


class MultiscaleViT(MViT):
    """Clips to one feature a clip.

    Args:
        name: What it calls itself when it refuses a clip.
        version: 1 or 2.
        frames: Of the clips it takes; even.
        size: Rows and columns of the frames it takes; a multiple of 32, or of 16 where the last map may be rounded up.
    """

    feature_dim = 768

    def __init__(self, name: str, *, version: int, frames: int, size: int) -> None:
        if frames % 2 or size % 16:
            raise ValueError(f"{name} needs an even number of frames and a size in sixteens, not {frames} and {size}.")
        second = version == 2
        super().__init__(
            spatial_size=(size, size),
            temporal_size=frames,
            block_setting=block_settings(version),
            residual_pool=second,
            residual_with_cls_embed=False,
            rel_pos_embed=second,
            proj_after_attn=second,
            stochastic_depth_prob=0.2,
            num_classes=1,
        )
        del self.head
        self.name, self.frames, self.size = name, frames, size
        # torchvision's blocks return a pair; each of these passes one block's tokens on, and can be hooked
        self.outputs = nn.ModuleDict({f"block{i}": nn.Identity() for i in range(NUM_BLOCKS)})

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 768]: the class token."""
        return self.forward_features(clips)[:, 0].float()

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last tokens, normalised, [B, 1 + N, 768]."""
        x_BNC = self.pos_encoding(self.conv_proj(clips).flatten(2).transpose(1, 2))
        grid = (self.pos_encoding.temporal_size, *self.pos_encoding.spatial_size)
        for block, output in zip(self.blocks, self.outputs.values(), strict=True):
            x_BNC, grid = block(x_BNC, grid)
            x_BNC = output(x_BNC)
        last_BNC: Tensor = self.norm(x_BNC)
        return last_BNC

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.pos_encoding, **dict(self.outputs.items())}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return exactly(self.name, (frames, height, width), self.frames, self.size)


def block_settings(version: int) -> list[MSBlockConfig]:
    """The sixteen blocks. Version 1 widens in the block before (its MLP), version 2 in the block itself (its attention)."""
    settings = []
    for i in range(NUM_BLOCKS):
        level = sum(i >= at for at in WIDER_AT)
        width, narrower = 96 * 2**level, 96 * 2 ** sum(i > at for at in WIDER_AT)
        wider = 96 * 2 ** sum(i + 1 >= at for at in WIDER_AT)
        pools_queries = i in WIDER_AT
        plain_stride, plain_kernel = ([], []) if version == 1 else ([1, 1, 1], [3, 3, 3])
        kv_stride = (8, 4, 2, 1)[level]
        settings.append(
            MSBlockConfig(
                num_heads=2**level,
                input_channels=width if version == 1 else narrower,
                output_channels=wider if version == 1 else width,
                kernel_q=[3, 3, 3] if pools_queries else plain_kernel,
                kernel_kv=[3, 3, 3],
                stride_q=[1, 2, 2] if pools_queries else plain_stride,
                stride_kv=[1, kv_stride, kv_stride],
            )
        )
    return settings


def mvit_v1_b(frames: int, size: int) -> MultiscaleViT:
    """MViT-B 16x4 where built for 16 frames: 36 M parameters, 768 features."""
    return MultiscaleViT("MViT-B", version=1, frames=frames, size=size)


def mvit_v2_s(frames: int, size: int) -> MultiscaleViT:
    """MViTv2-S: 34 M parameters, 768 features."""
    return MultiscaleViT("MViTv2-S", version=2, frames=frames, size=size)
