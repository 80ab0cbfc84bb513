"""Corruptions as their authors might write them: two good ones, and many with one fault each."""

import random

import numpy as np

from corruptions import bits
from corruptions.definition import Definition
from corruptions.noise import Noise


class Dropout:
    """Frames turn black with rising probability; a good corruption that works on frames."""

    name = "dropout"
    works_on = "frame"
    is_random = True
    mean_shift = (128.0,) * 5

    def __call__(self, frames, severity, *, video_id, frame_numbers):
        if severity not in (1, 2, 3, 4, 5):
            raise ValueError(f"severity is {severity}; expected 1 to 5")
        out = frames.copy()
        keys = bits.frame_keys(self.name, severity, video_id, frame_numbers)
        for frame, key in zip(out, keys, strict=True):
            lost = np.random.default_rng(key).random(frame.shape[:2]) < severity / 10
            frame[lost] = 0
        return out


class Posterise(Dropout):
    """Fewer and fewer grey levels; draws nothing, and works on values."""

    name = "posterise"
    works_on = "value"
    is_random = False
    mean_shift = (2.0, 4.0, 8.0, 16.0, 32.0)

    def __call__(self, frames, severity, *, video_id, frame_numbers, region=None):
        if severity not in (1, 2, 3, 4, 5):
            raise ValueError(f"severity is {severity}; expected 1 to 5")
        step = 2 ** (severity + 1)
        return frames // step * step


class OtherShape(Dropout):
    def __call__(self, frames, severity, **names):
        return super().__call__(frames, severity, **names)[:, 1:]


class Floats(Dropout):
    def __call__(self, frames, severity, **names):
        return super().__call__(frames, severity, **names) / 255


class InPlace(Dropout):
    def __call__(self, frames, severity, **names):
        frames[...] = super().__call__(frames, severity, **names)
        return frames


class GlobalGenerator(Dropout):
    def __call__(self, frames, severity, **names):
        out = super().__call__(frames, severity, **names)
        out[np.random.random(frames.shape[:3]) < 0.01] = 7  # noqa: NPY002
        return out


class ReseedsGlobally(Dropout):
    def __call__(self, frames, severity, **names):
        out = super().__call__(frames, severity, **names)
        random.seed(3)
        out[random.randrange(len(out))] ^= 1
        return out


class HashSeeded(Dropout):
    def __call__(self, frames, severity, *, video_id, frame_numbers):
        return super().__call__(frames, severity, video_id=str(hash(video_id)), frame_numbers=frame_numbers)


class SameForAllVideos(Dropout):
    def __call__(self, frames, severity, *, video_id, frame_numbers):
        return super().__call__(frames, severity, video_id="any", frame_numbers=frame_numbers)


class SaysItDrawsNothing(Dropout):
    is_random = False


class ByPlaceInTheClip(Dropout):
    def __call__(self, frames, severity, *, video_id, frame_numbers):
        return super().__call__(frames, severity, video_id=video_id, frame_numbers=range(len(frames)))


class ForgetsTheRegion(Noise):
    def __call__(self, frames, severity, *, video_id, frame_numbers, region=None):
        return super().__call__(frames, severity, video_id=video_id, frame_numbers=frame_numbers)


class Smears(Noise):
    """Adds noise and then mixes neighbouring columns, while it says that it works on values."""

    is_random = False

    def __call__(self, frames, severity, *, video_id, frame_numbers, region=None):
        return np.maximum(frames, np.roll(frames, severity, axis=2))


class Upside(Dropout):
    def __call__(self, frames, severity, **names):
        if severity not in (1, 2, 3, 4, 5):
            raise ValueError("1 to 5")
        return super().__call__(frames, 6 - severity, **names)


class DarkerThanDeclared(Dropout):
    mean_shift = (1.0,) * 5


class TakesAnySeverity(Dropout):
    def __call__(self, frames, severity, **names):
        return super().__call__(frames, min(max(int(severity), 1), 5), **names)


class IndexesByTheWrongError(Dropout):
    def __call__(self, frames, severity, **names):
        return super().__call__(frames, {1: 1, 2: 2, 3: 3, 4: 4, 5: 5}[severity], **names)


class Breaks(Dropout):
    def __call__(self, frames, severity, **names):
        raise RuntimeError("no such codec")


dropout = Dropout()
posterise = Posterise()
hash_seeded = HashSeeded()
shot = Noise(Definition("shot"))
