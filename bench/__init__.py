"""One encoder in, scores out.

`bench.evaluate(encoder, suite, data)` judges anything that keeps the contract of `bench.encoder`, and never asks who
made it. The public names below are imported when they are asked for; nothing heavy is imported here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.encoder import TorchEncoder as TorchEncoder
    from bench.schema import Normalisation as Normalisation
    from bench.way_in import evaluate as evaluate

PUBLIC = {"evaluate": "bench.way_in", "TorchEncoder": "bench.encoder", "Normalisation": "bench.schema"}
"""Module of each public name."""


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
