"""3D SqueezeNet 1.1: a narrow waist in every block, then two convolutions side by side.

Source: Kopuklu et al., "Resource Efficient 3D Convolutional Neural Networks", ICCV workshops 2019;
okankop/Efficient-3DCNNs at 9db09f6, models/squeezenet.py (MIT), version 1.1. State-dict keys are the source's.

Differs from the source: the feature is the mean of the last map, for any clip; the source's head (a convolution, a
ReLU over the logits and a pooling fixed to one clip size) is left out.

Shapes: B clips, C channels, T H W frames, rows, columns.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_models.backbones.accepted import at_least

STAGES = ((16, 64), (32, 128), (48, 192), (64, 256))
"""For each pair of fire blocks: channels of the waist, and of each of the two convolutions after it."""


class SqueezeNet(nn.Module):
    """Clips to one feature a clip."""

    feature_dim = 512

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = [
            nn.Conv3d(3, 64, kernel_size=3, stride=(1, 2, 2), padding=1),
            nn.BatchNorm3d(64),
            nn.ReLU(inplace=True),
        ]
        channels = 64
        for waist, side in STAGES:
            parts += [
                nn.MaxPool3d(kernel_size=3, stride=2, padding=1),
                Fire(channels, waist, side, bypass=False),
                Fire(2 * side, waist, side, bypass=True),
            ]
            channels = 2 * side
        self.features = nn.Sequential(*parts)
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out")

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 512]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, 512, T/16, H/32, W/32], sizes rounded up."""
        last: Tensor = self.features(clips.contiguous(memory_format=torch.channels_last_3d))
        return last

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        fires = [part for part in self.features if isinstance(part, Fire)]
        return {"stem": self.features[2], **{f"fire{i}": fire for i, fire in enumerate(fires, start=1)}}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return at_least("3D SqueezeNet", (frames, height, width), frames=1, size=1)


class Fire(nn.Module):
    """Squeeze to the waist; expand by a 1 x 1 x 1 and a 3 x 3 x 3 convolution; add the input where it fits."""

    def __init__(self, channels: int, waist: int, side: int, *, bypass: bool) -> None:
        super().__init__()
        self.bypass = bypass
        self.squeeze = nn.Conv3d(channels, waist, kernel_size=1)
        self.squeeze_bn = nn.BatchNorm3d(waist)
        self.expand1x1 = nn.Conv3d(waist, side, kernel_size=1)
        self.expand1x1_bn = nn.BatchNorm3d(side)
        self.expand3x3 = nn.Conv3d(waist, side, kernel_size=3, padding=1)
        self.expand3x3_bn = nn.BatchNorm3d(side)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        y_BCTHW = functional.relu(self.squeeze_bn(self.squeeze(x_BCTHW)), inplace=True)
        sides = [self.expand1x1_bn(self.expand1x1(y_BCTHW)), self.expand3x3_bn(self.expand3x3(y_BCTHW))]
        z_BCTHW = torch.cat(sides, dim=1)
        return functional.relu(z_BCTHW + x_BCTHW if self.bypass else z_BCTHW, inplace=True)


def squeezenet_1_1() -> SqueezeNet:
    """The network of the paper: 1.8 M parameters, 512 features."""
    return SqueezeNet()
