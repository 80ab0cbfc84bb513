"""Random integers as a function of names: no generator whose stream a library may change.

The bytes are SHAKE-256 of the name, so a draw is the same on every machine, in every version, for ever.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray


def random_bytes(name: str, *shape: int) -> NDArray[np.uint8]:
    """Uniform bytes of that shape, the same for the same name."""
    count = int(np.prod(shape))
    return np.frombuffer(hashlib.shake_256(name.encode()).digest(count), np.uint8).reshape(shape)


class Draws:
    """A row of draws under one name.

    Each draw takes the next four bytes; a remainder of 2^32 favours small values by less than one in ten million.
    """

    def __init__(self, name: str) -> None:
        self._words = iter(np.frombuffer(hashlib.shake_256(name.encode()).digest(4 * 256), "<u4").tolist())

    def below(self, count: int) -> int:
        """A whole number from 0 to count - 1."""
        return int(next(self._words) % count)

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + self.below(high - low + 1)

    def sign(self) -> int:
        """Plus or minus one."""
        return 1 - 2 * self.below(2)

    def shuffled(self, count: int) -> list[int]:
        """The numbers 0 to count - 1 in random order."""
        rest = list(range(count))
        return [rest.pop(self.below(len(rest))) for _ in range(count)]
