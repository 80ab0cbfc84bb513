"""One frame of a video under every noise and severity, on one picture.

As Figure 7 of Kumar et al., arXiv 2504.06153, with all severities and the clean frame. Pixels are shown one to one, or
enlarged by whole numbers: a smaller copy of a noisy frame has less noise. A frame larger than a cell is cut, not shrunk.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.video.decode import decode_frames, promised
from corruptions.definition import FAMILIES, FORMULAS, SEVERITIES, TABLES, Definition
from corruptions.noise import corrupt

Frame = NDArray[np.uint8]

LARGEST = (360, 480)
"""Height and width of a frame that is shown whole."""

SMALLEST_WIDTH = 200
"""Narrower frames are enlarged, so that the words below them have room."""

MARGIN, GAP, WORDS_HEIGHT = 24, 10, 22
TOP, LEFT = MARGIN + 92, MARGIN + 170
"""Where the cells begin, below the title and right of the noises' names."""

INK, FAINT, PAPER = (28, 30, 33), (104, 109, 115), (255, 255, 255)


@dataclass(frozen=True)
class Shown:
    """Which part of which frame stands in every cell, and how often each pixel is repeated along each side."""

    number: int
    full: tuple[int, int]
    cut: tuple[int, int, int, int]
    """Top, left, height and width."""

    enlarged: int

    def __str__(self) -> str:
        height, width = self.full
        words = f"frame {self.number}, {height} x {width} pixels"
        if self.cut[2:] != self.full:
            words += f", of which the middle {self.cut[2]} x {self.cut[3]}"
        return words + (f", enlarged {self.enlarged} times" if self.enlarged > 1 else ", one to one")


def draw_sheet(
    video: Path,
    out: Path,
    *,
    video_id: str,
    table: str = "ucf101-p",
    hold: bool = False,
    frame_number: int | None = None,
) -> Shown:
    """Write the sheet as a PNG file.

    Args:
        video: The file.
        out: Where to write, `.png`; replaced if it is there.
        video_id: What the noise is drawn for.
        table: Whose constants.
        hold: Noise held over the video, not fresh for each frame.
        frame_number: Which frame; the middle one where it is None.

    Raises:
        ValueError: The video or frame cannot be had, there is no such table, or the output cannot be written.
    """
    definitions = [Definition(family, table, hold=hold) for family in FAMILIES]
    if out.suffix.lower() != ".png":
        raise ValueError(f"{out} should end in .png.")
    frame_HW3, number = _frame(video, frame_number)
    shown = _shown(frame_HW3, number)
    sheet = _sheet(frame_HW3, shown, definitions, video_id)
    beside = out.with_name(f".half-{os.getpid()}-{out.name}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(beside, format="PNG")
        beside.replace(out)
    except OSError as error:
        raise ValueError(f"{out} cannot be written ({error.strerror}).") from error
    finally:
        beside.unlink(missing_ok=True)
    return shown


def _frame(video: Path, number: int | None) -> tuple[Frame, int]:
    """The frame of this number; else the one in the middle, as the file's header promises."""
    if number is not None and number < 0:
        raise ValueError(f"frame number {number} is not possible; frames are counted from 0.")
    wanted = promised(video).num_frames // 2 if number is None else number
    last, last_number = None, -1
    for last_number, last in enumerate(decode_frames(video)):  # noqa: B007 (used below)
        if last_number == wanted:
            break
    assert last is not None
    if number is not None and last_number != number:
        raise ValueError(f"{video} holds {last_number + 1} frames; number {number} was asked for, counted from 0.")
    return last, last_number


def _shown(frame_HW3: Frame, number: int) -> Shown:
    full = (frame_HW3.shape[0], frame_HW3.shape[1])
    height, width = min(full[0], LARGEST[0]), min(full[1], LARGEST[1])
    cut = ((full[0] - height) // 2, (full[1] - width) // 2, height, width)
    return Shown(number, full, cut, max(1, -(-SMALLEST_WIDTH // width)))


def _sheet(frame_HW3: Frame, shown: Shown, definitions: list[Definition], video_id: str) -> Image.Image:
    title, name, words = (ImageFont.load_default(size) for size in (22, 19, 15))
    _, _, height, width = shown.cut
    cell_height, cell_width = height * shown.enlarged, width * shown.enlarged
    step_x, step_y = cell_width + GAP, cell_height + WORDS_HEIGHT + GAP
    size = (
        LEFT + (1 + len(SEVERITIES)) * step_x - GAP + MARGIN,
        TOP + len(definitions) * step_y - GAP + MARGIN,
    )
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((MARGIN, MARGIN), video_id, INK, title)
    kept = "held over the video" if definitions[0].hold else "fresh for each frame"
    source = TABLES[definitions[0].table].source
    pen.text(
        (MARGIN, MARGIN + 30), f"{shown}; constants of {definitions[0].table} ({source}), noise {kept}", FAINT, words
    )
    for severity in (0, *SEVERITIES):
        heading = f"severity {severity}" if severity else "severity 0: clean"
        pen.text((LEFT + severity * step_x, TOP - 28), heading, INK, name)
    for row, definition in enumerate(definitions):
        y = TOP + row * step_y
        pen.text((MARGIN, y), definition.family, INK, name)
        pen.multiline_text((MARGIN, y + 28), _wrapped(FORMULAS[definition.family]), FAINT, words)
        for severity in (0, *SEVERITIES):
            x = LEFT + severity * step_x
            sheet.paste(_cell(frame_HW3, shown, definition, severity, video_id), (x, y))
            if severity:
                pen.text((x, y + cell_height + 2), f"c = {definition.constant(severity):g}", FAINT, words)
    return sheet


def _cell(frame_HW3: Frame, shown: Shown, definition: Definition, severity: int, video_id: str) -> Image.Image:
    if severity:
        frame_HW3 = corrupt(frame_HW3, definition, severity, video_id=video_id, frame_numbers=shown.number)
    top, left, height, width = shown.cut
    cut = frame_HW3[top : top + height, left : left + width]
    return Image.fromarray(cut.repeat(shown.enlarged, axis=0).repeat(shown.enlarged, axis=1))


def _wrapped(words: str, most: int = 22) -> str:
    """Lines of at most so many characters, broken between words."""
    lines = [""]
    for word in words.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > most:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
