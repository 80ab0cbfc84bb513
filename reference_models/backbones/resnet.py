"""3D residual networks out of torchvision's parts: ten or eighteen layers, with full or split convolutions.

Source: torchvision.models.video.resnet, whose classes these are, without pooling and classifier; state-dict keys are
torchvision's. `r3d_10` is the R3D of Xu et al. (CVPR 2019; xudejing/video-clip-order-prediction at 7a1710d,
models/r3d.py, layer_sizes (1, 1, 1, 1)): the same values by torchvision's modules, with PyTorch's default
initialisation, as there.

Two networks go by the name R(2+1)D-18. torchvision computes the channels between the split convolutions once a block
(31.3 M parameters); the original (facebookresearch/VMZ) and what descends from it computes them for each convolution
(33.2 M): here `r2plus1d_18_vmz`. The original's batch norms also have eps 1e-3 (`_vmz`, `_eps3`), which matters little
in training and shows in every digit when its weights are used.

Shapes: B clips, C channels, T H W frames, rows, columns.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.models.video.resnet import (
    BasicBlock,
    BasicStem,
    Conv2Plus1D,
    Conv3DSimple,
    R2Plus1dStem,
    VideoResNet,
)

from reference_models.backbones.accepted import at_least
from reference_models.backbones.temporal_conv import with_temporal_convs


class ResNet(VideoResNet):
    """Clips to one feature a clip.

    Args:
        name: What it calls itself when it refuses a clip.
        block: How a residual block is built.
        conv: What stands for a 3 x 3 x 3 convolution.
        blocks_a_stage: 1 makes ten layers, 2 eighteen.
        stem: What stands before the blocks.
        norm_eps: Of every batch norm.
    """

    feature_dim = 512

    def __init__(
        self,
        name: str,
        *,
        block: type[BasicBlock],
        conv: type[Conv3DSimple | Conv2Plus1D],
        blocks_a_stage: int,
        stem: Callable[[], nn.Module],
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__(block, [conv] * 4, [blocks_a_stage] * 4, stem, num_classes=1)
        del self.avgpool, self.fc
        self.name = name
        with_temporal_convs(self)
        for part in self.modules():
            if isinstance(part, nn.BatchNorm3d):
                part.eps = norm_eps

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, 512]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, 512, T/8, H/16, W/16], sizes rounded up."""
        x_BCTHW = self.stem(clips.contiguous(memory_format=torch.channels_last_3d))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_BCTHW = stage(x_BCTHW)
        return x_BCTHW

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        stages = {"layer1": self.layer1, "layer2": self.layer2, "layer3": self.layer3, "layer4": self.layer4}
        blocks = {f"{name}_{i}": block for name, stage in stages.items() for i, block in enumerate(stage)}
        return {"stem": self.stem, **blocks}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        return at_least(self.name, (frames, height, width), frames=1, size=1)


class VmzBlock(BasicBlock):
    """A block of split convolutions that computes the channels between for its second convolution too."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        conv_builder: Callable[..., nn.Module],
        stride: int = 1,
        downsample: nn.Module | None = None,
    ) -> None:
        super().__init__(inplanes, planes, conv_builder, stride, downsample)
        self.conv2[0] = conv_builder(planes, planes, 27 * planes * planes // (9 * planes + 3 * planes))


def r3d_10() -> ResNet:
    """The R3D of the paper's Table 10: 14.4 M parameters, 512 features."""
    net = ResNet("R3D-10", block=BasicBlock, conv=Conv3DSimple, blocks_a_stage=1, stem=BasicStem)
    for part in net.modules():
        if isinstance(part, nn.Conv3d):
            part.reset_parameters()
    return net


def r3d_18() -> ResNet:
    """torchvision's: 33.2 M parameters, 512 features."""
    return ResNet("R3D-18", block=BasicBlock, conv=Conv3DSimple, blocks_a_stage=2, stem=BasicStem)


def r3d_18_eps3() -> ResNet:
    """The same with batch norms of eps 1e-3, as CtP trains it."""
    return ResNet("R3D-18", block=BasicBlock, conv=Conv3DSimple, blocks_a_stage=2, stem=BasicStem, norm_eps=1e-3)


def r2plus1d_18() -> ResNet:
    """torchvision's: 31.3 M parameters, 512 features."""
    return ResNet("R(2+1)D-18", block=BasicBlock, conv=Conv2Plus1D, blocks_a_stage=2, stem=R2Plus1dStem)


def r2plus1d_18_eps3() -> ResNet:
    """The same with batch norms of eps 1e-3, as tubelet contrast trains it."""
    return ResNet("R(2+1)D-18", block=BasicBlock, conv=Conv2Plus1D, blocks_a_stage=2, stem=R2Plus1dStem, norm_eps=1e-3)


def r2plus1d_18_vmz() -> ResNet:
    """The original arithmetic: 33.2 M parameters, 512 features, batch norms of eps 1e-3."""
    return ResNet("R(2+1)D-18", block=VmzBlock, conv=Conv2Plus1D, blocks_a_stage=2, stem=R2Plus1dStem, norm_eps=1e-3)
