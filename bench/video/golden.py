"""The golden clip: three tiny files that must decode to the pixels that everybody else gets.

One for each way in which the data sets are coded: MPEG-4 with B-frames in AVI (UCF101, HMDB51), H.264 with B-frames in
MP4 (Kinetics, Diving48, the embedded sets) and VP9 in WebM (Something-Something V2). `golden.json` holds the SHA-256 of
each file, of its frames, and of its frames after a suite's resize and crop. `make_golden` wrote them.

Letters: T frames, H W height and width.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.video.decode import UndecodableVideo, decode
from bench.video.resize import centre_crop, resize_clip

HERE = Path(__file__).parent
FILES = ("golden.avi", "golden.mp4", "golden.webm")
RESIZE, SIZE = (128, 171), 112


def golden_clip_agrees() -> str | None:
    """Decode and resize the golden clip; None where it has the pixels that it must have, else what is to be told."""
    differs = []
    for name, golden in golden_digests().items():
        path = HERE / name
        assert hashlib.sha256(path.read_bytes()).hexdigest() == golden["file"], (
            f"{path} is not the file that is shipped"
        )
        try:
            found = pixel_digests(decode(path))
        except UndecodableVideo as error:
            differs.append(f"{name} does not decode: {error}".rstrip("."))
            continue
        differs += [f"the {word} of {name}" for word, digest in found.items() if digest != golden[word]]
    if not differs:
        return None
    return (
        f"The golden clip has other pixels here than elsewhere ({'; '.join(differs)}; PyAV "
        f"{importlib.metadata.version('av')}), so this run sees other frames and its result cannot be posted. "
        "The PyAV of constraints.txt gives the right ones."
    )


def golden_digests() -> dict[str, Mapping[str, str]]:
    """What must come out, by file: `file`, `frames`, `resized frames`; a suite may hold it in its hash."""
    digests: dict[str, Mapping[str, str]] = json.loads((HERE / "golden.json").read_text(encoding="utf-8"))
    return digests


def pixel_digests(frames_THW3: NDArray[np.uint8]) -> dict[str, str]:
    """SHA-256 of frames as they are, and after the resize and crop."""
    resized = resize_clip(frames_THW3, RESIZE, centre_crop(RESIZE, SIZE))
    return {
        "frames": hashlib.sha256(np.ascontiguousarray(frames_THW3).data).hexdigest(),
        "resized frames": hashlib.sha256(resized.data).hexdigest(),
    }
