"""Shapes and the patterns on them, as tables in whole numbers.

A figure is a table of 128 x 128 cells over the square from -1 to 1: how much it covers there, and where between its
two colours the cell lies. Drawing a figure means looking its pixels up (see `scene`), so edges are softened here, by
about one pixel of a figure drawn 30 pixels wide.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

SIZE = 128
Plane = NDArray[np.int32]
Mask = NDArray[np.bool_]

# Cells have odd coordinates from -127 to 127, so that none lies on an axis.
# Directions of a regular star or polygon are given as whole numbers near 100 (cos, sin).
_TRIANGLE = ((0, -100), (87, 50), (-87, 50))
_PENTAGON = ((0, -100), (95, -31), (59, 81), (-59, 81), (-95, -31))


def _facing(u: Plane, v: Plane, directions: tuple[tuple[int, int], ...]) -> list[Plane]:
    """How far each cell lies in each direction, times 100."""
    return [a * u + b * v for a, b in directions]


def _triangle(u: Plane, v: Plane) -> Mask:
    inside: Mask = np.max(_facing(u, v, tuple((-a, -b) for a, b in _TRIANGLE)), axis=0) < 6200
    return inside


def _square(u: Plane, v: Plane) -> Mask:
    return np.maximum(abs(u), abs(v)) < 88


def _disc(u: Plane, v: Plane) -> Mask:
    return u * u + v * v < 108 * 108


def _star(u: Plane, v: Plane) -> Mask:
    inward = np.sort(np.stack(_facing(u, v, tuple((-a, -b) for a, b in _PENTAGON))), axis=0)
    inside: Mask = inward[-2] < 4200
    return inside


def _cross(u: Plane, v: Plane) -> Mask:
    return (np.minimum(abs(u), abs(v)) < 38) & (np.maximum(abs(u), abs(v)) < 116)


def _bar(u: Plane, v: Plane) -> Mask:
    return (abs(u) < 122) & (abs(v) < 50)


def _ring(u: Plane, v: Plane) -> Mask:
    square = u * u + v * v
    return (square < 118 * 118) & (square > 52 * 52)


def _moon(u: Plane, v: Plane) -> Mask:
    return (u * u + v * v < 118 * 118) & ((u - 60) ** 2 + v * v > 88 * 88)


def _stripes(u: Plane, v: Plane) -> Mask:
    inside: Mask = (v + 256) // 24 % 2 == 0
    return inside


def _bars(u: Plane, v: Plane) -> Mask:
    inside: Mask = (u + 256) // 24 % 2 == 0
    return inside


def _checker(u: Plane, v: Plane) -> Mask:
    inside: Mask = ((u + 256) // 32 + (v + 256) // 32) % 2 == 0
    return inside


def _dots(u: Plane, v: Plane) -> Mask:
    return ((u + 256) % 44 - 22) ** 2 + ((v + 256) % 44 - 22) ** 2 < 13 * 13


def _rings(u: Plane, v: Plane) -> Mask:
    radius = np.sqrt((u * u + v * v).astype(np.float64)).astype(np.int32)  # correctly rounded, hence exact
    inside: Mask = radius // 20 % 2 == 0
    return inside


def _sectors(u: Plane, v: Plane) -> Mask:
    return (u > 0) ^ (v > 0) ^ (abs(u) > abs(v))


def _plain(u: Plane, v: Plane) -> Mask:
    return np.zeros(u.shape, np.bool_)


def _half(u: Plane, v: Plane) -> Mask:
    return u > 0


def _wedge(u: Plane, v: Plane) -> Mask:
    return (u > 0) & (abs(v) < u)


def _pointer(u: Plane, v: Plane) -> Mask:
    return ((u > -20) & (abs(v) < 26)) | ((u - 70) ** 2 + v * v < 42 * 42)


SHAPES: dict[str, Callable[[Plane, Plane], Mask]] = {
    "triangle": _triangle,
    "square": _square,
    "disc": _disc,
    "star": _star,
    "cross": _cross,
    "bar": _bar,
    "ring": _ring,
    "moon": _moon,
}
PATTERNS: dict[str, Callable[[Plane, Plane], Mask]] = {
    "stripes": _stripes,
    "bars": _bars,
    "checker": _checker,
    "dots": _dots,
    "rings": _rings,
    "sectors": _sectors,
    "plain": _plain,
    "half": _half,
    "wedge": _wedge,
    "pointer": _pointer,
}


@cache
def figure(shape: str, pattern: str) -> NDArray[np.uint8]:
    """Cover and shade, [2, SIZE * SIZE], each 0 to 255."""
    axis = 2 * np.arange(SIZE, dtype=np.int32) - SIZE + 1
    u, v = np.broadcast_arrays(axis[None, :], axis[:, None])
    table = np.stack([_soften(SHAPES[shape](u, v)), _soften(PATTERNS[pattern](u, v))])
    return table.reshape(2, SIZE * SIZE)


def _soften(mask: Mask) -> NDArray[np.uint8]:
    """The share of a cell's 5 x 5 neighbours that are in the mask; nothing lies outside the table."""
    padded = np.pad(mask.astype(np.int32), 2)
    tall = sum(padded[i : i + SIZE] for i in range(5))
    wide = sum(np.asarray(tall)[:, j : j + SIZE] for j in range(5))
    return (np.asarray(wide) * 255 // 25).astype(np.uint8)
