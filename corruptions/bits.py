"""Random bits as a function of names: 16 for every value of every frame, in no order.

A frame's two 64-bit keys are the BLAKE2b hash of (definition, severity, video id, frame number). The row and column of a value
choose a counter, and the bits are that counter sent through SplitMix64 (Steele, Lea and Flood, OOPSLA 2014; constants
of Stafford's variant 13), so any value's bits can be had alone, on any device, with integer arithmetic.

Differs from SplitMix64: the second key is exclusive-ored in between the two multiplications. The first key is a place on one
long circle that all frames share, and among millions of frames some pair will lie near each other; the second makes
such a pair draw different bits all the same.

A word of 64 bits serves four neighbouring values of a row: value e = 3 * column + channel has the 16-bit lane e % 4,
counted from the low end, of word e // 4. The word's counter is row * 2**20 + e // 4: nothing depends on the width of a frame.
"""

import hashlib
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

GOLDEN = 0x9E3779B97F4A7C15
FIRST_FACTOR = 0xBF58476D1CE4E5B9
SECOND_FACTOR = 0x94D049BB133111EB

ROW_SHIFT = 20
LANES = 4
LARGEST_ROW = (1 << 32) - 1
LARGEST_COLUMN = (LANES << ROW_SHIFT) // 3 - 1
LARGEST_FRAME_NUMBER = (1 << 63) - 1

MASK = (1 << 64) - 1


def frame_keys(definition: str, severity: int, video_id: str, frame_numbers: Iterable[int]) -> NDArray[np.uint64]:
    """The two keys of each frame, [F, 2]: where on the circle it starts, and its twist."""
    # No two tuples share a spelling: a definition holds no newline and the frame number has a fixed length.
    spelled = f"{definition}\n{severity}\n{video_id}".encode("utf-8", "surrogatepass")
    names = hashlib.blake2b(spelled, digest_size=16)
    keys = bytearray()
    for number in frame_numbers:
        frame = names.copy()
        frame.update(number.to_bytes(8, "little"))
        keys += frame.digest()
    return np.frombuffer(bytes(keys), "<u8").astype(np.uint64).reshape(-1, 2)


@lru_cache(maxsize=8)
def circle_steps(first_row: int, num_rows: int, first_word: int, num_words: int) -> NDArray[np.uint64]:
    """How far along the circle the words of a region lie from a frame's start, [rows, words]."""
    rows = np.arange(first_row, first_row + num_rows, dtype=np.uint64)[:, None]
    words = np.arange(first_word, first_word + num_words, dtype=np.uint64)
    steps = ((rows << np.uint64(ROW_SHIFT)) + words) * np.uint64(GOLDEN)
    steps.flags.writeable = False  # the next call with these numbers gets the same array
    return steps


def random_lanes(keys_F2: NDArray[np.uint64], steps_RW: NDArray[np.uint64]) -> NDArray[np.int16]:
    """The 16 bits of every value in a region, [F, rows, 4 * words]."""
    z = steps_RW + keys_F2[:, 0, None, None]
    shifted = z >> np.uint64(30)
    z ^= shifted
    z *= np.uint64(FIRST_FACTOR)
    z ^= keys_F2[:, 1, None, None]
    np.right_shift(z, np.uint64(27), out=shifted)
    z ^= shifted
    z *= np.uint64(SECOND_FACTOR)
    np.right_shift(z, np.uint64(31), out=shifted)
    z ^= shifted
    return z.astype("<u8", copy=False).view("<i2").astype(np.int16, copy=False)
