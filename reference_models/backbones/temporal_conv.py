"""A convolution over frames alone, fast on a CPU.

Clips that are channels last can be seen as pictures whose rows are frames and whose columns are all places of a frame.
The convolution over frames is then one in 2D over rows, with the same values; oneDNN's 2D kernels take a third of the
time of its 3D ones for it (`python -m benchmarks.backbones r2plus1d_10`).

Shapes: B clips, C channels, T H W frames, rows, columns, P = H x W places.
"""

from torch import Tensor, nn
from torch.nn import functional


class TemporalConv(nn.Conv3d):
    """`nn.Conv3d` with a kernel of k x 1 x 1 and a stride over frames only; same keys, same initialisation."""

    def forward(self, input: Tensor) -> Tensor:
        if input.is_cuda:
            return super().forward(input)
        stride, padding = (self.stride[0], 1), (int(self.padding[0]), 0)
        out_BCTP = functional.conv2d(input.flatten(3), self.weight.flatten(3), self.bias, stride, padding)
        out_BCTHW: Tensor = out_BCTP.unflatten(3, input.shape[3:])
        return out_BCTHW


def with_temporal_convs(net: nn.Module) -> None:
    """Let every convolution over frames alone in somebody else's network run like that."""
    for conv in net.modules():
        if type(conv) is nn.Conv3d and conv.kernel_size[0] > 1 and conv.kernel_size[1:] == conv.stride[1:] == (1, 1):
            conv.__class__ = TemporalConv  # the same weights and settings under another forward
