"""The resize and crop of a suite, byte for byte what Pillow's `resize(BILINEAR)` on uint8 gives.

Source: Pillow's src/libImaging/Resample.c: a triangle filter as wide as the scale (antialiased), coefficients computed
in double and rounded once to 22 bits of fixed point; rows are narrowed first, the result rounded to uint8, then columns.

What differs: a crop is computed from the source pixels it needs and no others, and with numba (an extra) both passes
of a frame run while it is in the processor's cache. Without numba Pillow itself is called. The bytes are the same.

Letters: T frames, H W source height and width, h w those of the result.
"""

from functools import cache, lru_cache
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Frames = NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width, in pixels."""

Crop = tuple[int, int, int]
"""Top, left and side of a square, in pixels of the resized frame."""

PRECISION_BITS = 32 - 8 - 2
"""Of Pillow's fixed point: 8 bits a pixel, 2 to spare for filters with negative lobes."""


class Region(NamedTuple):
    """A rectangle of source pixels."""

    top: int
    left: int
    height: int
    width: int


class Taps(NamedTuple):
    """Which source pixels make each result pixel along one axis, and how much each counts."""

    first: NDArray[np.int32]
    """Of each result pixel, counted from `begin`."""

    weights: NDArray[np.int32]
    """One row for each result pixel, fixed point; every tap lies between `begin` and `end`."""

    begin: int
    end: int


def short_side(native: Size, side: int) -> Size:
    """Height and width with the short side as asked and the long side cut to whole pixels.

    Source: torchvision.transforms.functional._compute_resized_output_size.
    """
    height, width = native
    if height <= width:
        return side, int(side * width / height)
    return int(side * height / width), side


def centre_crop(resize: Size, size: int) -> Crop:
    """The square in the middle; where half a pixel is over, rounded to even as in torchvision's CenterCrop."""
    height, width = resize
    if size > height or size > width:
        raise ValueError(f"a crop of {size} pixels does not fit into frames of {height} x {width}.")
    return round((height - size) / 2), round((width - size) / 2), size


def cropped(frames_THW3: Frames, crop: Crop | None) -> Frames:
    """A view of the crop; of all pixels where there is none."""
    if crop is None:
        return frames_THW3
    _refuse_outside((frames_THW3.shape[1], frames_THW3.shape[2]), crop)
    top, left, side = crop
    return frames_THW3[:, top : top + side, left : left + side]


def resize_clip(frames_THW3: Frames, resize: Size, crop: Crop | None = None) -> Frames:
    """Resize whole frames, then crop: uint8 [T, h, w, 3]. Only what the crop shows is computed."""
    native = frames_THW3.shape[1], frames_THW3.shape[2]
    top, left, height, width = source_region(native, resize, crop)
    region_THW3 = frames_THW3[:, top : top + height, left : left + width]
    return resize_region(region_THW3, native, resize, crop)


def source_region(native: Size, resize: Size, crop: Crop | None = None) -> Region:
    """The source pixels on which a crop of the resized frames depends."""
    rows, columns = _both_taps(native, resize, crop)
    return Region(rows.begin, columns.begin, rows.end - rows.begin, columns.end - columns.begin)


def resize_region(region_THW3: Frames, native: Size, resize: Size, crop: Crop | None = None) -> Frames:
    """As `resize_clip`, from the pixels of `source_region` alone.

    Args:
        region_THW3: The region's pixels.
        native: Height and width of the whole frames.
        resize: Height and width of the whole frames after the resize.
        crop: What to keep of them; all where it is None.
    """
    rows, columns = _both_taps(native, resize, crop)
    expected = rows.end - rows.begin, columns.end - columns.begin, 3
    if region_THW3.dtype != np.uint8 or region_THW3.shape[1:] != expected:
        raise ValueError(f"the region is {region_THW3.dtype} {region_THW3.shape[1:]}, not uint8 {expected}.")
    if native == resize:
        return np.ascontiguousarray(region_THW3)
    if _has_numba():
        return _with_numba(region_THW3, rows, columns)
    return _with_pillow(region_THW3, native, resize, crop)


