"""C3D with batch normalisation: eight 3 x 3 x 3 convolutions and four poolings.

Source: Xu et al., "Self-supervised Spatiotemporal Learning via Video Clip Order Prediction", CVPR 2019;
xudejing/video-clip-order-prediction at 7a1710d, models/c3d.py (no licence file: written from the specification).
State-dict keys are the source's. It is not the C3D of Tran et al., which has no batch norm, a fifth pooling, and two
wide linear layers.

Shapes: B clips, C channels, T H W frames, rows, columns.
"""

import torch
from torch import Tensor, nn

from reference_models.backbones.accepted import at_least

CHANNELS = {"1": 64, "2": 128, "3a": 256, "3b": 256, "4a": 512, "4b": 512, "5a": 512, "5b": 512}
POOLED = {"1": (1, 2, 2), "2": (2, 2, 2), "3b": (2, 2, 2), "4b": (2, 2, 2)}
"""After which convolutions a maximum pooling follows, and over how many frames, rows and columns."""


class C3D(nn.Module):
    """Clips to one feature a clip."""

    feature_dim = 512

    def __init__(self) -> None:
        super().__init__()
        channels = 3
        for name, out_channels in CHANNELS.items():
            self.add_module(f"conv{name}", nn.Conv3d(channels, out_channels, kernel_size=3, padding=1))
            self.add_module(f"bn{name}", nn.BatchNorm3d(out_channels))
            self.add_module(f"relu{name}", nn.ReLU(inplace=True))
            if name in POOLED:
                self.add_module(f"pool{name[0]}", nn.MaxPool3d(POOLED[name]))
            channels = out_channels

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 512]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, 512, T/8, H/16, W/16], sizes rounded down."""
        x_BCTHW = clips.contiguous(memory_format=torch.channels_last_3d)
        for part in self.children():  # in the order in which they were added
            x_BCTHW = part(x_BCTHW)
        return x_BCTHW

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        parts = dict(self.named_children())
        return {"stem" if name == "1" else f"conv{name}": parts[f"relu{name}"] for name in CHANNELS}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return at_least("C3D", (frames, height, width), frames=8, size=16)


def c3d() -> C3D:
    """The network of the paper: 27.7 M parameters, 512 features."""
    return C3D()
