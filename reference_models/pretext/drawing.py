"""How large a decoder draws: on a small network the last pixels of a drawing cost several times what the network does."""

from torch import Tensor
from torch.nn import functional


def shrunk(frames: Tensor, times: int) -> Tensor:
    """Means over squares of so many pixels; rows and columns are the last two axes."""
    if times == 1:
        return frames
    return functional.avg_pool2d(frames.flatten(0, -4), times).unflatten(0, frames.shape[:-3])
