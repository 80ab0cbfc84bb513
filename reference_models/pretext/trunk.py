"""What a head must know of the trunk it stands on."""

import copy

import torch
from torch import nn

from bench.schema import ClipSpec


def width_of(trunk: nn.Module) -> int:
    """Features that a backbone gives."""
    width = trunk.feature_dim
    assert isinstance(width, int), "a backbone says how wide its features are"
    return width


@torch.no_grad()
def shape_before_pooling(trunk: nn.Module, clip: ClipSpec) -> tuple[int, ...]:
    """Of what `forward_features` gives for one clip, without the clip: (C, T, H, W) of a map, (N, C) of tokens."""
    shapes = copy.deepcopy(trunk).to("meta").eval()  # counts without computing
    one_clip = torch.empty(1, 3, clip.num_frames, clip.size, clip.size, device="meta")
    return tuple(shapes.forward_features(one_clip).shape[1:])  # type: ignore[operator]
