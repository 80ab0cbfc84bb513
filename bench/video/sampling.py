"""Which frames make a clip: index arithmetic, no video opened here.

A clip is a row of frame numbers. A clip that asks for more frames than a video has is looped from the video's start, as
a viewer would see it; that is right in evaluation. A pretext task whose answer a loop would give away asks `fits` first,
leaves the video out and counts it.

Every draw takes one number from the generator it is given, and nothing else.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.schema import ClipSpec

Indices = NDArray[np.int64]


def clip_at(num_frames: int, clip: ClipSpec, start: int) -> Indices:
    """Frame numbers of the clip that begins at `start`, shape (clip.num_frames,), looped where the video ends."""
    _refuse_empty(num_frames)
    return (start + np.arange(clip.num_frames, dtype=np.int64) * clip.stride) % num_frames


def spread_clips(num_frames: int, clip: ClipSpec, num_clips: int) -> Indices:
    """Frame numbers of `num_clips` clips laid evenly from the first frame to the last.

    Args:
        num_frames: Frames in the video.
        clip: Length and stride of a clip.
        num_clips: Clips to take; a single clip is taken from the middle.

    Returns:
        Numbers in [0, num_frames), shape (num_clips, clip.num_frames).
    """
    _refuse_empty(num_frames)
    if num_clips < 1:
        raise ValueError(f"{num_clips} clips were asked for; at least 1 is possible.")
    room = max(num_frames - clip.span, 0)
    if num_clips == 1:
        starts = np.array([room // 2], dtype=np.int64)
    else:
        # In integers: half a frame is rounded up, on every machine.
        starts = (2 * room * np.arange(num_clips, dtype=np.int64) + num_clips - 1) // (2 * (num_clips - 1))
    return (starts[:, None] + np.arange(clip.num_frames, dtype=np.int64) * clip.stride) % num_frames


def random_start(num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> Indices:
    """Frame numbers of one clip from a start drawn evenly, shape (clip.num_frames,)."""
    _refuse_empty(num_frames)
    return clip_at(num_frames, clip, int(rng.integers(0, max(num_frames - clip.span, 0) + 1)))


def fits(num_frames: int, span: int) -> bool:
    """Whether a video has the frames without being looped."""
    return span <= num_frames


def tuple_span(clip: ClipSpec, num_clips: int, gap: int) -> int:
    """Source frames that `random_tuple` covers, from its first frame to its last."""
    return num_clips * clip.span + (num_clips - 1) * gap


def random_tuple(num_frames: int, clip: ClipSpec, num_clips: int, gap: int, rng: np.random.Generator) -> Indices:
    """Clips that follow each other, in their true order, from a start drawn evenly: for tasks about order.

    Args:
        num_frames: Frames in the video.
        clip: Length and stride of a clip.
        num_clips: Clips in the tuple.
        gap: Frames left out between the last frame of a clip and the first of the next, so that a join gives nothing away.
        rng: Draws the start.

    Returns:
        Numbers in [0, num_frames), shape (num_clips, clip.num_frames).
    """
    _refuse_empty(num_frames)
    room = max(num_frames - tuple_span(clip, num_clips, gap), 0)
    start = int(rng.integers(0, room + 1))
    starts = start + np.arange(num_clips, dtype=np.int64) * (clip.span + gap)
    return (starts[:, None] + np.arange(clip.num_frames, dtype=np.int64) * clip.stride) % num_frames


def random_speeds(num_frames: int, clip_frames: int, strides: Sequence[int], rng: np.random.Generator) -> Indices:
    """Clips of one video at several speeds, for tasks about pace: all begin at one start, drawn evenly.

    The start leaves room for the fastest, so that where a clip begins says nothing about its speed.

    Args:
        num_frames: Frames in the video.
        clip_frames: Frames in each clip.
        strides: Source frames from one clip frame to the next, one for each clip.
        rng: Draws the start.

    Returns:
        Numbers in [0, num_frames), shape (len(strides), clip_frames).
    """
    _refuse_empty(num_frames)
    room = max(num_frames - ((clip_frames - 1) * max(strides) + 1), 0)
    start = int(rng.integers(0, room + 1))
    steps = np.arange(clip_frames, dtype=np.int64)[None, :] * np.array(strides, dtype=np.int64)[:, None]
    return (start + steps) % num_frames


def _refuse_empty(num_frames: int) -> None:
    if num_frames < 1:
        raise ValueError(f"a video of {num_frames} frames has no clip.")