def _with_numba(region_THW3: Frames, rows: Taps, columns: Taps) -> Frames:
    from bench.video.resize_compiled import resize_frames  # noqa: PLC0415 - numba is an extra, and slow to import

    out_Thw3 = np.empty((len(region_THW3), len(rows.first), len(columns.first), 3), dtype=np.uint8)
    # A strided view would be compiled, and run, as another function.
    region_THW3 = np.ascontiguousarray(region_THW3)
    resize_frames(region_THW3, rows.first, rows.weights, columns.first, columns.weights, out_Thw3)
    return out_Thw3


def _with_pillow(region_THW3: Frames, native: Size, resize: Size, crop: Crop | None) -> Frames:
    """Pillow on a whole frame in which only the region is filled in; the crop depends on nothing else."""
    top, left, height, width = source_region(native, resize, crop)
    top_h, left_w, out_height, out_width = _window(resize, crop)
    whole_HW3 = np.zeros((*native, 3), dtype=np.uint8)
    out_Thw3 = np.empty((len(region_THW3), out_height, out_width, 3), dtype=np.uint8)
    for out_hw3, region_HW3 in zip(out_Thw3, region_THW3, strict=True):
        whole_HW3[top : top + height, left : left + width] = region_HW3
        small = Image.fromarray(whole_HW3).resize((resize[1], resize[0]), Image.Resampling.BILINEAR)
        out_hw3[:] = np.asarray(small)[top_h : top_h + out_height, left_w : left_w + out_width]
    return out_Thw3


@cache
def _has_numba() -> bool:
    return find_spec("numba") is not None


def _window(resize: Size, crop: Crop | None) -> Region:
    if crop is None:
        return Region(0, 0, *resize)
    _refuse_outside(resize, crop)
    top, left, side = crop
    return Region(top, left, side, side)


def _refuse_outside(size: Size, crop: Crop) -> None:
    top, left, side = crop
    if min(top, left) < 0 or side < 1 or top + side > size[0] or left + side > size[1]:
        raise ValueError(
            f"a crop of {side} pixels at row {top}, column {left} does not fit into frames of {size[0]} x {size[1]}."
        )


@lru_cache(maxsize=512)
def _both_taps(native: Size, resize: Size, crop: Crop | None) -> tuple[Taps, Taps]:
    if min(*native, *resize) < 1:
        raise ValueError(f"frames of {native[0]} x {native[1]} cannot be resized to {resize[0]} x {resize[1]}.")
    top, left, height, width = _window(resize, crop)
    return _taps(native[0], resize[0], top, height), _taps(native[1], resize[1], left, width)


def _taps(num_in: int, num_out: int, begin: int, length: int) -> Taps:
    """Pillow's precompute_coeffs and normalize_coeffs_8bpc, for the result pixels from `begin` on."""
    if num_in == num_out:
        first = np.arange(length, dtype=np.int32)
        return Taps(first, np.full((length, 1), 1 << PRECISION_BITS, dtype=np.int32), begin, begin + length)
    scale = num_in / num_out
    support = max(scale, 1.0)
    slope = 1.0 / support
    lows, rows = [], []
    for place in range(begin, begin + length):
        centre = (place + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), num_in)
        weights = [max(1.0 - abs((x - centre + 0.5) * slope), 0.0) for x in range(low, high)]
        total = 0.0
        for weight in weights:  # in Pillow's order, so that the sum is rounded as Pillow's
            total += weight
        lows.append(low)
        rows.append([int(0.5 + weight / total * (1 << PRECISION_BITS)) for weight in weights])
    start, end = lows[0], max(low + len(row) for low, row in zip(lows, rows, strict=True))
    # Every row gets the same number of taps: those too many weigh nothing, and lie within the region.
    num_taps = max(len(row) for row in rows)
    first = np.empty(length, dtype=np.int32)
    table = np.zeros((length, num_taps), dtype=np.int32)
    for place, (low, row) in enumerate(zip(lows, rows, strict=True)):
        first[place] = min(low - start, end - start - num_taps)
        shift = low - start - first[place]
        table[place, shift : shift + len(row)] = row
    return Taps(first, table, start, end)
