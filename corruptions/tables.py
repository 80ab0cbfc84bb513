"""The four noises as integer tables: (pixel value, 16 random bits) -> pixel value.

Pixels come in and go out as 8 bits and every one of the four noises treats each value alone, so a noise is exactly a
256 x 256 matrix of probabilities P(out | in). It is computed here in float64 from the formula of the source, its
cumulative sums are rounded to multiples of 2**-16, and each row becomes an alias table (Walker 1977; built as in
Vose 1991) in integers. From there on no floating point is involved, so every device draws the same pixels.

What rounding costs: no cumulative probability is off by more than 2**-17 = 7.6e-6.

One entry holds a threshold and an alias. Of the 16 random bits the low byte picks a column; when the high byte, read
as a signed number, is below the threshold, the column's number is the outcome, else the alias is.
"""

import hashlib
import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from corruptions.table_digests import DIGESTS

VALUES = 256
STEPS = 1 << 16
"""Probabilities are multiples of 1 / STEPS."""

ROOM = STEPS // VALUES
"""What one column of an alias table holds."""


@cache
def alias_table(family: str, constant: float) -> NDArray[np.int16]:
    """The table of one noise, flat: entry 256 * in + column is 256 * (threshold - 128) + alias.

    Raises:
        AssertionError: The table differs from the released one, so that scores would not be comparable.
    """
    table = _pack(*_alias(quantised_law(family, constant)))
    digest = table_digest(table)
    pinned = DIGESTS[family][constant]
    if digest != pinned:
        raise AssertionError(
            f"the {family} table for constant {constant:g} came out as {digest[:16]}, released was {pinned[:16]}: "
            "this machine's floating point differs, and noise drawn here would not be comparable; please report it"
        )
    table.flags.writeable = False
    return table


def table_digest(table: NDArray[np.int16]) -> str:
    """SHA-256 of the entries as little-endian 16-bit integers."""
    return hashlib.sha256(table.astype("<i2").tobytes()).hexdigest()


def cumulative_law(family: str, constant: float) -> NDArray[np.float64]:
    """P(out <= k | in = x) of the source's formula, at [x, k], before any rounding."""
    below = {"gaussian": _gaussian, "impulse": _impulse, "shot": _shot, "speckle": _speckle}[family](constant)
    below[:, -1] = 1.0
    return below


def quantised_law(family: str, constant: float) -> NDArray[np.int64]:
    """P(out = k | in = x) in units of 2**-16, at [x, k]; every row sums to 65536."""
    below = np.rint(cumulative_law(family, constant) * STEPS).astype(np.int64)
    return np.diff(below, axis=1, prepend=0)


def mean_shift(family: str, constant: float) -> NDArray[np.float64]:
    """E[out | in = x] - x in grey levels, for each x, under the table that is drawn from."""
    grey = np.arange(VALUES)
    shift: NDArray[np.float64] = (quantised_law(family, constant) * grey).sum(axis=1) / STEPS - grey
    return shift


# The four laws. Truncation to uint8 makes the outcome k when the noisy value lies in [k, k + 1) on the 0..255 scale,
# so for the continuous ones P(out <= k) is the probability of less than k + 1; clipping changes only the last column.


def _gaussian(constant: float) -> NDArray[np.float64]:
    """Source: clip(x + N(0, c)). In exact arithmetic only the difference of grey levels matters."""
    step = np.arange(-VALUES + 2, VALUES + 1)  # k + 1 - x
    at_step = _normal_below(step / 255 / constant)
    x, k = np.ogrid[:VALUES, :VALUES]
    below: NDArray[np.float64] = at_step[k + 1 - x - step[0]]
    return below


def _speckle(constant: float) -> NDArray[np.float64]:
    """Source: clip(x + x N(0, c)). Black stays black."""
    x, k = np.ogrid[1:VALUES, :VALUES]
    below: NDArray[np.float64] = np.vstack([np.ones((1, VALUES)), _normal_below(((k + 1) / x - 1) / constant)])
    return below


def _impulse(constant: float) -> NDArray[np.float64]:
    """Source: skimage's random_noise(x, mode="s&p", amount=c), each element alone, salt and pepper evenly.

    x / 255 * 255 truncates back to x for every 8-bit x, so what is not replaced stays.
    """
    x, k = np.ogrid[:VALUES, :VALUES]
    kept = np.where(k >= x, 1 - constant, 0.0)
    below: NDArray[np.float64] = constant / 2 + kept
    return below


def _shot(constant: float) -> NDArray[np.float64]:
    """Source: clip(Poisson(c x) / c). Counts reach grey levels through the source's own float64 operations."""
    count = np.arange(round(constant))  # from `constant` counts on, a value is white
    level = (count / float(constant) * 255).astype(np.uint8)
    rate = np.arange(1, VALUES)[:, None] / 255 * constant
    log_factorial = np.array([math.lgamma(n + 1) for n in count])
    at_count = np.exp(count * np.log(rate) - rate - log_factorial)
    fewer = np.concatenate([np.zeros((VALUES - 1, 1)), np.cumsum(at_count, axis=1)], axis=1)
    below = fewer[:, np.searchsorted(level, np.arange(VALUES), side="right")]
    return np.vstack([np.ones((1, VALUES)), below])


def _normal_below(z: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = (-z / math.sqrt(2)).ravel().tolist()
    return 0.5 * np.fromiter(map(math.erfc, scaled), np.float64, len(scaled)).reshape(z.shape)


def _alias(law: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Threshold and alias, both at [x, column], all rows at once and in integers.

    Columns with less than `ROOM` of their own ("short") are filled up, in order, by the first column that has more;
    when that one drops below `ROOM` it is itself filled up by the next one that has more.
    """
    row = np.arange(len(law))
    is_short = law < ROOM
    order = np.argsort(~is_short, axis=1, kind="stable")
    num_short = is_short.sum(axis=1)
    threshold = np.zeros_like(law)
    alias = np.tile(np.arange(VALUES), (len(law), 1))  # a column that is exactly full: threshold 0, alias itself

    next_short = np.zeros_like(row)
    giver_at = num_short.copy()
    giver = order[row, np.minimum(giver_at, VALUES - 1)]
    left = law[row, giver]
    for _ in range(VALUES):
        gives = (left > ROOM) & (next_short < num_short)
        taker = order[row, np.minimum(next_short, VALUES - 1)][gives]
        threshold[row[gives], taker] = law[row[gives], taker]
        alias[row[gives], taker] = giver[gives]
        left[gives] -= ROOM - law[row[gives], taker]
        next_short[gives] += 1

        moves = ~gives & (giver_at < VALUES - 1)
        following = order[row, np.minimum(giver_at + 1, VALUES - 1)]
        needs = moves & (left < ROOM)
        threshold[row[needs], giver[needs]] = left[needs]
        alias[row[needs], giver[needs]] = following[needs]
        left[moves] = law[row[moves], following[moves]] - (ROOM - left[moves])
        giver_at[moves] += 1
        giver[moves] = following[moves]
    assert (left == ROOM).all()
    assert (next_short == num_short).all()
    return threshold, alias


def _pack(threshold: NDArray[np.int64], alias: NDArray[np.int64]) -> NDArray[np.int16]:
    return ((threshold - 128) * 256 + alias).astype(np.int16).ravel()
