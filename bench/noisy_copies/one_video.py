"""One video under noise, as an H.264 file to look at."""

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from bench.activity import Working
from bench.noisy_copies.conditions import under
from bench.noisy_copies.write_video import blocks, frame_rate, h264, writing
from bench.schema import Condition
from bench.video.decode import promised


@dataclass(frozen=True)
class NoisyVideo:
    """What was written."""

    num_frames: int
    size: tuple[int, int]
    """Height and width."""

    rate: Fraction
    pixels: str
    psnr: float
    """In dB, the file's frames against the exact noisy ones; infinite where they are equal."""


def corrupt_video(
    video: Path, condition: Condition, out: Path, *, video_id: str, crf: int, progress: Working
) -> NoisyVideo:
    """Write a video under a condition: the same frames, size and rate, no sound. Whole or not at all.

    Args:
        video: The file.
        condition: What is done to it.
        out: Where to write, `.mp4`; replaced if it is there.
        video_id: What the noise is drawn for.
        crf: Quality of H.264, from 0 (best) to 51.
        progress: Told as it goes.

    Raises:
        ValueError: The video does not decode, or the output cannot be written.
    """
    expected = promised(video).num_frames
    if out.suffix.lower() != ".mp4":
        raise ValueError(f"{out} should end in .mp4; for files without loss see `reelproof corruptions export`.")
    if out.exists() and out.samefile(video):
        raise ValueError(f"{out} is the video itself; choose another name for the noisy one.")
    if not 0 <= crf <= 51:
        raise ValueError(f"crf is {crf}; expected 0 (best) to 51.")
    rate = frame_rate(video)
    original = blocks(video)
    first, frames_THW3 = next(original)
    size = (frames_THW3.shape[1], frames_THW3.shape[2])
    coding = h264(crf, size)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out} cannot be written ({error.strerror}).") from error
    beside = out.with_name(f".half-{os.getpid()}-{out.name}")
    try:
        with writing(beside, coding, rate, size) as append:
            append(under(condition, frames_THW3, video_id, first))
            for first, frames_THW3 in original:
                append(under(condition, frames_THW3, video_id, first))
                progress("writing", min(first / expected, 1) / 2)
        squares = 0.0
        num_frames = 0
        for (first, frames_THW3), (_, stored_THW3) in zip(blocks(video), blocks(beside), strict=True):
            exact_THW3 = under(condition, frames_THW3, video_id, first)
            squares += float(np.square(exact_THW3.astype(np.int32) - stored_THW3).sum(dtype=np.int64))
            num_frames = first + len(stored_THW3)
            progress("comparing", 0.5 + min(first / expected, 1) / 2)
        beside.replace(out)
    finally:
        beside.unlink(missing_ok=True)
    mean_square = squares / (num_frames * size[0] * size[1] * 3)
    psnr = float(10 * np.log10(255**2 / mean_square)) if mean_square else float("inf")
    return NoisyVideo(num_frames, size, rate, coding.pixels, psnr)
