"""The resize of `bench.video.resize` with numba: both passes of one frame while it is in the processor's cache.

Letters: T frames, H W source height and width, h w those of the result, K taps.
"""

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True, boundscheck=False)
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
    taps_h, taps_w = weight_hK.shape[1], weight_wK.shape[1]
    half = np.int32(1 << 21)
    narrow_Hw3 = np.empty((height, out_width * 3), np.uint8)
    sums = np.empty(out_width * 3, np.int32)
    for t in range(num_frames):
        for y in range(height):
            row = frames_THW3[t, y].reshape(-1)
            for x in range(out_width):
                start = first_w[x] * 3
                red = green = blue = half
                for k in range(taps_w):
                    weight = weight_wK[x, k]
                    red += weight * np.int32(row[start + 3 * k])
                    green += weight * np.int32(row[start + 3 * k + 1])
                    blue += weight * np.int32(row[start + 3 * k + 2])
                narrow_Hw3[y, 3 * x] = red >> 22
                narrow_Hw3[y, 3 * x + 1] = green >> 22
                narrow_Hw3[y, 3 * x + 2] = blue >> 22
        for y in range(out_height):
            sums[:] = half
            for k in range(taps_h):
                weight = weight_hK[y, k]
                row = narrow_Hw3[first_h[y] + k]
                for x in range(out_width * 3):
                    sums[x] += weight * np.int32(row[x])
            target = out_Thw3[t, y].reshape(-1)
            for x in range(out_width * 3):
                target[x] = sums[x] >> 22
