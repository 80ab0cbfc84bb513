"""Videos made for the test: what is in every frame is known beforehand."""

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WriteVideo = Callable[..., Path]


def write_levels(
    path: Path,
    levels: Sequence[int],
    *,
    size: tuple[int, int] = (32, 48),
    codec: str = "libx264",
    pixels: str = "yuv444p",
    options: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
    matrix: int | None = None,
    value_range: int | None = None,
    chroma: tuple[int, int] = (128, 128),
    before: Callable[[av.VideoStream], None] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """A video of flat frames, frame i with luma `levels[i]` and the given chroma, coded without loss where the codec can."""
    height, width = size
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        for key, value in (metadata or {}).items():
            container.metadata[key] = value
        stream = container.add_stream(codec, rate=25, options=options or ({"qp": "0"} if codec == "libx264" else {}))
        stream.width, stream.height, stream.pix_fmt = width, height, pixels
        stream.thread_count = 1
        stream.codec_context.time_base = Fraction(1, 25)
        if before is not None:
            before(stream)
        for number, level in enumerate(levels):
            frame = av.VideoFrame(width, height, pixels)
            kind = np.uint16 if "10" in pixels else np.uint8
            for plane, value in zip(frame.planes, (level, *chroma), strict=False):
                plane.update(np.full(plane.buffer_size // np.dtype(kind).itemsize, value, kind).tobytes())
            frame.pts = number if times is None else times[number]
            frame.time_base = Fraction(1, 25)
            if matrix is not None:
                frame.colorspace = stream.codec_context.colorspace = matrix
            if value_range is not None:
                frame.color_range = stream.codec_context.color_range = value_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_picture(path: Path, picture_HW3: np.ndarray, num_frames: int = 3, **settings: object) -> Path:
    """A video that shows one RGB picture, coded without loss as RGB."""
    height, width, _ = picture_HW3.shape
    turn = settings.pop("turn", None)
    assert not settings
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        if turn is not None:
            stream.set_display_rotation(*turn)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(picture_HW3, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def levels_video() -> WriteVideo:
    return write_levels


@pytest.fixture(scope="session")
def picture_video() -> WriteVideo:
    return write_picture


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Official clips, annotation files and one small real data set; not part of the repository."""
    folder = os.environ.get("REELPROOF_TEST_DATA")
    if not folder:
        pytest.skip("REELPROOF_TEST_DATA names no folder of real data")
    return Path(folder)
