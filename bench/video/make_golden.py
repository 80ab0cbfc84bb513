"""Write the golden clip and `golden.json`.

Run once when the pixel contract changes, and never otherwise:

    python -m bench.video.make_golden

What it writes may differ from one encoder to the next; what counts is that the files in the package stay as they are.
"""

import hashlib
import json

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from bench.video.decode import decode
from bench.video.golden import FILES, HERE, pixel_digests

NUM_FRAMES, HEIGHT, WIDTH = 12, 120, 160
CODERS = {
    "golden.avi": ("mpeg4", {"bf": "2", "g": "6", "qmin": "3", "qmax": "5"}),
    "golden.mp4": ("libx264", {"bf": "2", "g": "6", "crf": "22"}),
    "golden.webm": ("libvpx-vp9", {"crf": "30", "cpu-used": "4"}),
}


def main() -> None:
    """Draw, encode, decode, hash."""
    frames_THW3 = drawn()
    digests = {}
    for name in FILES:
        codec, options = CODERS[name]
        with av.open(str(HERE / name), "w", options={"fflags": "+bitexact"}) as container:
            stream = container.add_stream(codec, rate=25, options=options)
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            stream.thread_count = 1
            for number, frame_HW3 in enumerate(frames_THW3):
                frame = av.VideoFrame.from_ndarray(frame_HW3, format="rgb24")
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        file_digest = hashlib.sha256((HERE / name).read_bytes()).hexdigest()
        digests[name] = {"file": file_digest, **pixel_digests(decode(HERE / name))}
    (HERE / "golden.json").write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")


def drawn() -> NDArray[np.uint8]:
    """Coloured waves, a board of squares that runs across them, and grain: edges, slopes and noise for every coder."""
    rng = np.random.default_rng(0)
    row, column, channel = np.ogrid[:HEIGHT, :WIDTH, :3]
    frames_THW3 = np.empty((NUM_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    for t in range(NUM_FRAMES):
        waves = 128 + 90 * np.sin((column + 4 * t) / 17 + 2 * channel) * np.cos((row - 3 * t) / 13 + channel)
        board = 50 * (((row + t) // 20 + (column + 5 * t) // 27) % 2)
        grain = rng.normal(0, 5, (HEIGHT, WIDTH, 1))
        frames_THW3[t] = np.clip(waves + board - 25 + grain, 0, 255)
    return frames_THW3


if __name__ == "__main__":
    main()
