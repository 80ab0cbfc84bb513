"""What the embedded files should decode to: pinned digests, and the sentence that says when they differ.

Drawing is the same on every machine. What libx264 makes of the frames is the same for the same build on every
processor, but another build may decide otherwise; then the videos are as good, and their scores are not comparable.
"""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.video.decode import decode
from bench.video.embedded.sets import DATASET_VERSION, EmbeddedSet, path_of, videos


def video_digest(frames: NDArray[np.uint8]) -> str:
    """SHA-256 of the shape and bytes of a video's decoded frames [T, H, W, 3]."""
    shape = "x".join(str(size) for size in frames.shape)
    return hashlib.sha256(shape.encode() + b"\n" + np.ascontiguousarray(frames).tobytes()).hexdigest()


def set_digest(video_digests: Iterable[str]) -> str:
    """SHA-256 of the digests of a set's videos, one a line, in the order of their ids."""
    return hashlib.sha256("".join(f"{digest}\n" for digest in video_digests).encode()).hexdigest()


def digest_of_files(embedded: EmbeddedSet, folder: Path) -> str:
    """Decode all files of a set and digest them."""
    return set_digest(video_digest(decode(path_of(folder, item.video_id))) for item in videos(embedded))


@cache
def _table() -> dict[str, dict[str, str]]:
    table: dict[str, dict[str, str]] = json.loads((files(__package__) / "digests.json").read_text())
    return table


def pinned(embedded: EmbeddedSet) -> str | None:
    """The digest this version of the set should have, None if none was written down."""
    return _table().get(f"version {DATASET_VERSION}", {}).get(str(embedded))


def difference(embedded: EmbeddedSet, digest: str) -> str | None:
    """None, or the sentence that says that these are not the pixels of the suite."""
    expected = pinned(embedded)
    if digest == expected:
        return None
    if expected is None:
        return f"no digest is pinned for {embedded} in version {DATASET_VERSION}, so its pixels cannot be checked"
    return (
        f"the files of {embedded} decode to {digest[:12]}, not {expected[:12]}: this H.264 encoder is another build "
        f"than the suite's, and scores on these videos cannot be compared with those on the suite's own"
    )
