"""The motion family: two belts, one above the other, carry figures past. Which way each belt runs is the class.

A belt repeats its figure, so its state runs on a circle: it begins at a random place, and no frame, the first one
included, tells which way it runs, while every stretch of a few frames does. A video played backwards is a video of the
class with both ways turned round (its twin), drawn with equal probability: between twins an unordered set of frames
tells nothing at all. Both ways occur on both belts, so what moves where has to be told apart, not only that something
moves to the left.

The pretraining videos are cut around the action, as curated sets are: each belt carries one figure, and it passes the
middle of the picture near the middle of the video. So their frames have a place in time once the way is seen, and clip
order prediction has something to learn; a single frame of unknown place in time still tells nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.video.embedded.circle import TURN
from bench.video.embedded.draws import Draws
from bench.video.embedded.figures import PATTERNS, SHAPES
from bench.video.embedded.scene import WIDTH, Path, Stage, Sway, draw_colour_pair, draw_figure, draw_sway, times

CLASSES = ("left_left", "left_right", "right_left", "right_right")
"""The way of the upper belt, then that of the lower one."""

ROWS = (30, 90)
"""Where the belts run, in pixels from above."""

SLOWEST, FASTEST = 13, 18
"""Way in half a frame of a 64-frame video, in 1/16 pixel: 1.6 to 2.3 pixels a frame."""

NEAREST, FARTHEST = 100, 120
"""Pixels from one figure of a belt to the next; a clip's square shows 105."""

Colours = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class Belt:
    """A row of equal figures that moves steadily to one side."""

    row: int
    """Of the figures' centres; as all lengths here in 1/16 pixel."""

    column: int
    """Of one figure's centre in the middle of the video."""

    speed: int
    """In half a frame; positive to the right."""

    spacing: int | None
    """From figure to figure; None for a single one."""

    figure: tuple[str, str]
    """Shape and pattern."""

    colours: Colours
    radius: int
    tilt: int

    def reversed(self) -> "Belt":
        """The same, seen backwards."""
        return replace(self, speed=-self.speed)

    def columns(self, num_frames: int) -> list[Path]:
        """The column of each figure in each frame, of as many as can be seen."""
        first = self.column + self.speed * times(num_frames)
        if self.spacing is None:
            return [first]
        count = 16 * WIDTH // self.spacing + 2
        first = first % self.spacing - self.spacing
        return [first + number * self.spacing for number in range(count + 1)]


@dataclass(frozen=True)
class MotionVideo:
    """All that is random in a video of the motion family."""

    stage: Stage
    belts: tuple[Belt, Belt]
    sway: Sway
    """How both belts swing up and down."""

    @property
    def label(self) -> int:
        """What an oracle says: it reads the two ways from the parameters."""
        return 2 * (self.belts[0].speed > 0) + (self.belts[1].speed > 0)

    def reversed(self) -> "MotionVideo":
        """The video that shows the same frames backwards."""
        upper, lower = self.belts
        return MotionVideo(self.stage.reversed(), (upper.reversed(), lower.reversed()), self.sway.reversed())

    def render(self) -> NDArray[np.uint8]:
        """Frames, uint8 [T, HEIGHT, WIDTH, 3]."""
        frames = self.stage.frames()
        num_frames = len(frames)
        for belt in self.belts:
            down = belt.row + self.sway.path(num_frames)
            tilt = np.full(num_frames, belt.tilt)
            for across in belt.columns(num_frames):
                draw_figure(frames, *belt.figure, belt.colours, belt.radius, down, across, tilt)
        self.stage.add_grain(frames)
        return frames


def draw_motion(name: str, label: int, stage: Stage, centred: bool) -> MotionVideo:
    """The video of that name and class on that stage; `centred` as pretraining videos are."""
    draws = Draws(name)
    num_frames = len(stage.grain_offsets)
    ways = (1 if label & 2 else -1, 1 if label & 1 else -1)
    upper, lower = (_draw_belt(draws, row, way, num_frames, centred) for row, way in zip(ROWS, ways, strict=True))
    return MotionVideo(stage=stage, belts=(upper, lower), sway=draw_sway(draws, 32))


def _draw_belt(draws: Draws, row: int, way: int, num_frames: int, centred: bool) -> Belt:
    spacing = 16 * draws.between(NEAREST, FARTHEST)
    anywhere = draws.below(spacing)
    shapes, patterns = list(SHAPES), list(PATTERNS)
    return Belt(
        row=16 * row + draws.between(-32, 32),
        column=16 * WIDTH // 2 + draws.between(-160, 160) if centred else anywhere,
        # A longer video moves more slowly, so that its single figure too stays in the picture.
        speed=way * (draws.between(SLOWEST, FASTEST) * 64 // num_frames),
        spacing=None if centred else spacing,
        figure=(shapes[draws.below(len(shapes))], patterns[draws.below(len(patterns))]),
        colours=draw_colour_pair(draws, 200),
        radius=draws.between(16 * 19, 16 * 23),
        tilt=draws.below(TURN),
    )
