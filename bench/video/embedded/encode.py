"""Frames to an H.264 file, with settings that leave nothing to the machine."""

from pathlib import Path

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

FRAMES_PER_SECOND = 20
OPTIONS = {"preset": "ultrafast", "crf": "20", "threads": "1", "x264-params": "keyint=32:threads=1"}
"""One thread and fixed settings; crf 20 keeps the fine texture, and the fastest preset is what two cores can afford."""


def encode(frames: NDArray[np.uint8], path: Path) -> None:
    """Write uint8 frames [T, H, W, 3] as an mp4 file (H.264, yuv420p)."""
    flags = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    with av.open(path, "w", format="mp4", options={"fflags": "+bitexact", "movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=OPTIONS)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        reformatter = VideoReformatter()
        for picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            planar = reformatter.reformat(frame, format="yuv420p", interpolation=flags)
            container.mux(stream.encode(planar))
        container.mux(stream.encode())
