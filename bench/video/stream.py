"""Frames at native resolution, each video decoded once: for noise at source, and for sets too large for the disk.

Noise at source is drawn for the pixels of the file, before the resize, so these frames cannot come from the frame store.
Videos are decoded ahead by threads, since FFmpeg works outside Python's lock; no more than `workers` + 1 videos are held.

Letters: T frames, H W native height and width, h w those of the clip.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.video.decode import decode_frames
from bench.video.index import Video
from bench.video.resize import Crop, Size, resize_clip

Frames = NDArray[np.uint8]
Indices = NDArray[np.int64]


class NativeFrames(NamedTuple):
    """Some frames of one video, as the file has them."""

    video: Video
    numbers: Indices
    """Which frames these are, ascending, none twice."""

    frames_THW3: Frames
    """One for each number."""

    def clip(self, frame_numbers: Indices) -> Frames:
        """The frames of these numbers, in any order and as often as asked for: a fresh uint8 [T, H, W, 3]."""
        places = np.searchsorted(self.numbers, frame_numbers)
        assert (self.numbers[np.minimum(places, len(self.numbers) - 1)] == frame_numbers).all(), "frames not kept"
        return self.frames_THW3[places]


def native_frames(video: Video, frame_numbers: Indices) -> NativeFrames:
    """Decode a video as far as the last of these frames, and keep these alone.

    Raises:
        UndecodableVideo: The file cannot be decoded so far.
    """
    numbers = np.unique(frame_numbers)
    wanted = frozenset(numbers.tolist())
    frames = decode_frames(video.path, wanted)
    first_HW3 = next(frames)
    frames_THW3 = np.empty((len(numbers), *first_HW3.shape), dtype=np.uint8)
    frames_THW3[0] = first_HW3
    for place, frame_HW3 in enumerate(frames, start=1):
        frames_THW3[place] = frame_HW3
    return NativeFrames(video, numbers, frames_THW3)


def native_clips(requests: Iterable[tuple[Video, Indices]], *, workers: int) -> Iterator[NativeFrames]:
    """Videos with the frames asked for, in the order of the requests, decoded ahead.

    Args:
        requests: Each video with the numbers of all frames that its clips need, in any shape.
        workers: Threads that decode. Peak memory is that of `workers` + 1 videos' frames, and of what the caller keeps.

    Raises:
        UndecodableVideo: A video cannot be decoded; when its turn comes.
    """
    waiting = iter(requests)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="decode")
    try:
        ahead: deque[Future[NativeFrames]] = deque()
        ahead.extend(pool.submit(native_frames, *request) for request in islice(waiting, workers))
        while ahead:
            ready = ahead.popleft().result()
            ahead.extend(pool.submit(native_frames, *request) for request in islice(waiting, 1))
            yield ready
    finally:
        pool.shutdown(cancel_futures=True)


def prepare_clip(frames_THW3: Frames, frame_numbers: Indices, resize: Size, crop: Crop | None = None) -> Frames:
    """From native frames to the clip a model sees, uint8 [T, h, w, 3]: choose, resize, crop."""
    return resize_clip(frames_THW3[frame_numbers], resize, crop)
