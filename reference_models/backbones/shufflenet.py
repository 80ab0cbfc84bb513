"""3D ShuffleNet V1 with three groups: the small network of the paper, and narrower ones for two cores.

Source: Kopuklu et al., "Resource Efficient 3D Convolutional Neural Networks", ICCV workshops 2019;
okankop/Efficient-3DCNNs at 9db09f6, models/shufflenet.py (MIT). Written from the specification; width 2.0 has the
source's 3,606,288 trunk parameters, and equals it in every value.

Differs from the source:
- the stem pools before its ReLU: the two commute, and the ReLU then works on an eighth of the map;
- on a CPU the pooling and the depthwise convolutions run by other means to the same values (see `pool_stem` and
  `DepthwiseConv`): PyTorch's own backward passes for these two take longer than the rest of the network;
- narrower than width 1.0 it stays in float32 on a CPU, whatever is asked: its layers are so small that going to bfloat16
  and back costs more than it saves (docs/lab_notes.md);
- widths 0.5 and 1.0 are ours to choose by a factory; at width 1.0 the first unit does not group its first
  convolution, at every other width it does. That is the source's quirk (it tests for 24 input channels), kept.

Shapes: B clips, C channels, T H W frames, rows, columns; U frames, V rows, X columns of a depthwise output.
"""

from contextlib import nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from reference_models.backbones.accepted import at_least

GROUPS = 3
STEM_CHANNELS = 24
STAGE_CHANNELS = (240, 480, 960)
STAGE_UNITS = (4, 8, 4)
FRAME_MULTIPLE = 16
"""The shortcut pools frames by two without padding, the branch rounds up: they only meet at multiples of 16."""
SMALLEST_SIZE = 33
"""Below, the last shortcut has fewer than the three rows that it averages."""


class ShuffleNet(nn.Module):
    """Clips to one feature a clip.

    Args:
        width: Multiplies every channel count; the paper's network has 2.0.
        quiet: Start with normal weights scaled to each layer's inputs, and with units of stride 1 that add nothing.
            The source starts with PyTorch's defaults; so narrow a network then needs several times the steps to leave
            the plateau of clip order prediction (docs/lab_notes.md).
    """

    def __init__(self, width: float, *, quiet: bool = False) -> None:
        super().__init__()
        self.gains_from_bf16 = width >= 1
        channels = int(STEM_CHANNELS * width)
        self.stem = Stem(channels)
        self.units: nn.ModuleDict = nn.ModuleDict()
        for stage, (base, count) in enumerate(zip(STAGE_CHANNELS, STAGE_UNITS, strict=True), start=2):
            out_channels = int(base * width)
            for position in range(count):
                self.units[f"stage{stage}_{position}"] = Unit(channels, out_channels, stride=2 if position == 0 else 1)
                channels = out_channels
        self.feature_dim = channels
        if quiet:
            _start_quietly(self)

    def forward(self, clips: Tensor) -> Tensor:
        """Normalised clips [B, 3, T, H, W] to features [B, feature_dim]."""
        return self.forward_features(clips).float().mean((2, 3, 4))

    def forward_features(self, clips: Tensor) -> Tensor:
        """The last map [B, feature_dim, T/16, H/32, W/32], sizes rounded up."""
        with nullcontext() if clips.is_cuda or self.gains_from_bf16 else torch.autocast("cpu", enabled=False):
            x_BCTHW: Tensor = self.stem(clips.contiguous(memory_format=torch.channels_last_3d))
            for unit in self.units.values():
                x_BCTHW = unit(x_BCTHW)
        return x_BCTHW

    def layers(self) -> dict[str, nn.Module]:
        """The modules whose outputs are the layers, in the order in which they run."""
        return {"stem": self.stem, **dict(self.units.items())}

    def accepts(self, frames: int, height: int, width: int) -> str | None:
        """None, or why such clips cannot be taken."""
        if frames % FRAME_MULTIPLE:
            return f"3D ShuffleNet takes clips whose number of frames is a multiple of {FRAME_MULTIPLE}, not {frames}"
        return at_least("3D ShuffleNet", (frames, height, width), frames=FRAME_MULTIPLE, size=SMALLEST_SIZE)


