"""3D MobileNetV2: thin linear layers between wide depthwise ones.

Source: Kopuklu et al., "Resource Efficient 3D Convolutional Neural Networks", ICCV workshops 2019;
okankop/Efficient-3DCNNs at 9db09f6, models/mobilenetv2.py (MIT), width 1.0. State-dict keys are the source's.

Differs from the source: the feature is the mean of the last map; its classifier is left out.

Shapes: B clips, C channels, T H W frames, rows, columns.
"""

import math

import torch
from torch import Tensor, nn

from reference_models.backbones.accepted import at_least

STEM_CHANNELS = 32
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, number of blocks, stride of the first block (in frames, rows and columns alike)."""


class MobileNet(nn.Module):
    """Clips to one feature a clip."""

    feature_dim = 1280

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = [_convolve(3, STEM_CHANNELS, kernel=3, stride=(1, 2, 2))]
        channels = STEM_CHANNELS
        for expansion, out_channels, count, first_stride in STAGES:
            for position in range(count):
                stride = first_stride if position == 0 else 1
                parts.append(InvertedResidual(channels, out_channels, stride, expansion))
                channels = out_channels
        parts.append(_convolve(channels, self.feature_dim, kernel=1))
        self.features = nn.Sequential(*parts)
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.normal_(part.weight, std=math.sqrt(2 / (math.prod(part.kernel_size) * part.out_channels)))

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 1280]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, 1280, T/16, H/32, W/32], sizes rounded up."""
        last: Tensor = self.features(clips.contiguous(memory_format=torch.channels_last_3d))
        return last

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        stem, *blocks, last = self.features
        return {"stem": stem, **{f"block{i}": block for i, block in enumerate(blocks, start=1)}, "last": last}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return at_least("3D MobileNetV2", (frames, height, width), frames=1, size=1)


class InvertedResidual(nn.Module):
    """Widen, look around in each channel, narrow again; the input is added where sizes agree."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        widen = [] if expansion == 1 else [*_convolve(in_channels, hidden, kernel=1)]
        self.residual = stride == 1 and in_channels == out_channels
        self.conv = nn.Sequential(
            *widen,
            *_convolve(hidden, hidden, kernel=3, stride=(stride, stride, stride), groups=hidden),
            nn.Conv3d(hidden, out_channels, kernel_size=1, bias=False),
            nn.BatchNorm3d(out_channels),
        )

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        y_BCTHW: Tensor = self.conv(x_BCTHW)
        return x_BCTHW + y_BCTHW if self.residual else y_BCTHW


def mobilenet_v2_x1() -> MobileNet:
    """The network of the paper: 2.4 M parameters, 1280 features."""
    return MobileNet()


def _convolve(
    in_channels: int, out_channels: int, kernel: int, stride: tuple[int, int, int] = (1, 1, 1), groups: int = 1
) -> nn.Sequential:
    """Convolution to the same size over the stride, batch norm, ReLU cut off at 6."""
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm3d(out_channels),
        nn.ReLU6(inplace=True),
    )
