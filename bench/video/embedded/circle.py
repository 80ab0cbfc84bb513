"""Sine and cosine in whole numbers: a table of 1024 steps a turn, in units of 1/16384.

Made with big integers from the first 40 digits of pi, since a float sine may differ in its last bit between machines.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

TURN = 1 << 16
"""An angle counts 65,536 to the turn; the table holds every 64th."""
UNIT = 1 << 14
"""The sine of a right angle."""

_STEPS = 1024
_SCALE = 10**40
_PI = 31415926535897932384626433832795028841971  # x 10^40


@cache
def sine_table() -> NDArray[np.int32]:
    """Sines of all steps of a turn, rounded to the nearest unit."""
    quarter = [_rounded_sine(step) for step in range(_STEPS // 4 + 1)]
    half = quarter + quarter[-2:0:-1]
    return np.array(half + [-value for value in half], np.int32)


def sine(angle: NDArray[np.int64]) -> NDArray[np.int32]:
    """Sine of angles in 1/65,536 of a turn."""
    table: NDArray[np.int32] = sine_table()[(angle // (TURN // _STEPS)) % _STEPS]
    return table


def cosine(angle: NDArray[np.int64]) -> NDArray[np.int32]:
    """Cosine of angles in 1/65,536 of a turn."""
    return sine(angle + TURN // 4)


def _rounded_sine(step: int) -> int:
    """The Taylor series of one sine, in units of 10^-40, rounded to the table's units."""
    x = 2 * _PI * step // _STEPS
    term = total = x
    for k in range(1, 30):
        term = -term * x // _SCALE * x // _SCALE // ((2 * k) * (2 * k + 1))
        total += term
    return (2 * total * UNIT + _SCALE) // (2 * _SCALE)
