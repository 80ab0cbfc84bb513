"""The picture of a training for its model card: one panel a column of the log, means and extremes over neighbouring steps."""

import io
import json
import math
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

HIDDEN = ("step", "rate")
MOST_PANELS = 4
WIDTH, HEIGHT, MARGIN = 360, 220, 16
"""Of a panel in pixels; margins are on its inside."""

TOP, LEFT, BOTTOM = 34, 52, 26
"""More room for the title, the values and the steps."""

FINE = 3
"""Drawn so many times larger, then made smaller: smooth lines."""

PAPER, INK, QUIET, LINE, BAND = "#ffffff", "#1f2933", "#7b8794", "#2563eb", "#c7d7fb"


def curves(log: Path) -> bytes:
    """A PNG of a training's log.

    Args:
        log: JSON lines, one a step, as the training loop writes them.

    Raises:
        ValueError: If it is no such log.
    """
    columns = read_log(log)
    shown = [name for name in columns if name not in HIDDEN and any(map(math.isfinite, columns[name]))][:MOST_PANELS]
    if not shown:
        raise ValueError(f"{log} holds no column of numbers. Leave it out, or write it with `reelproof pretrain`.")
    across = min(2, len(shown))
    down = math.ceil(len(shown) / across)
    picture = Image.new("RGB", (across * WIDTH * FINE, down * HEIGHT * FINE), PAPER)
    draw = ImageDraw.Draw(picture)
    for place, name in enumerate(shown):
        _panel(draw, (place % across * WIDTH, place // across * HEIGHT), name, columns[name])
    small = picture.resize((across * WIDTH, down * HEIGHT), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    small.quantize(64).save(written, "PNG", optimize=True)
    return written.getvalue()


def read_log(log: Path) -> dict[str, list[float]]:
    """The log's columns of numbers, those that every line has."""
    try:
        rows = [json.loads(line) for line in log.read_text().splitlines()]
        names = [name for name in rows[0] if all(isinstance(row.get(name), int | float) for row in rows)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{log} is no log of a training ({error}). Leave it out of the folder.") from error
    return {name: [float(row[name]) for row in rows] for name in names}


def binned(values: list[float], bins: int) -> list[tuple[float, float, float]]:
    """Lowest, mean and highest of each of at most so many equal stretches."""
    bins = min(bins, len(values))
    ends = [len(values) * n // bins for n in range(bins + 1)]
    parts = [values[first:last] for first, last in pairwise(ends)]
    return [(min(part), math.fsum(part) / len(part), max(part)) for part in parts]


def _panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, values: list[float]) -> None:
    left, right = corner[0] + LEFT, corner[0] + WIDTH - MARGIN
    top, bottom = corner[1] + TOP, corner[1] + HEIGHT - BOTTOM
    stretches = binned([value for value in values if math.isfinite(value)], (right - left) // 3)
    low, high = min(part[0] for part in stretches), max(part[2] for part in stretches)
    span = (high - low) or 1.0

    def point(place: int, value: float) -> tuple[float, float]:
        along = place / max(1, len(stretches) - 1)
        return FINE * (left + along * (right - left)), FINE * (bottom - (value - low) / span * (bottom - top))

    upper = [point(n, part[2]) for n, part in enumerate(stretches)]
    lower = [point(n, part[0]) for n, part in enumerate(stretches)]
    if len(stretches) > 1:
        draw.polygon([*upper, *reversed(lower)], fill=BAND)
        draw.line([point(n, part[1]) for n, part in enumerate(stretches)], fill=LINE, width=2 * FINE, joint="curve")
    draw.line([(FINE * left, FINE * top), (FINE * left, FINE * bottom), (FINE * right, FINE * bottom)], QUIET, FINE)
    _write(draw, left, top - 12, f"{name.replace('_', ' ')}, {stretches[-1][1]:.3g} at the end", "ls", INK, 14)
    _write(draw, left - 6, top, f"{high:.3g}", "rm", QUIET, 11)
    _write(draw, left - 6, bottom, f"{low:.3g}", "rm", QUIET, 11)
    _write(draw, left, bottom + 6, "step 1", "la", QUIET, 11)
    _write(draw, right, bottom + 6, f"{len(values):,}", "ra", QUIET, 11)


def _write(draw: ImageDraw.ImageDraw, x: int, y: int, words: str, anchor: str, colour: str, size: int) -> None:
    font = ImageFont.load_default(FINE * size)
    draw.text((FINE * x, FINE * y), words, colour, font, anchor)
