"""R(2+1)D of ten layers: every 3D convolution is one over space followed by one over time.

Source: Xu et al., "Self-supervised Spatiotemporal Learning via Video Clip Order Prediction", CVPR 2019;
xudejing/video-clip-order-prediction at 7a1710d, models/r21d.py with layer_sizes (1, 1, 1, 1) (no licence file: written
from the specification). State-dict keys are the source's.

It is not torchvision's network with fewer blocks: the channels between the two convolutions are computed for each
convolution anew, and stem and shortcuts are split too. `r2plus1d_18` is in resnet.py.

Shapes: B clips, C channels, T H W frames, rows, columns.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_models.backbones.accepted import at_least
from reference_models.backbones.temporal_conv import TemporalConv


class R2Plus1D(nn.Module):
    """Clips to one feature a clip."""

    feature_dim = 512

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = SplitConv(3, 64, kernel=(3, 7, 7), stride=(1, 2, 2))
        self.bn1 = nn.BatchNorm3d(64)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv2 = Stage(64, 64, halve=False)
        self.conv3 = Stage(64, 128, halve=True)
        self.conv4 = Stage(128, 256, halve=True)
        self.conv5 = Stage(256, 512, halve=True)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 512]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, 512, T/8, H/16, W/16], sizes rounded up."""
        x_BCTHW = clips.contiguous(memory_format=torch.channels_last_3d)
        x_BCTHW = self.relu1(self.bn1(self.conv1(x_BCTHW)))
        for stage in (self.conv2, self.conv3, self.conv4, self.conv5):
            x_BCTHW = stage.block1(x_BCTHW)
        return x_BCTHW

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        stages = {"conv2": self.conv2, "conv3": self.conv3, "conv4": self.conv4, "conv5": self.conv5}
        return {"stem": self.relu1, **{name: stage.block1 for name, stage in stages.items()}}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return at_least("R(2+1)D-10", (frames, height, width), frames=1, size=1)


class Stage(nn.Module):
    """One block; it exists for the names, since the source's stages can hold more."""

    def __init__(self, in_channels: int, out_channels: int, *, halve: bool) -> None:
        super().__init__()
        self.block1 = Block(in_channels, out_channels, halve=halve)


class Block(nn.Module):
    """Two split convolutions and a shortcut, which is split too where the map is halved."""

    def __init__(self, in_channels: int, out_channels: int, *, halve: bool) -> None:
        super().__init__()
        stride = (2, 2, 2) if halve else (1, 1, 1)
        self.conv1 = SplitConv(in_channels, out_channels, kernel=(3, 3, 3), stride=stride)
        self.bn1 = nn.BatchNorm3d(out_channels)
        self.conv2 = SplitConv(out_channels, out_channels, kernel=(3, 3, 3))
        self.bn2 = nn.BatchNorm3d(out_channels)
        self.halve = halve
        if halve:
            self.downsampleconv = SplitConv(in_channels, out_channels, kernel=(1, 1, 1), stride=stride)
            self.downsamplebn = nn.BatchNorm3d(out_channels)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        y_BCTHW = functional.relu(self.bn1(self.conv1(x_BCTHW)), inplace=True)
        y_BCTHW = self.bn2(self.conv2(y_BCTHW))
        shortcut_BCTHW = self.downsamplebn(self.downsampleconv(x_BCTHW)) if self.halve else x_BCTHW
        return functional.relu(y_BCTHW + shortcut_BCTHW, inplace=True)


class SplitConv(nn.Module):
    """A convolution over rows and columns, batch norm, ReLU, a convolution over frames.

    The channels between make it hold about as many weights as the one 3D convolution it stands for.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
    ) -> None:
        super().__init__()
        t, h, w = kernel
        middle = t * h * w * in_channels * out_channels // (h * w * in_channels + t * out_channels)
        over_space = ((1, h, w), (1, stride[1], stride[2]), (0, h // 2, w // 2))
        over_time = ((t, 1, 1), (stride[0], 1, 1), (t // 2, 0, 0))
        self.spatial_conv = nn.Conv3d(in_channels, middle, *over_space, bias=False)
        self.bn = nn.BatchNorm3d(middle)
        self.temporal_conv = TemporalConv(middle, out_channels, *over_time, bias=False)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        out: Tensor = self.temporal_conv(functional.relu(self.bn(self.spatial_conv(x_BCTHW)), inplace=True))
        return out


def r2plus1d_10() -> R2Plus1D:
    """The network of the paper: 14.4 M parameters, 512 features."""
    return R2Plus1D()
