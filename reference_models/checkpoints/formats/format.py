"""What a checkpoint format is: a table of rules from its keys to a trunk's.

The next format is one more table: copy a file of this folder, write its rules, add it to `FORMATS`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.schema import Normalisation

Rename = tuple[str, str | Callable[[re.Match[str]], str]]
Reason = tuple[str, str]

IMAGENET = Normalisation()
KINETICS = Normalisation(mean=(0.43216, 0.394666, 0.37645), std=(0.22803, 0.22145, 0.216989))
"""torchvision's video networks."""

GREY = Normalisation(mean=(0.45, 0.45, 0.45), std=(0.225, 0.225, 0.225))
"""pytorchvideo, SlowFast and TimeSformer."""

RAW = Normalisation(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""Colours from 0 to 1, nothing subtracted."""

MOMENTUM: tuple[Reason, ...] = ((r"^queue", "queue of negatives"), (r"^encoder_k\.", "momentum encoder"))
"""What MoCo, and what is built upon it, saves beside the network that learns."""


@dataclass(frozen=True, kw_only=True)
class Format:
    """Rules from the keys of somebody's checkpoints to those of our trunks. All patterns are regular expressions."""

    name: str
    source: str
    """Whose files look like this."""

    architectures: tuple[str, ...] = ()
    """What they may hold; where several fit, the first. None where config.json tells."""

    marks: str = ""
    """A key by which the format is recognised."""

    normalisation: Normalisation
    """The colours its networks are trained with, unless the author says otherwise."""

    drops: tuple[Reason, ...] = ()
    """Keys, as they stand in the file, that are no part of the trunk, and why."""

    renames: tuple[Rename, ...] = ()
    """Applied to every other key, one after the other."""

    joins_qkv: bool = False
    """Whether `q`, `k` and `v` stand apart and belong into one `qkv`."""

    squeezes: str = ""
    """Renamed keys whose leading axes of length 1 are taken away."""

    fresh: tuple[Reason, ...] = ()
    """Keys of the trunk that the file does not have and that keep their initial value, and why."""


@dataclass(frozen=True)
class Translated:
    """A file's tensors under a trunk's keys."""

    tensors: dict[str, Tensor]
    dropped: dict[str, str]
    """Keys of the file that are no part of the trunk, and why."""


def translate(form: Format, tensors: Mapping[str, Tensor]) -> Translated:
    """The tensors under the trunk's names, without those that the format leaves behind."""
    kept: dict[str, Tensor] = {}
    dropped: dict[str, str] = {}
    for key, tensor in tensors.items():
        reason = next((why for pattern, why in form.drops if re.search(pattern, key)), None)
        if reason is not None:
            dropped[key] = reason
            continue
        name = renamed(key, form.renames)
        if name in kept:
            name = key  # two tensors for one place: the second is told as not understood
        kept[name] = _squeezed(tensor) if form.squeezes and re.search(form.squeezes, name) else tensor
    return Translated(_joined(kept) if form.joins_qkv else kept, dropped)


def renamed(key: str, renames: tuple[Rename, ...]) -> str:
    """The key after every rule."""
    for pattern, replacement in renames:
        key = re.sub(pattern, replacement, key)
    return key


def _squeezed(tensor: Tensor) -> Tensor:
    while tensor.ndim > 1 and tensor.shape[0] == 1:
        tensor = tensor[0]
    return tensor


def _joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stack `X.q.Y`, `X.k.Y` and `X.v.Y` where all three are there and alike; what is alone stays and is told later."""
    out = dict(tensors)
    for key in tensors:
        match = re.fullmatch(r"(.*\.)q\.(weight|bias)", key)
        if match is None:
            continue
        names = [f"{match[1]}{part}.{match[2]}" for part in "qkv"]
        parts = [tensors[name] for name in names if name in tensors]
        if len(parts) == 3 and len({(part.shape, part.dtype) for part in parts}) == 1 and parts[0].ndim:
            out = {name: tensor for name, tensor in out.items() if name not in names}
            out[f"{match[1]}qkv.{match[2]}"] = torch.cat(parts)
    return out
