"""The noise of a clip in one compiled pass (numba, an extra); the same bits as the plain engines.

Compiled for one thread and without the GIL: callers run clips side by side, and numba's threading layer, which
disturbs other libraries' thread counts, is never started. The compiled code is cached beside this file, or where
`NUMBA_CACHE_DIR` says. Three short loops over a row, rather than one long one, because then the first and the last
become vector instructions and the middle is nothing but look-ups.
"""

from collections.abc import Callable

import numba
import numpy as np
from numba import types
from numpy.typing import NDArray

from corruptions.bits import FIRST_FACTOR, GOLDEN, LANES, ROW_SHIFT, SECOND_FACTOR
from corruptions.tables import alias_table

_SIGNATURE = types.void(
    types.Array(types.uint8, 3, "C", readonly=True),
    types.Array(types.uint64, 2, "C", readonly=True),
    types.Array(types.int16, 1, "C", readonly=True),
    types.int64,
    types.int64,
    types.Array(types.uint8, 3, "C"),
)

_ROW_SHIFT = np.uint64(ROW_SHIFT)
_GOLDEN = np.uint64(GOLDEN)
_FIRST_FACTOR = np.uint64(FIRST_FACTOR)
_SECOND_FACTOR = np.uint64(SECOND_FACTOR)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)
_BYTE = np.int16(255)
_EIGHT = np.uint16(8)


def _kernel(frames_FRN, keys_F2, table, first_row, first_value, out_FRN):  # type: ignore[no-untyped-def]
    num_frames, num_rows, num_values = frames_FRN.shape
    first_word = first_value // LANES
    lane = first_value % LANES
    words = np.empty((lane + num_values + LANES - 1) // LANES, np.uint64)
    lanes = words.view(np.int16)[lane : lane + num_values]
    entries = np.empty(num_values, np.int16)
    places = entries.view(np.uint16)
    for f in range(num_frames):
        twist = keys_F2[f, 1]
        for r in range(num_rows):
            start = keys_F2[f, 0] + ((np.uint64(first_row + r) << _ROW_SHIFT) + np.uint64(first_word)) * _GOLDEN
            for w in range(words.size):
                z = start + np.uint64(w) * _GOLDEN
                z = (z ^ (z >> _30)) * _FIRST_FACTOR ^ twist
                z = (z ^ (z >> _27)) * _SECOND_FACTOR
                words[w] = z ^ (z >> _31)
            frame_row = frames_FRN[f, r]
            out_row = out_FRN[f, r]
            for i in range(num_values):
                places[i] = (np.uint16(frame_row[i]) << _EIGHT) | np.uint16(lanes[i] & _BYTE)
            for i in range(num_values):
                entries[i] = table[places[i]]
            for i in range(num_values):
                bits = lanes[i]
                entry = entries[i]
                out_row[i] = np.uint8(bits if (bits | _BYTE) < entry else entry)


def _compile() -> Callable[..., None]:
    # The cache notices a change of this file only: touch it when a constant in `corruptions.bits` changes.
    try:
        compiled: Callable[..., None] = numba.njit(_SIGNATURE, nogil=True, cache=True)(_kernel)
    except RuntimeError:  # nowhere to write: compile anew in each process, which takes some seconds
        compiled = numba.njit(_SIGNATURE, nogil=True)(_kernel)
    return compiled


_compiled_kernel = _compile()


def add_noise(
    frames_FRN: NDArray[np.uint8],
    keys_F2: NDArray[np.uint64],
    family: str,
    constant: float,
    first_row: int,
    first_value: int,
    out_FRN: NDArray[np.uint8],
) -> None:
    """Fill `out_FRN` with the frames and their noise; the frames begin at that row and value of the full frame."""
    _compiled_kernel(frames_FRN, keys_F2, alias_table(family, constant), first_row, first_value, out_FRN)
