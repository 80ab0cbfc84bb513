"""The frames of videos that are too many for the disk: decoded anew for every clip, the same bytes as a `FrameStore`.

When a stream is opened every video is decoded once, so that its frames are counted, their digest is known, and what
cannot be read is named before the work; nothing of them is kept. After that a clip costs the decoding of its video up to
the clip's last frame. Memory holds the frames that were asked for and a few native ones, however long the video is.

Letters: N clips, T frames, h w height and width after the resize.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from bench.video.decode import decode_frames
from bench.video.frame_entry import Entry, Frames
from bench.video.frame_list import FrameList, FrameNumbers
from bench.video.resize import Crop, cropped, resize_clip

AT_A_TIME = 8
"""Native frames that are resized together; no more are held."""


class FrameStream(FrameList):
    """The frames of a set of videos, out of their files. Safe to use from several threads and processes."""

    def __init__(self, name: str, entries: Sequence[Entry], paths: Mapping[str, Path]) -> None:
        super().__init__(name, entries)
        self._paths = dict(paths)

    def clip(self, video_id: str, frame_numbers: FrameNumbers, crop: Crop | None = None) -> Frames:
        """The frames of these numbers, cropped: uint8 [T, h, w, 3], the caller's own."""
        return self.clips(video_id, [frame_numbers], [crop])[0]

    def clips(self, video_id: str, frame_numbers: Sequence[FrameNumbers], crops: Sequence[Crop | None]) -> list[Frames]:
        """Several clips of one video, which is decoded once: N times uint8 [T, h, w, 3].

        Raises:
            ValueError: The file is gone, was changed since the stream was opened, or can no longer be decoded.
        """
        rows = [np.asarray(numbers, dtype=np.int64) for numbers in frame_numbers]
        wanted = np.unique(np.concatenate(rows))
        self.refuse_outside(video_id, wanted.tolist())
        entry, path = self.entry(video_id), self._paths[video_id]
        _refuse_changed(path, entry)
        _, height, width = entry.shape
        frames_Nhw3 = np.empty((len(wanted), height, width, 3), dtype=np.uint8)
        place = 0
        decoded = decode_frames(path, frozenset(wanted.tolist()))
        for few_Thw3 in resized(decoded, (height, width)):
            frames_Nhw3[place : place + len(few_Thw3)] = few_Thw3
            place += len(few_Thw3)
        return [
            cropped(frames_Nhw3, crop)[np.searchsorted(wanted, numbers)]
            for numbers, crop in zip(rows, crops, strict=True)
        ]


def resized(frames: Iterator[Frames], size: tuple[int, int]) -> Iterator[Frames]:
    """Native frames resized a few at a time: memory does not grow with the video's length."""
    while few := list(islice(frames, AT_A_TIME)):
        yield resize_clip(np.stack(few), size)


def _refuse_changed(path: Path, entry: Entry) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise ValueError(f"{path} cannot be opened any more ({error.strerror}).") from error
    if (found.st_size, found.st_mtime_ns) != (entry.file_size, entry.file_time_ns):
        raise ValueError(f"{path} was changed since its frames were counted; the same command counts them again.")