def shufflenet_v1_x2() -> ShuffleNet:
    """The network of the paper: 3.6 M parameters, 1920 features."""
    return ShuffleNet(width=2.0)


def shufflenet_v1_x1() -> ShuffleNet:
    """Half as wide: 960 features. Ours; starts quietly."""
    return ShuffleNet(width=1.0, quiet=True)


def shufflenet_v1_x0_5() -> ShuffleNet:
    """A quarter as wide: 480 features. Ours; starts quietly."""
    return ShuffleNet(width=0.5, quiet=True)


def shufflenet_v1_x0_25() -> ShuffleNet:
    """An eighth as wide: 240 features, the student of mini-v1. Ours; starts quietly."""
    return ShuffleNet(width=0.25, quiet=True)


def _start_quietly(network: ShuffleNet) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, Unit) and module.stride == 1:
            nn.init.zeros_(module.expand_norm.weight)


class Stem(nn.Module):
    """Convolution and maximum pooling: halves the frames, quarters rows and columns."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(3, channels, kernel_size=3, stride=(1, 2, 2), padding=1, bias=False)
        self.norm = nn.BatchNorm3d(channels)

    def forward(self, clips: Tensor) -> Tensor:
        return functional.relu(pool_stem(self.norm(self.conv(clips))))


class Unit(nn.Module):
    """Squeeze, shuffle, look around in each channel, expand; with a shortcut.

    A unit of stride 2 pools its input and appends it to the branch, one of stride 1 adds it.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        middle = out_channels // 4
        branch = out_channels - in_channels if stride == 2 else out_channels
        squeeze_groups = 1 if in_channels == STEM_CHANNELS else GROUPS
        self.squeeze = nn.Conv3d(in_channels, middle, kernel_size=1, groups=squeeze_groups, bias=False)
        self.squeeze_norm = nn.BatchNorm3d(middle)
        self.depthwise = DepthwiseConv(middle, stride)
        self.depthwise_norm = nn.BatchNorm3d(middle)
        self.expand = nn.Conv3d(middle, branch, kernel_size=1, groups=GROUPS, bias=False)
        self.expand_norm = nn.BatchNorm3d(branch)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        y_BCTHW = functional.relu(self.squeeze_norm(self.squeeze(x_BCTHW)))
        y_BCTHW = self.depthwise_norm(self.depthwise(shuffle(y_BCTHW)))
        y_BCTHW = self.expand_norm(self.expand(y_BCTHW))
        if self.stride == 1:
            return functional.relu(y_BCTHW + x_BCTHW)
        pooled_BCTHW = functional.avg_pool3d(x_BCTHW, (2, 3, 3), stride=2, padding=(0, 1, 1))
        return functional.relu(torch.cat([y_BCTHW, pooled_BCTHW], dim=1))


def shuffle(x_BCTHW: Tensor) -> Tensor:
    """Deal the channels of each group to all groups."""
    mixed: Tensor = x_BCTHW.unflatten(1, (GROUPS, -1)).transpose(1, 2).flatten(1, 2)
    return mixed.contiguous(memory_format=torch.channels_last_3d)


def pool_stem(x_BCTHW: Tensor) -> Tensor:
    """Maximum over 3 x 3 x 3 with stride 2 and padding 1.

    On a CPU by 2D poolings, first over rows and columns, then over frames: the 3D pooling's backward pass returns
    another memory layout than it was given, which slows every operation before it.
    """
    if x_BCTHW.is_cuda:
        return functional.max_pool3d(x_BCTHW, kernel_size=3, stride=2, padding=1)
    num_clips = x_BCTHW.shape[0]
    frames = x_BCTHW.transpose(1, 2).flatten(0, 1)
    small = functional.max_pool2d(frames, kernel_size=3, stride=2, padding=1)
    columns = small.unflatten(0, (num_clips, -1)).transpose(1, 2).flatten(3)
    pooled = functional.max_pool2d(columns, kernel_size=(3, 1), stride=(2, 1), padding=(1, 0))
    unflattened: Tensor = pooled.unflatten(3, small.shape[2:])
    return unflattened


