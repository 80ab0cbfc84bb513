"""The appearance family: one figure wanders about. Its shape and pattern together are the class.

Where it goes, how it tilts, its size and colours are random, so one frame tells as much as all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.video.embedded.circle import TURN
from bench.video.embedded.draws import Draws
from bench.video.embedded.scene import Stage, Sway, draw_colour_pair, draw_figure, draw_sway

FIGURES = (
    ("triangle", "stripes"),
    ("square", "checker"),
    ("star", "rings"),
    ("cross", "sectors"),
    ("disc", "dots"),
    ("ring", "bars"),
)
CLASSES = tuple(f"{shape}_{pattern}" for shape, pattern in FIGURES)
LARGEST_TILT = TURN * 20 // 360


@dataclass(frozen=True)
class AppearanceVideo:
    """All that is random in a video of the appearance family."""

    stage: Stage
    figure: tuple[str, str]
    colours: tuple[tuple[int, int, int], tuple[int, int, int]]
    radius: int
    centre: tuple[int, int]
    sways: tuple[Sway, Sway, Sway, Sway]
    """How the centre wanders: two swings down, two across."""
    tilt: int
    wobble: Sway

    @property
    def label(self) -> int:
        """What an oracle says: it reads the figure from the parameters."""
        return FIGURES.index(self.figure)

    def render(self) -> NDArray[np.uint8]:
        """Frames, uint8 [T, HEIGHT, WIDTH, 3]."""
        frames = self.stage.frames()
        num_frames = len(frames)
        down = self.centre[0] + self.sways[0].path(num_frames) + self.sways[1].path(num_frames)
        across = self.centre[1] + self.sways[2].path(num_frames) + self.sways[3].path(num_frames)
        tilt = self.tilt + self.wobble.path(num_frames)
        draw_figure(frames, *self.figure, self.colours, self.radius, down, across, tilt)
        self.stage.add_grain(frames)
        return frames


def draw_appearance(name: str, label: int, stage: Stage) -> AppearanceVideo:
    """The video of that name and class on that stage."""
    draws = Draws(name)
    return AppearanceVideo(
        stage=stage,
        figure=FIGURES[label],
        colours=draw_colour_pair(draws, 240),
        radius=draws.between(16 * 23, 16 * 31),
        centre=(16 * 60 + draws.between(-40, 40), 16 * 80 + draws.between(-160, 160)),
        sways=(draw_sway(draws, 64), draw_sway(draws, 64), draw_sway(draws, 160), draw_sway(draws, 160)),
        tilt=draws.between(-LARGEST_TILT, LARGEST_TILT),
        wobble=draw_sway(draws, TURN * 6 // 360),
    )
