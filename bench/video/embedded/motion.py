"""The motion family: a satellite circles a wheel that spins. Which way each turns is the class.

Both states run on circles from a random place, so no frame, the first one included, tells which way. A video played
backwards is a video of the class with both ways turned round (its twin), drawn with equal probability: between twins an
unordered set of frames tells nothing at all. The satellite comes from everywhere and goes everywhere, so that the
direction in which something moves tells nothing either, only direction and place together.

The pretraining videos are cut around the action, as curated sets are: there the satellite is above the wheel in the
middle of the video. So their frames have a place in time once the way is seen, and clip order prediction has something
to learn; a single frame of unknown place in time still tells nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.video.embedded.circle import TURN, UNIT, cosine, sine
from bench.video.embedded.draws import Draws
from bench.video.embedded.figures import PATTERNS, SHAPES
from bench.video.embedded.scene import Path, Stage, Sway, draw_colour_pair, draw_figure, draw_sway, times

CLASSES = ("orbit_left_spin_left", "orbit_left_spin_right", "orbit_right_spin_left", "orbit_right_spin_right")

WHEEL_PATTERNS = ("half", "wedge", "pointer")
"""Patterns that look the same only after a whole turn."""
SLOWEST, FASTEST = 340, 440
"""Turning in half a frame of a 64-frame video, in 1/65,536 turn: 3.7 to 4.8 degrees a frame, two thirds to five sixths
of a turn in all."""

ABOVE = 3 * TURN // 4
"""The angle of a satellite above the wheel."""

AROUND_ABOVE = TURN // 24
"""How far from there the middle of a pretraining video may be."""

Colours = tuple[tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class Turning:
    """An angle that grows or falls steadily: `middle` in the middle of the video."""

    middle: int
    speed: int
    """In half a frame; its sign is the way round, positive to the right (clockwise)."""

    def path(self, num_frames: int) -> Path:
        """The angle in each frame."""
        return self.middle + self.speed * times(num_frames)

    def reversed(self) -> "Turning":
        """The same, seen backwards."""
        return Turning(self.middle, -self.speed)


@dataclass(frozen=True)
class MotionVideo:
    """All that is random in a video of the motion family."""

    stage: Stage
    centre: tuple[int, int]
    """Row and column about which everything turns, in 1/16 pixel."""
    sways: tuple[Sway, Sway]
    """How the centre wanders down and across."""
    orbit: Turning
    orbit_radius: int
    satellite: tuple[str, str]
    """Shape and pattern."""
    satellite_colours: Colours
    satellite_radius: int
    satellite_tilt: int
    spin: Turning
    wheel: tuple[str, str]
    wheel_colours: Colours
    wheel_radius: int

    @property
    def label(self) -> int:
        """What an oracle says: it reads the two ways from the parameters."""
        return 2 * (self.orbit.speed > 0) + (self.spin.speed > 0)

    def reversed(self) -> "MotionVideo":
        """The video that shows the same frames backwards."""
        return replace(
            self,
            stage=self.stage.reversed(),
            sways=(self.sways[0].reversed(), self.sways[1].reversed()),
            orbit=self.orbit.reversed(),
            spin=self.spin.reversed(),
        )

    def render(self) -> NDArray[np.uint8]:
        """Frames, uint8 [T, HEIGHT, WIDTH, 3]."""
        frames = self.stage.frames()
        num_frames = len(frames)
        down = self.centre[0] + self.sways[0].path(num_frames)
        across = self.centre[1] + self.sways[1].path(num_frames)
        spin = self.spin.path(num_frames)
        draw_figure(frames, *self.wheel, self.wheel_colours, self.wheel_radius, down, across, spin)
        orbit = self.orbit.path(num_frames)
        down = down + self.orbit_radius * sine(orbit) // UNIT
        across = across + self.orbit_radius * cosine(orbit) // UNIT
        tilt = np.full(num_frames, self.satellite_tilt)
        draw_figure(
            frames, *self.satellite, self.satellite_colours, self.satellite_radius, down, across, tilt
        )
        self.stage.add_grain(frames)
        return frames


def draw_motion(name: str, label: int, stage: Stage, centred: bool) -> MotionVideo:
    """The video of that name and class on that stage; `centred` as pretraining videos are."""
    draws = Draws(name)
    num_frames = len(stage.grain_offsets)
    orbit_way, spin_way = (1 if label & 2 else -1), (1 if label & 1 else -1)
    shapes, patterns = list(SHAPES), list(PATTERNS)
    # A longer video turns more slowly, so that it too spans less than a turn.
    orbit_speed = orbit_way * draws.between(SLOWEST, FASTEST) * 64 // num_frames
    spin_speed = spin_way * draws.between(SLOWEST, FASTEST) * 64 // num_frames
    return MotionVideo(
        stage=stage,
        centre=(16 * 60 + draws.between(-24, 24), 16 * 80 + draws.between(-96, 96)),
        sways=(draw_sway(draws, 16), draw_sway(draws, 48)),
        orbit=Turning(_middle(draws, centred), orbit_speed),
        orbit_radius=draws.between(16 * 30, 16 * 32),
        satellite=(shapes[draws.below(len(shapes))], patterns[draws.below(len(patterns))]),
        satellite_colours=draw_colour_pair(draws, 160),
        satellite_radius=draws.between(16 * 13, 16 * 15),
        satellite_tilt=draws.below(TURN),
        spin=Turning(_middle(draws, centred), spin_speed),
        wheel=("disc", WHEEL_PATTERNS[draws.below(len(WHEEL_PATTERNS))]),
        wheel_colours=draw_colour_pair(draws, 240),
        wheel_radius=draws.between(16 * 19, 16 * 22),
    )


def _middle(draws: Draws, centred: bool) -> int:
    anywhere = draws.below(TURN)
    return ABOVE + draws.between(-AROUND_ABOVE, AROUND_ABOVE) if centred else anywhere
