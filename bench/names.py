"""Chance from names: what is drawn depends on what it is drawn for, never on what was drawn before.

So a resumed run, another number of workers or another order draws the same. The names are whatever tells two draws
apart: stage, seed, epoch, video id.
"""

import hashlib
import json

import numpy as np

Name = str | int


def seed_of(*names: Name) -> int:
    """A number in [0, 2**63) that these names always give: BLAKE2b over their JSON, so that 1 and "1" differ."""
    text = json.dumps(names, separators=(",", ":"))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*names: Name) -> np.random.Generator:
    """A fresh generator for these names."""
    return np.random.default_rng(seed_of(*names))
