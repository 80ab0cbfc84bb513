"""A background seen by a drifting camera, with figures on it: to frames.

Positions count in 1/16 pixel, angles as in `circle`. A path is one number a frame.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.video.embedded.circle import TURN, UNIT, cosine, sine
from bench.video.embedded.draws import Draws
from bench.video.embedded.figures import SIZE, figure
from bench.video.embedded.textures import background, grain

HEIGHT, WIDTH = 120, 160
MARGIN = 24
"""How far the camera can drift to each side, in pixels."""
GRAIN_TILE = 64
DARKEST, BRIGHTEST = 40, 215
"""Colours keep away from 0 and 255, so that grain needs no clipping."""

Path = NDArray[np.int64]


@dataclass(frozen=True)
class Sway:
    """A slow swing: amplitude x sine(phase + speed x time), with time running from -(T-1) to T-1 in steps of two.

    Turning the speed round turns time round.
    """

    amplitude: int
    phase: int
    speed: int

    def path(self, num_frames: int) -> Path:
        """The offset in each frame, in the amplitude's unit."""
        return self.amplitude * sine(self.phase + self.speed * times(num_frames)).astype(np.int64) // UNIT

    def reversed(self) -> "Sway":
        """The same swing seen backwards."""
        return Sway(self.amplitude, self.phase, -self.speed)


@dataclass(frozen=True)
class Stage:
    """Everything behind the figures."""

    look: str
    """Names the background's texture."""
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    camera: tuple[Sway, Sway, Sway, Sway]
    """Two swings down and two across."""
    grain_strength: int
    grain_offsets: tuple[int, ...]
    """Where the grain tile is cut, one a frame: row x GRAIN_TILE + column."""

    def reversed(self) -> "Stage":
        """The same stage seen backwards."""
        sways = tuple(sway.reversed() for sway in self.camera)
        return Stage(self.look, self.colours, sways, self.grain_strength, self.grain_offsets[::-1])  # type: ignore[arg-type]

    def frames(self) -> NDArray[np.uint8]:
        """The empty stage, [T, HEIGHT, WIDTH, 3]."""
        num_frames = len(self.grain_offsets)
        picture = background(self.look, HEIGHT + 2 * MARGIN, WIDTH + 2 * MARGIN, self.colours)
        down = MARGIN + (self.camera[0].path(num_frames) + self.camera[1].path(num_frames)) // 16
        across = MARGIN + (self.camera[2].path(num_frames) + self.camera[3].path(num_frames)) // 16
        out = np.empty((num_frames, HEIGHT, WIDTH, 3), np.uint8)
        for frame, i, j in zip(out, down.tolist(), across.tolist(), strict=True):
            frame[:] = picture[i : i + HEIGHT, j : j + WIDTH]
        return out

    def add_grain(self, frames: NDArray[np.uint8]) -> None:
        """Lay the film grain over finished frames, in place."""
        if not self.grain_strength:
            return
        tile = grain(f"{self.look}/grain", HEIGHT + GRAIN_TILE, WIDTH + GRAIN_TILE, self.grain_strength)
        for frame, offset in zip(frames, self.grain_offsets, strict=True):
            i, j = divmod(offset, GRAIN_TILE)
            frame += tile[i : i + HEIGHT, j : j + WIDTH]


def times(num_frames: int) -> Path:
    """Time of each frame, from -(T-1) to T-1 in steps of two: symmetric about the middle of the video."""
    return 2 * np.arange(num_frames, dtype=np.int64) - (num_frames - 1)


def draw_colour(draws: Draws) -> tuple[int, int, int]:
    """A random colour between the darkest and the brightest."""
    return tuple(draws.between(DARKEST, BRIGHTEST) for _ in range(3))  # type: ignore[return-value]


def draw_colour_pair(draws: Draws, contrast: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Two random colours at least so far apart, summed over the channels."""
    first = draw_colour(draws)
    for _ in range(20):
        second = draw_colour(draws)
        if sum(abs(a - b) for a, b in zip(first, second, strict=True)) >= contrast:
            return first, second
    # Twenty draws in a row too near: the first colour's opposite corner is far enough.
    return first, tuple(BRIGHTEST if value < 128 else DARKEST for value in first)  # type: ignore[return-value]


def draw_sway(draws: Draws, amplitude: int) -> Sway:
    """A swing of up to that amplitude, with a period of 60 to 200 frames, forwards or backwards."""
    period = draws.between(60, 200)
    return Sway(draws.between(amplitude // 4, amplitude), draws.below(TURN), draws.sign() * (TURN // (2 * period)))


def draw_figure(
    frames: NDArray[np.uint8],
    shape: str,
    pattern: str,
    colours: tuple[tuple[int, int, int], tuple[int, int, int]],
    radius: int,
    down: Path,
    across: Path,
    angle: Path,
) -> None:
    """Draw one figure into all frames, in place; what lies outside the picture is left out.

    Args:
        frames: uint8 [T, HEIGHT, WIDTH, 3].
        shape: A name of `figures.SHAPES`.
        pattern: A name of `figures.PATTERNS`.
        colours: Where the pattern is off, and on.
        radius: Half the side of the figure's square, in 1/16 pixel.
        down: Row of the centre in each frame, in 1/16 pixel.
        across: Column of the centre.
        angle: How far the figure is turned.
    """
    reach = radius * 23 // 16 // 16 + 1  # the square's corner, in whole pixels
    offsets = 16 * np.arange(-reach, reach + 1)
    top, left = down // 16 - reach, across // 16 - reach
    dy = (offsets[None, :] - (down % 16)[:, None]).astype(np.int32)[:, :, None]
    dx = (offsets[None, :] - (across % 16)[:, None]).astype(np.int32)[:, None, :]
    cos, sin = cosine(angle)[:, None, None], sine(angle)[:, None, None]
    # Cells of the table a 1/16 pixel, with 14 bits below the point after the division.
    cos, sin = cos * (SIZE // 2) // radius, sin * (SIZE // 2) // radius
    u = ((dx * cos + dy * sin) >> 14) + SIZE // 2
    v = ((dy * cos - dx * sin) >> 14) + SIZE // 2
    # Whatever lies outside the table is put into its corner, which no shape covers. A negative number has high bits too.
    cell = v * SIZE + u
    cell[(u | v) & -SIZE != 0] = 0
    cover_table, shade_table = figure(shape, pattern)
    shades = np.arange(256)[:, None]
    palette = ((np.array(colours[0]) * (255 - shades) + np.array(colours[1]) * shades) // 255).astype(np.int16)
    # Cover in 0..256 and premultiplied, so that blending takes one multiplication a byte.
    weight_table = cover_table.astype(np.int32) + (cover_table > 127)
    ink_table = (palette[shade_table].astype(np.int32) * weight_table[:, None]).astype(np.uint16)
    ink = np.take(ink_table, cell, axis=0)
    keep = np.take((256 - weight_table).astype(np.uint16), cell)[..., None]
    size = 2 * reach + 1
    for frame, i, j, ink_now, keep_now in zip(frames, top.tolist(), left.tolist(), ink, keep, strict=True):
        rows, columns = slice(max(-i, 0), min(HEIGHT - i, size)), slice(max(-j, 0), min(WIDTH - j, size))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue  # out of the picture
        patch = frame[i + rows.start : i + rows.stop, j + columns.start : j + columns.stop]
        patch[:] = (patch * keep_now[rows, columns] + ink_now[rows, columns]) >> 8
