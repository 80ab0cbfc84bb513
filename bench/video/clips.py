"""The clips of a data set as a suite wants them: clean ones from its frames, noisy ones from the native frames.

Shapes: V views, T frames, S side of the square crop.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.schema import ClipSpec, Condition
from bench.video.frame_list import FrameReader
from bench.video.index import Video, VideoSet
from bench.video.resize import centre_crop, resize_region, source_region
from bench.video.sampling import random_start, spread_clips
from bench.video.stream import native_frames
from corruptions.definition import Definition
from corruptions.noise import corrupt

Clip = NDArray[np.uint8]


@dataclass(frozen=True)
class Clips:
    """Clips of the splits of one data set. Holds open memory maps; cheap to make, safe to use from several threads."""

    spec: ClipSpec
    sets: Mapping[str, VideoSet]
    """By split: `train`, `validation`, `test`, `pretrain`."""

    stores: Mapping[str, FrameReader]
    """By split: frame stores, or streams where a set is too large for the disk."""

    def views(self, split: str, video_id: str, num_views: int) -> Clip:
        """Evenly spaced clips of a video, centre crop: uint8 [V, T, S, S, 3]."""
        store = self.stores[split]
        frames_VT = spread_clips(store.num_frames(video_id), self.spec, num_views)
        crops = [centre_crop(self.spec.resize, self.spec.size)] * num_views
        return np.stack(store.clips(video_id, list(frames_VT), crops))

    def view(self, split: str, video_id: str, num_views: int, number: int) -> Clip:
        """One of the `views`, without reading the others: uint8 [T, S, S, 3]."""
        store = self.stores[split]
        frames_VT = spread_clips(store.num_frames(video_id), self.spec, num_views)
        return store.clip(video_id, frames_VT[number], centre_crop(self.spec.resize, self.spec.size))

    def training_clip(self, split: str, video_id: str, rng: np.random.Generator, crop: str) -> Clip:
        """One clip from a start drawn from `rng`; the crop is `centre`, or `random` (drawn after the start): uint8 [T, S, S, 3]."""
        store = self.stores[split]
        frames_T = random_start(store.num_frames(video_id), self.spec, rng)
        top, left, size = centre_crop(self.spec.resize, self.spec.size)
        if crop == "random":
            height, width = self.spec.resize
            top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
        return store.clip(video_id, frames_T, (top, left, size))

    def noisy_views(
        self, split: str, video_id: str, num_views: int, conditions: Sequence[Condition]
    ) -> Iterator[tuple[Condition, Clip]]:
        """The evenly spaced clips under each condition.

        For noise at source the video is decoded once, then noised, resized and cropped; noise at input is laid upon the
        `views`, and `clean` yields these themselves.
        """
        frames_VT = spread_clips(self.stores[split].num_frames(video_id), self.spec, num_views)
        noises = {one: Definition.parse(one.corruption) for one in conditions if one.severity}
        clean_VTSS3, natives = self.views(split, video_id, num_views), []
        if any(noise.position == "source" for noise in noises.values()):
            decoded = native_frames(self.video(split, video_id), frames_VT)
            natives = [decoded.clip(frames_T) for frames_T in frames_VT]
        for condition in conditions:
            if condition not in noises:
                yield condition, clean_VTSS3
                continue
            noise, severity = noises[condition], condition.severity
            if noise.position == "source":
                clips = [self._noisy(*one, video_id, noise, severity) for one in zip(natives, frames_VT, strict=True)]
            else:
                clips = [
                    corrupt(clip_TSS3, noise, severity, video_id=video_id, frame_numbers=numbers_T)
                    for clip_TSS3, numbers_T in zip(clean_VTSS3, frames_VT, strict=True)
                ]
            yield condition, np.stack(clips)

    def video(self, split: str, video_id: str) -> Video:
        """The video of this id."""
        return self.sets[split].video(video_id)

    def _noisy(
        self, native: Clip, numbers_T: NDArray[np.int64], video_id: str, noise: Definition, severity: int
    ) -> Clip:
        """One clip under noise at source, drawn for the pixels that the crop shows, and for no others."""
        resize, crop = self.spec.resize, centre_crop(self.spec.resize, self.spec.size)
        size = (native.shape[1], native.shape[2])
        top, left, height, width = source_region(size, resize, crop)
        noisy = corrupt(
            native[:, top : top + height, left : left + width],
            noise,
            severity,
            video_id=video_id,
            frame_numbers=numbers_T,
            region=(top, left, *size),
        )
        return resize_region(noisy, size, resize, crop)
