"""Networks from clips to features, one family a file.

A backbone keeps the contract of `bench.encoder.Backbone`: called on normalised clips [B, 3, T, H, W] it gives pooled
features [B, feature_dim]; `layers()` names the modules whose outputs are compared; `accepts(frames, height, width)` says
which clips it takes; `forward_features` gives the last map or tokens before pooling. From pooling on everything is
float32, whatever autocast made of the trunk. A family's file has one function for each member, named as the member;
here stands which file that is. Nothing heavy is imported before `build`.

Names: `_10` are the ten-layer nets of the paper's Table 10, `_18` always the eighteen-layer ones. Four networks have
position tables of one size. Their name may carry the clip they are built for, `timesformer_b@8x224` (frames x size);
without it they take 16 frames of 112 pixels. Names that begin with `transformers_` are those of the Hub's own encoders, of
any size (transformers_name.py).
"""

import re
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from reference_models.backbones.transformers_name import PREFIX, spec_named

if TYPE_CHECKING:
    from torch import nn

FRAMES, SIZE = 16, 112
"""The clip of the paper: what a network built for one clip is built for unless its name says otherwise."""


class Listing(NamedTuple):
    """Where a backbone stands."""

    module: str
    """The file in this folder that has a function of the backbone's name."""

    source: str
    """Whose network it is."""

    built_for_one_clip: bool = False
    """Whether its function takes the frames and the size of the clip."""


_EFFICIENT = "okankop/Efficient-3DCNNs"
_VCOP = "xudejing/video-clip-order-prediction"

BACKBONES: dict[str, Listing] = {
    "shufflenet_v1_x2": Listing("shufflenet", _EFFICIENT),
    "shufflenet_v1_x1": Listing("shufflenet", f"{_EFFICIENT}, narrower"),
    "shufflenet_v1_x0_5": Listing("shufflenet", f"{_EFFICIENT}, narrower"),
    "shufflenet_v1_x0_25": Listing("shufflenet", f"{_EFFICIENT}, narrower"),
    "squeezenet_1_1": Listing("squeezenet", _EFFICIENT),
    "mobilenet_v2_x1": Listing("mobilenet", _EFFICIENT),
    "c3d": Listing("c3d", _VCOP),
    "r3d_10": Listing("resnet", f"{_VCOP}, by torchvision"),
    "r2plus1d_10": Listing("r2plus1d", _VCOP),
    "r3d_18": Listing("resnet", "torchvision"),
    "r3d_18_eps3": Listing("resnet", "torchvision, batch norm eps 1e-3"),
    "r2plus1d_18": Listing("resnet", "torchvision"),
    "r2plus1d_18_eps3": Listing("resnet", "torchvision, batch norm eps 1e-3"),
    "r2plus1d_18_vmz": Listing("resnet", "facebookresearch/VMZ, by torchvision"),
    "swin3d_t": Listing("swin", "torchvision"),
    "swin3d_t_exact_bias": Listing("swin", "torchvision, position bias looked up exactly"),
    "mvit_v1_b": Listing("mvit", "torchvision", built_for_one_clip=True),
    "mvit_v2_s": Listing("mvit", "torchvision", built_for_one_clip=True),
    "timesformer_b": Listing("timesformer", "facebookresearch/TimeSformer", built_for_one_clip=True),
    "vivit_b": Listing("vivit", "google-research/scenic, model 1", built_for_one_clip=True),
    "videomae_vit_mini": Listing("videomae", "MCG-NJU/VideoMAE, narrower, smaller patches"),
    "videomae_vit_s": Listing("videomae", "MCG-NJU/VideoMAE"),
    "videomae_vit_b": Listing("videomae", "MCG-NJU/VideoMAE"),
    "vjepa2_vit_l": Listing("vjepa2", "facebookresearch/vjepa2"),
}


def build(name: str) -> "nn.Module":
    """A freshly initialised backbone, under the current torch seed.

    Raises:
        ValueError: If there is none of this name, naming the nearest, or the library that builds it is not installed.
    """
    backbone: nn.Module
    if name.startswith(PREFIX):
        backbone = import_module(f"{__name__}.from_transformers").build_named(name)
        return backbone
    plain, clip = parse(name)
    listing = BACKBONES[plain]
    make = getattr(import_module(f"{__name__}.{listing.module}"), plain)
    backbone = make(*(clip or (FRAMES, SIZE))) if listing.built_for_one_clip else make()
    return backbone


def parse(name: str) -> tuple[str, tuple[int, int] | None]:
    """The plain name (the whole one of an encoder of transformers), and (frames, size) where the name carries a clip.

    Raises:
        ValueError: If there is no such backbone, or its name cannot carry that clip.
    """
    if name.startswith(PREFIX):
        spec = spec_named(name)
        return name, (spec.frames, spec.size) if spec.built_for_one_clip else None
    plain, _, clip = name.partition("@")
    if plain not in BACKBONES:
        raise ValueError(f"There is no backbone {name!r}. {nearest(plain)}")
    if "@" not in name:
        return plain, None
    if not BACKBONES[plain].built_for_one_clip:
        raise ValueError(f"{plain} is not built for one clip: leave {'@' + clip!r} away.")
    size = re.fullmatch(r"([1-9][0-9]{0,2})x([1-9][0-9]{0,2})", clip)
    if size is None:
        raise ValueError(f"{name!r} does not end in frames x size, as {plain}@16x224 does.")
    return plain, (int(size[1]), int(size[2]))


def nearest(name: str) -> str:
    """A sentence with the names that come nearest, else with all."""
    close = get_close_matches(name, BACKBONES, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else f"There is: {', '.join(BACKBONES)}."
