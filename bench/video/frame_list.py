"""What is known of a set's frames before any is read: how many, how large, which bytes; and what a reader of them can do.

There are two readers: `FrameStore` has the frames on the disk, `FrameStream` decodes them anew for every clip. They give
the same bytes, and have the same digests.

Letters: N clips, T frames, h w height and width after the resize.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.video.frame_entry import Entry, Frames, num_bytes_of
from bench.video.resize import Crop

FrameNumbers = Sequence[int] | NDArray[np.int64]
"""In any order, and as often as wanted."""


class FrameReader(Protocol):
    """The frames of a set of videos. Safe to use from several threads, and picklable."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The videos that have frames, in the order of their ids."""

    @property
    def left_out(self) -> Mapping[str, str]:
        """The videos that could not be read, each with the reason."""

    @property
    def digest(self) -> str:
        """SHA-256 over the ids and the digests of their frames: the same wherever the pixels are the same."""

    def num_frames(self, video_id: str) -> int:
        """Frames of a video, as counted while decoding."""

    def frame_size(self, video_id: str) -> tuple[int, int]:
        """Height and width of a video's frames after the resize."""

    def clip(self, video_id: str, frame_numbers: FrameNumbers, crop: Crop | None = None) -> Frames:
        """The frames of these numbers, cropped: uint8 [T, h, w, 3], the caller's own."""

    def clips(self, video_id: str, frame_numbers: Sequence[FrameNumbers], crops: Sequence[Crop | None]) -> list[Frames]:
        """Several clips of one video, each with its crop: N times uint8 [T, h, w, 3]."""


class FrameList:
    """The entries of a set of videos, by id; those without frames apart."""

    def __init__(self, name: str, entries: Sequence[Entry]) -> None:
        self._name = name
        self._entries = {entry.video_id: entry for entry in entries if not entry.problem}
        self._problems = {entry.video_id: entry.problem for entry in entries if entry.problem}

    @property
    def ids(self) -> tuple[str, ...]:
        """The videos that have frames, in the order of their ids."""
        return tuple(sorted(self._entries))

    @property
    def left_out(self) -> Mapping[str, str]:
        """The videos that could not be read, each with the reason."""
        return self._problems

    @property
    def digest(self) -> str:
        """SHA-256 over the ids and the digests of their frames: the same wherever the pixels are the same."""
        lines = "".join(f"{video_id} {self._entries[video_id].frames_digest}\n" for video_id in self.ids)
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def num_bytes(self) -> int:
        """Bytes of all frames."""
        return sum(num_bytes_of(entry.shape) for entry in self._entries.values())

    def frames_digest(self, video_id: str) -> str:
        """SHA-256 over one video's frames and their shape."""
        return self.entry(video_id).frames_digest

    def num_frames(self, video_id: str) -> int:
        """Frames of a video, as counted while decoding."""
        return self.entry(video_id).shape[0]

    def frame_size(self, video_id: str) -> tuple[int, int]:
        """Height and width of a video's frames after the resize."""
        _, height, width = self.entry(video_id).shape
        return height, width

    def entry(self, video_id: str) -> Entry:
        """All that is known of one video's frames; refused where it has none."""
        found = self._entries.get(video_id)
        if found is None:
            why = self._problems.get(video_id, "it is not among its videos")
            raise ValueError(f"{self._name} has no frames of {video_id}: {why}")
        return found

    def refuse_outside(self, video_id: str, numbers: Sequence[int]) -> None:
        """Refuse frame numbers that the video does not have."""
        last = self.num_frames(video_id) - 1
        if not 0 <= min(numbers) <= max(numbers) <= last:
            raise IndexError(f"{video_id} has frames 0 to {last}, not {min(numbers)} to {max(numbers)}")
