"""Video Swin Transformer, tiny: attention in windows of 8 x 7 x 7 tokens, shifted in every second block.

Source: Liu et al., "Video Swin Transformer", CVPR 2022; torchvision.models.video.swin_transformer, whose class this is,
without pooling and classifier. State-dict keys are torchvision's.

Small frames: at 112 pixels the last stage has 4 x 4 tokens, less than a window. The source, and torchvision bit for
bit, then take the first rows and columns of the table of relative positions as if the window had been built that
small; 97 % of the entries belong to other distances. A network trained like that has learned around it, so it is the
default. `swin3d_t_exact_bias` looks the right distances up (pytorch/vision#6222 recorded what the slicing costs in 2D).

Shapes: B clips, C channels, T H W frames, rows, columns of tokens.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torchvision.models.swin_transformer import SwinTransformerBlock
from torchvision.models.video.swin_transformer import ShiftedWindowAttention3d, SwinTransformer3d

from reference_models.backbones.accepted import at_least

WINDOW = [8, 7, 7]


class Swin(SwinTransformer3d):
    """Clips to one feature a clip.

    Args:
        exact_bias: Look up the relative positions of a window smaller than 8 x 7 x 7 by their distances.
    """

    feature_dim = 768

    def __init__(self, *, exact_bias: bool = False) -> None:
        super().__init__(
            patch_size=[2, 4, 4],
            embed_dim=96,
            depths=[2, 2, 6, 2],
            num_heads=[3, 6, 12, 24],
            window_size=WINDOW,
            stochastic_depth_prob=0.1,
            num_classes=1,
            block=ExactBlock if exact_bias else None,
        )
        del self.avgpool, self.head

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 768]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, 768, T/2, H/32, W/32], sizes rounded up."""
        x_BTHWC = self.features(self.pos_drop(self.patch_embed(clips)))
        return self.norm(x_BTHWC).permute(0, 4, 1, 2, 3)

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs [B, T, H, W, C] are the layers, in the order in which they run."""
        stages = list(self.features)[::2]  # between them are the poolings
        blocks = {f"stage{s}_{i}": block for s, stage in enumerate(stages, start=1) for i, block in enumerate(stage)}
        return {"stem": self.patch_embed, **blocks}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return at_least("Video Swin", (frames, height, width), frames=1, size=1)


class ExactAttention(ShiftedWindowAttention3d):
    """Window attention whose bias in a small window is that of the same distance in a full one."""

    def get_relative_position_bias(self, window_size: list[int]) -> Tensor:
        t, h, w = window_size
        full = self.relative_position_index.view(*self.window_size, *self.window_size)
        index = full[:t, :h, :w, :t, :h, :w].reshape(-1)
        bias = self.relative_position_bias_table[index].view(t * h * w, t * h * w, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)


class ExactBlock(SwinTransformerBlock):
    """A Swin block with `ExactAttention`, whatever attention torchvision's constructor asks for."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: list[int],
        shift_size: list[int],
        mlp_ratio: float,
        dropout: float,
        attention_dropout: float,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., nn.Module],
        attn_layer: Callable[..., nn.Module],
    ) -> None:
        del attn_layer
        super().__init__(
            dim,
            num_heads,
            window_size,
            shift_size,
            mlp_ratio=mlp_ratio,
            dropout=dropout,
            attention_dropout=attention_dropout,
            stochastic_depth_prob=stochastic_depth_prob,
            norm_layer=norm_layer,
            attn_layer=ExactAttention,
        )


def swin3d_t() -> Swin:
    """Torchvision's and the source's: 27.9 M parameters, 768 features."""
    return Swin()


def swin3d_t_exact_bias() -> Swin:
    """The same weights, with the right bias in windows smaller than 8 x 7 x 7."""
    return Swin(exact_bias=True)
