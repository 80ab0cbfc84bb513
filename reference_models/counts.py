"""How large and how costly each backbone is, counted without computing anything (on the meta device).

Parameters are those of the trunk. Multiply-accumulates (MACs) are those of convolutions and matrix products for one
clip; GFLOPs are twice the MACs, as `torch.utils.flop_counter` has them.

The paper's Table 10 counts otherwise, and is reproduced by two conventions together: parameters with a head trunk ->
512 -> 101 (the first linear layer only where the trunk's feature is not 512 wide), and two operations more for every
element that goes through a batch norm, all doubled; C3D comes out 0.15 % below the print, the others as printed.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from reference_models.backbones import BACKBONES, FRAMES, SIZE, build, parse

HEAD_WIDTH, HEAD_CLASSES = 512, 101

TABLE_10 = {
    # parameters in millions, GFLOPs: arXiv 2504.06153, Table 10
    "shufflenet_v1_x2": (4.6, 1.1),
    "mobilenet_v2_x1": (3.1, 1.1),
    "squeezenet_1_1": (1.9, 1.8),
    "c3d": (27.7, 77.2),
    "r3d_10": (14.4, 39.8),
    "r2plus1d_10": (14.4, 42.9),
}


@dataclass(frozen=True, kw_only=True)
class Table10:
    """The paper's figures of one network beside ours, by its conventions."""

    parameters_millions: float
    """As the paper prints it."""

    gflops: float
    """As the paper prints it."""

    our_parameters: int
    """With the head trunk -> 512 -> 101."""

    our_gflops: float
    """With that head; a batch norm counts two multiply-accumulates an element."""


@dataclass(frozen=True, kw_only=True)
class Count:
    """One backbone."""

    name: str
    parameters: int
    """Of the trunk."""

    macs: int
    """For the clip below."""

    gflops: float
    """2 x MACs / 1e9."""

    feature_dim: int
    clip: str
    """Frames x height x width for which MACs are counted."""

    accepts: str
    """Which clips it takes, frames x size, found by asking it: `any x any`, `16n x any`, `8+ x 16+`, `16 x 112`."""

    source: str
    table_10: Table10 | None
    """For the six networks of the paper's Table 10."""


def count_all() -> list[Count]:
    """Every backbone we ship, in their order."""
    return [count(name) for name in BACKBONES]


def count(name: str) -> Count:
    """Size and cost of one backbone, for one clip: the one in its name, else 16 x 112 x 112."""
    plain, built_for = parse(name)
    frames, size = built_for or (FRAMES, SIZE)
    with torch.device("meta"):
        trunk: Any = build(name).eval()
        clips = torch.empty(1, 3, frames, size, size)
    parameters = sum(weight.numel() for weight in trunk.parameters())
    macs, norm_elements = cost(trunk, clips)
    feature_dim: int = trunk.feature_dim
    table_10 = None
    if plain in TABLE_10:
        bridge = 0 if feature_dim == HEAD_WIDTH else (feature_dim + 1) * HEAD_WIDTH
        head = bridge + (HEAD_WIDTH + 1) * HEAD_CLASSES
        head_macs = (feature_dim * HEAD_WIDTH if bridge else 0) + HEAD_WIDTH * HEAD_CLASSES
        table_10 = Table10(
            parameters_millions=TABLE_10[plain][0],
            gflops=TABLE_10[plain][1],
            our_parameters=parameters + head,
            our_gflops=2 * (macs + head_macs + 2 * norm_elements) / 1e9,
        )
    return Count(
        name=name,
        parameters=parameters,
        macs=macs,
        gflops=2 * macs / 1e9,
        feature_dim=feature_dim,
        clip=f"{frames} x {size} x {size}",
        accepts=accepted_clips(trunk),
        source=BACKBONES[plain].source,
        table_10=table_10,
    )


def cost(module: nn.Module, clips: Tensor) -> tuple[int, int]:
    """Multiply-accumulates of one pass, and the elements that go through batch norms."""
    elements = 0

    def add(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal elements
        elements += output.numel()

    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm3d)]
    handles = [norm.register_forward_hook(add) for norm in norms]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(clips)
    finally:
        for handle in handles:
            handle.remove()
    return counter.get_total_flops() // 2, elements


def accepted_clips(trunk: Any) -> str:
    """The clips that a backbone says it takes, frames x size: `any x any`, `16n x any`, `8+ x 16+`, `16 x 112`."""
    frames = [t for t in range(1, 129) if any(trunk.accepts(t, s, s) is None for s in (112, 224))]
    sizes = [s for s in range(1, 449) if any(trunk.accepts(t, s, s) is None for t in (8, 16, 32))]
    return f"{_in_short(frames, 128)} x {_in_short(sizes, 448)}"


def _in_short(numbers: list[int], last: int) -> str:
    """`any`, `8+` (8 or more), `16n` (multiples of 16), or the numbers themselves."""
    assert numbers
    first = numbers[0]
    if numbers == list(range(first, last + 1)):
        return "any" if first == 1 else f"{first}+"
    if numbers == list(range(first, last + 1, first)):
        return f"{first}n"
    return ", ".join(map(str, numbers))
