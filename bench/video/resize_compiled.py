"""The resize of `bench.video.resize` with numba: both passes of one frame while it is in the processor's cache.

Two things make it fast. Loop counters and places are unsigned, so that nothing is spent on negative indices; and every
sum is cut back to 32 bits, which it never needs more than, so that the columns' pass runs in vector instructions.

Letters: T frames, H W source height and width, h w those of the result, K taps.
"""

import numba
import numpy as np
from numpy import int32, uintp
from numpy.typing import NDArray

BITS = 22
"""PRECISION_BITS of `bench.video.resize`, which numba wants as a constant of this module."""

HALF = 1 << (BITS - 1)


@numba.njit(cache=True, nogil=True)
def resize_frames(
    frames_THW3: NDArray[np.uint8],
    first_h: NDArray[np.int32],
    weight_hK: NDArray[np.int32],
    first_w: NDArray[np.int32],
    weight_wK: NDArray[np.int32],
    out_Thw3: NDArray[np.uint8],
) -> None:
    """Rows are narrowed first, then columns; both round to uint8, as Pillow does."""
    num_frames, height, _, _ = frames_THW3.shape
    out_height, out_width = len(first_h), len(first_w)
    taps_h, taps_w = uintp(weight_hK.shape[1]), uintp(weight_wK.shape[1])
    narrow_Hw3 = np.empty((height, out_width * 3), np.uint8)
    sums = np.empty(out_width * 3, np.int32)
    for t in range(uintp(num_frames)):
        for y in range(uintp(height)):
            row = frames_THW3[t, y].reshape(-1)
            target = narrow_Hw3[y]
            for x in range(uintp(out_width)):
                place = uintp(first_w[x]) * uintp(3)
                red = green = blue = int32(HALF)
                for k in range(taps_w):
                    weight = weight_wK[x, k]
                    red = int32(red + weight * int32(row[place]))
                    green = int32(green + weight * int32(row[place + uintp(1)]))
                    blue = int32(blue + weight * int32(row[place + uintp(2)]))
                    place += uintp(3)
                target[uintp(3) * x] = red >> BITS
                target[uintp(3) * x + uintp(1)] = green >> BITS
                target[uintp(3) * x + uintp(2)] = blue >> BITS
        for y in range(uintp(out_height)):
            sums[:] = HALF
            for k in range(taps_h):
                weight = weight_hK[y, k]
                row = narrow_Hw3[uintp(first_h[y]) + k]
                for x in range(uintp(out_width * 3)):
                    sums[x] = int32(sums[x] + weight * int32(row[x]))
            target = out_Thw3[t, y].reshape(-1)
            for x in range(uintp(out_width * 3)):
                target[x] = sums[x] >> BITS
