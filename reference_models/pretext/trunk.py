"""What a head must know of the trunk it stands on."""

from torch import nn


def width_of(trunk: nn.Module) -> int:
    """Features that a backbone gives."""
    width = trunk.feature_dim
    assert isinstance(width, int), "a backbone says how wide its features are"
    return width
