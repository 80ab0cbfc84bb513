"""A small folder of videos with lists: two classes, two test videos each, of different sizes, rates and codecs."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest


def write_video(path, num_frames, size, rate, codec="libx264"):
    rng = np.random.default_rng(num_frames)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv444p" if size[0] % 2 else "yuv420p"
        stream.thread_count = 1
        for number in range(num_frames):
            low = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
            tiled = low.repeat(-(-size[0] // 6), axis=0).repeat(-(-size[1] // 8), axis=1)[: size[0], : size[1]]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(tiled), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_folder(root: Path) -> Path:
    write_video(root / "run" / "a.mp4", 19, (36, 64), 25)
    write_video(root / "run" / "b.mp4", 8, (45, 67), Fraction(30000, 1001))
    write_video(root / "jump" / "c.avi", 5, (48, 64), 15, codec="mpeg4")
    write_video(root / "jump" / "d.mp4", 3, (36, 64), 12)
    for name in ("run/e", "run/f", "jump/g", "jump/h"):
        write_video(root / f"{name}.mp4", 2, (32, 32), 10)
    (root / "testlist01.txt").write_text("run/a.mp4\nrun/b.mp4\njump/c.avi\njump/d.mp4\n")
    (root / "trainlist01.txt").write_text("run/e.mp4 2\nrun/f.mp4 2\njump/g.mp4 1\njump/h.mp4 1\n")
    return root


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """Not to be changed by a test."""
    return write_folder(tmp_path_factory.mktemp("data"))
