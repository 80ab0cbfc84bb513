"""One video's frames in a file: how it is written, read and mapped.

An entry is a plain .npy file of uint8 [T, h, w, 3], so that anybody can open it, and 32 more bytes: the SHA-256 over the
frames' bytes and then their shape, as in `185x128x171x3`. It is named by the SHA-256 of the video *file*, is written
beside its place and renamed into it, and is never changed.
"""

import hashlib
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
Shape = tuple[int, int, int]
"""Frames, height, width."""

HEADER_BYTES = 128
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Entry:
    """What is known of one video and its stored frames."""

    video_id: str
    file_size: int
    file_time_ns: int
    file_digest: str
    """SHA-256 of the file; the name of the entry."""

    shape: Shape

    frames_digest: str
    """SHA-256 over the frames' bytes and then their shape."""

    problem: str = ""
    """Why the video has no frames, where it has none."""


def write_entry(frames: Iterator[Frames], beside: Path, target: Path) -> tuple[Shape, str]:
    """Write a video's frames, given a few at a time as [t, h, w, 3]: beside its place, then renamed into it.

    Whatever is raised on the way leaves nothing behind.
    """
    digest = hashlib.sha256()
    num_frames, size = 0, (0, 0)
    try:
        with beside.open("wb") as file:
            file.write(bytes(HEADER_BYTES))
            for few_thw3 in frames:
                size = few_thw3.shape[1], few_thw3.shape[2]
                digest.update(few_thw3.data)
                file.write(few_thw3.data)
                num_frames += len(few_thw3)
            shape = (num_frames, *size)
            digest.update(_shape_text(shape))
            file.write(digest.digest())
            file.seek(0)
            file.write(_npy_header(shape))
            file.flush()
            os.fsync(file.fileno())
        target.parent.mkdir(parents=True, exist_ok=True)
        beside.replace(target)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return shape, digest.hexdigest()


def digest_frames(frames: Iterator[Frames]) -> tuple[Shape, str]:
    """Shape and digest that an entry of these frames has, without writing one."""
    digest = hashlib.sha256()
    num_frames, size = 0, (0, 0)
    for few_thw3 in frames:
        size = few_thw3.shape[1], few_thw3.shape[2]
        digest.update(few_thw3.data)
        num_frames += len(few_thw3)
    shape = (num_frames, *size)
    digest.update(_shape_text(shape))
    return shape, digest.hexdigest()


def read_entry(path: Path) -> tuple[Shape, str] | None:
    """Shape and digest of an entry whose frames are those that were written; None where there is no such entry."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if len(shape) != 4 or dtype != np.uint8 or path.stat().st_size != entry_bytes(shape[:3]):
                return None
            digest = hashlib.sha256()
            left = num_bytes_of(shape[:3])
            while left:
                piece = file.read(min(left, 1 << 20))
                digest.update(piece)
                left -= len(piece)
            digest.update(_shape_text(shape[:3]))
            return (shape[:3], digest.hexdigest()) if file.read() == digest.digest() else None
    except (OSError, ValueError):
        return None


def map_entry(path: Path, entry: Entry) -> Frames:
    """An entry's frames, read-only, as they lie in the page cache."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the stored frames of {entry.video_id} are gone ({error}); the same command makes them again."
        ) from error
    if len(mapped) != entry_bytes(entry.shape) or mapped[-DIGEST_BYTES:].hex() != entry.frames_digest:
        raise ValueError(
            f"the stored frames of {entry.video_id} in {path} are damaged; delete that file and run again."
        )
    return np.frombuffer(mapped, dtype=np.uint8, count=num_bytes_of(entry.shape), offset=HEADER_BYTES).reshape(
        *entry.shape, 3
    )


def entry_path(place: Path, file_digest: str) -> Path:
    """Where the entry of a file of this digest lies."""
    return place / "entries" / file_digest[:2] / f"{file_digest[2:]}.npy"


def num_bytes_of(shape: tuple[int, ...]) -> int:
    """Bytes of the frames."""
    num_frames, height, width = shape
    return num_frames * height * width * 3


def entry_bytes(shape: tuple[int, ...]) -> int:
    """Bytes of the entry."""
    return HEADER_BYTES + num_bytes_of(shape) + DIGEST_BYTES


def _shape_text(shape: tuple[int, ...]) -> bytes:
    return "x".join(map(str, (*shape, 3))).encode()


def _npy_header(shape: Shape) -> bytes:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (*shape, 3)})
    assert len(header.getvalue()) == HEADER_BYTES
    return header.getvalue()
