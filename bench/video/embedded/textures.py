"""Backgrounds and grain in whole numbers."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bench.video.embedded.draws import random_bytes

Colour = tuple[int, int, int]

OCTAVES = ((64, 8), (24, 5), (8, 3), (3, 3), (1, 3))
"""Cell size in pixels and weight of each layer of a background, coarse to fine; the finest survives the encoder."""


def smooth_noise(name: str, height: int, width: int, cell: int) -> NDArray[np.int32]:
    """Random values 0 to 255 on a grid of that cell size, interpolated linearly between."""
    grid = random_bytes(name, height // cell + 2, width // cell + 2).astype(np.int32)
    rows, columns = np.arange(height), np.arange(width)
    i, v = rows // cell, (rows % cell)[:, None]
    j, u = columns // cell, (columns % cell)[None, :]
    tall = grid[i] * (cell - v) + grid[i + 1] * v
    return ((tall[:, j] * (cell - u) + tall[:, j + 1] * u) // (cell * cell)).astype(np.int32)


@lru_cache(maxsize=4)
def background(name: str, height: int, width: int, colours: tuple[Colour, Colour]) -> NDArray[np.uint8]:
    """A picture [height, width, 3] between two colours, rough at every scale; kept for the next video of the group."""
    total = sum(weight for _, weight in OCTAVES)
    mix = np.zeros((height, width), np.int32)
    for cell, weight in OCTAVES:
        mix += weight * smooth_noise(f"{name}/{cell}", height, width, cell)
    # A sum of layers crowds in the middle; stretched by two about it, and cut.
    mix = np.clip(2 * (mix // total) - 128, 0, 255)[..., None]
    picture = ((np.array(colours[0]) * (255 - mix) + np.array(colours[1]) * mix) // 255).astype(np.uint8)
    picture.flags.writeable = False
    return picture


def grain(name: str, height: int, width: int, strength: int) -> NDArray[np.uint8]:
    """A tile of film grain [height, width, 3], as bytes to be added modulo 256; grey, so one value a pixel.

    Its standard deviation is about a quarter of `strength`.
    """
    bell = random_bytes(name, 4, height, width).astype(np.int32).sum(0) - 510  # standard deviation 148
    one = ((bell * strength + 296) // 592).astype(np.uint8)
    return np.repeat(one[..., None], 3, axis=2)