class DepthwiseConv(nn.Conv3d):
    """A 3 x 3 x 3 convolution in each channel alone, with padding 1 and no bias."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__(channels, channels, kernel_size=3, stride=stride, padding=1, groups=channels, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        if input.is_cuda or not torch.is_grad_enabled():
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            out: Tensor = _DepthwiseOnCPU.apply(input.float(), self.weight, self.stride[0])
        return out


class _DepthwiseOnCPU(torch.autograd.Function):
    """The depthwise convolution with backward passes made of fast operations.

    PyTorch's own take 15 to 150 times the forward pass on a CPU. Here the input's gradient is the forward convolution
    of the output's gradient (zeros between its entries when the stride is 2) with the kernel turned round, and the
    weight's gradient comes from one matrix product a channel.
    """

    @staticmethod
    def forward(ctx: Any, x_BCTHW: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x_BCTHW, weight)
        ctx.stride = stride
        return functional.conv3d(x_BCTHW, weight, stride=stride, padding=1, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_BCTHW, weight = ctx.saved_tensors
        grad_BCUVX = grads[0]
        grad_x = input_gradient(grad_BCUVX, weight, x_BCTHW.shape, ctx.stride) if ctx.needs_input_grad[0] else None
        grad_weight = weight_gradient(grad_BCUVX, x_BCTHW, ctx.stride) if ctx.needs_input_grad[1] else None
        return grad_x, grad_weight, None


def input_gradient(grad_BCUVX: Tensor, weight: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """Gradient of a depthwise convolution by its input of that shape."""
    if stride == 2:
        spread = grad_BCUVX.new_zeros(shape).contiguous(memory_format=torch.channels_last_3d)
        spread[:, :, ::2, ::2, ::2] = grad_BCUVX
        grad_BCUVX = spread
    return functional.conv3d(grad_BCUVX, weight.flip(2, 3, 4), padding=1, groups=len(weight))


def weight_gradient(grad_BCUVX: Tensor, x_BCTHW: Tensor, stride: int) -> Tensor:
    """Gradient of a depthwise convolution by its weight [C, 1, 3, 3, 3].

    For each of the three column offsets, every (frame, row) of the output is multiplied with every (frame, row) of the
    padded input, summed over clips and columns; the nine pairs of offsets in time and row are then read off.
    """
    num_clips, channels, num_u, num_v, num_x = grad_BCUVX.shape
    num_t, num_h = x_BCTHW.shape[2] + 2, x_BCTHW.shape[3] + 2
    x_CKTHBX = x_BCTHW.new_zeros(channels, 3, num_t, num_h, num_clips, num_x)
    for offset in range(3):
        first = 1 if offset == 0 else 0  # output columns from here read inside the picture
        columns = x_BCTHW[..., stride * first + offset - 1 :: stride][..., : num_x - first]
        x_CKTHBX[:, offset, 1:-1, 1:-1, :, first : first + columns.shape[4]] = columns.permute(1, 2, 3, 0, 4)
    x_CLN = x_CKTHBX.view(channels, 3 * num_t * num_h, num_clips * num_x)
    grad_CRN = grad_BCUVX.permute(1, 2, 3, 0, 4).reshape(channels, num_u * num_v, num_clips * num_x)
    products = torch.bmm(grad_CRN, x_CLN.transpose(1, 2)).view(channels, num_u * num_v, 3, num_t * num_h)
    rows_R, places_JR = _taps(num_u, num_v, num_h, stride)
    taps_JRCK = products[:, rows_R, :, places_JR]
    return taps_JRCK.sum(1).transpose(0, 1).reshape(channels, 1, 3, 3, 3)


@cache
def _taps(num_u: int, num_v: int, num_h: int, stride: int) -> tuple[Tensor, Tensor]:
    """For the nine offsets in time and row: each place of the output, and the place of the padded input it reads."""
    rows_R = torch.arange(num_u * num_v)
    u_R, v_R = rows_R // num_v, rows_R % num_v
    places = [(stride * u_R + i) * num_h + stride * v_R + j for i in range(3) for j in range(3)]
    return rows_R, torch.stack(places)
