"""RGB frames to a video file: without loss for measuring, as H.264 for looking at.

FFV1 (RFC 9043) in Matroska holds RGB as such (pixel format bgr0), so what is decoded is what was written. Version 3 with a
checksum in every slice, so that damage is noticed. Rice codes: the range coder takes twice the time and gains nothing on
Gaussian noise (1.01 of the raw bytes at severity 3 against 1.04; impulse noise 0.85 against 0.61).

H.264 in yuv420p plays everywhere and is lossy: quantised, and colour at half resolution both ways. Frames with an odd
height or width need yuv444p. BT.601, limited range, and tagged so.

No sound, frames at a constant rate. The same frames give the same bytes under the same FFmpeg.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from bench.video.decode import UndecodableVideo, decode_frames

Frames = NDArray[np.uint8]

FRAMES_AT_A_TIME = 8
"""Memory does not grow with a video's length."""

CONVERSION = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT


@dataclass(frozen=True)
class Coding:
    """How frames become a file."""

    codec: str
    container: str
    pixels: str
    options: Mapping[str, str]
    muxing: Mapping[str, str]


LOSSLESS = Coding("ffv1", "matroska", "bgr0", {"level": "3", "coder": "rice", "slicecrc": "1"}, {})


def h264(crf: int, size: tuple[int, int]) -> Coding:
    """H.264 at a constant rate factor (0 best, 51 worst) for frames of this height and width."""
    pixels = "yuv444p" if size[0] % 2 or size[1] % 2 else "yuv420p"
    return Coding("libx264", "mp4", pixels, {"crf": str(crf), "preset": "medium"}, {"movflags": "+faststart"})


@contextmanager
def writing(path: Path, coding: Coding, rate: Fraction, size: tuple[int, int]) -> Iterator[Callable[[Frames], None]]:
    """Open a video file; the function that is handed out appends uint8 frames [T, H, W, 3] of this height and width.

    Raises:
        ValueError: The file cannot be written.
    """
    converter = VideoReformatter()
    try:
        with av.open(
            f"file:{path}", "w", format=coding.container, options={"fflags": "+bitexact", **coding.muxing}
        ) as container:
            stream = cast(VideoStream, container.add_stream(coding.codec, rate=rate, options=dict(coding.options)))
            stream.height, stream.width = size
            stream.pix_fmt = coding.pixels
            stream.codec_context.thread_count = 1
            if coding.pixels != "bgr0":
                stream.codec_context.colorspace = Colorspace.ITU601
                stream.codec_context.color_range = ColorRange.MPEG

            def append(frames_THW3: Frames) -> None:
                for frame_HW3 in frames_THW3:
                    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HW3), format="rgb24")
                    container.mux(
                        stream.encode(converter.reformat(picture, format=coding.pixels, interpolation=CONVERSION))
                    )

            yield append
            container.mux(stream.encode())
    except (av.FFmpegError, OSError) as error:
        raise ValueError(f"{path} cannot be written ({getattr(error, 'strerror', None) or error}).") from error


def blocks(path: Path) -> Iterator[tuple[int, Frames]]:
    """A video's frames in order, a few at a time: the number of the first, and uint8 [T, H, W, 3].

    Raises:
        UndecodableVideo: As in `decode_frames`.
    """
    frames = decode_frames(path)
    first = 0
    while few := list(islice(frames, FRAMES_AT_A_TIME)):
        yield first, np.stack(few)
        first += len(few)


def frame_rate(path: Path) -> Fraction:
    """Frames a second, on average over a video that was found to decode.

    Raises:
        UndecodableVideo: The file does not say.
    """
    with av.open(f"file:{path}", metadata_errors="ignore") as container:
        for stream in container.streams.video:
            rate = stream.average_rate or stream.guessed_rate
            if rate is not None and not stream.disposition & av.stream.Disposition.attached_pic:
                return rate
    raise UndecodableVideo(f"{path} does not say how many frames a second it has.")
