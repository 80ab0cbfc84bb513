"""How large a decoder draws: on a small network the last pixels of a drawing cost several times what the network does."""

import torch
from torch import Tensor
from torch.nn import functional


def shrunk(frames: Tensor, times: int) -> Tensor:
    """Means over squares of so many pixels, [B, ..., H, W].

    Clip by clip, since a copy of all is larger than the cache, and with the frames of a pixel side by side in memory, where the
    pooling takes several at once.
    """
    if times == 1:
        return frames
    small = [functional.avg_pool2d(side_by_side(one.flatten(0, -3)), times)[0] for one in frames]
    return torch.stack([one.contiguous() for one in small]).unflatten(1, frames.shape[1:-2])


def side_by_side(frames_NHW: Tensor) -> Tensor:
    """The frames as the channels of one picture, [1, N, H, W], pixel by pixel in memory."""
    return frames_NHW[None].contiguous(memory_format=torch.channels_last)
