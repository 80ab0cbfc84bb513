"""Each video's frames once, at the suite's resize, in files that are read through the page cache.

On disk, below the folder one is given:

    v1-128x171-av18.1.0/       pixel contract, resize, and the decoder's build: whoever has another makes his own
        entries/ab/cdef.npy    one video's frames, named by the SHA-256 of the video file (see frame_entry)
        sets/0123.json         one set of videos: which entry is whose, with size and time of each file; named by the ids

An entry's name depends on the file's content and nothing else, so overlapping sets share entries and a changed file is
noticed. Entries are renamed into their places when they are whole, and lists name nothing else. Hence a killed build goes
on where it was, readers never see half a video, and two builders cannot harm each other; the lock only keeps them from
doing the same work twice.

Letters: T frames, h w height and width as stored.
"""

import errno
import hashlib
import importlib.metadata
import json
import logging
import multiprocessing
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from bench.serve_parent import serve_parent
from bench.video.decode import PIXEL_CONTRACT, UndecodableVideo, decode_frames, promised
from bench.video.frame_entry import (
    Entry,
    Frames,
    digest_frames,
    entry_bytes,
    entry_path,
    map_entry,
    num_bytes_of,
    read_entry,
    write_entry,
)
from bench.video.frame_list import FrameList, FrameNumbers
from bench.video.frame_stream import FrameStream, resized
from bench.video.index import Video, VideoSet, some
from bench.video.resize import Crop, cropped, short_side

log = logging.getLogger(__name__)

Resize = tuple[int, int] | int | None
"""Height and width; or the short side, the long one cut to whole pixels; or None for the file's own size."""

Say = Callable[[str], None]
"""Called with a sentence for people."""

Progress = Callable[[int, int], None]
"""Called with the videos done and all there are. May raise to stop the work."""

LIST_EVERY = 256
"""Videos after which the list of the set is written: what a killed build loses is found again by reading it whole."""

MAX_OPEN = 256
"""Entries a reader keeps mapped; each holds a file descriptor."""

SMALL_BYTES = 2_000_000_000
"""Below this, decoding takes about as long as starting processes; then threads of this one do it."""

SAMPLE = 64
"""Videos whose headers are read to estimate the size of a store."""


def log_it(sentence: str) -> None:
    """Say it to the log, where there is nobody to read it."""
    log.info("%s", sentence)


Policy = Literal["stop", "leave_out"]
"""What becomes of a video that cannot be read."""


class FrameStore(FrameList):
    """The frames of a set of videos. Safe to read from several threads and processes; pickles as a handful of paths."""

    def __init__(self, folder: Path, name: str, entries: Sequence[Entry]) -> None:
        super().__init__(name, entries)
        self._folder = folder
        self._mapped: OrderedDict[str, Frames] = OrderedDict()
        self._lock = threading.Lock()

    def clip(
        self,
        video_id: str,
        frame_numbers: FrameNumbers,
        crop: Crop | None = None,
        out: Frames | None = None,
    ) -> Frames:
        """The frames of these numbers, cropped: uint8 [T, h, w, 3], the caller's own.

        Args:
            video_id: Whose frames.
            frame_numbers: In any order, and as often as wanted.
            crop: What to keep of each; all where it is None.
            out: Where to write them, such as a place in a batch; a new array where it is None.
        """
        frames_Thw3 = cropped(self._frames(video_id), crop)
        numbers = np.asarray(frame_numbers, dtype=np.int64).tolist()
        self.refuse_outside(video_id, numbers)
        if out is None:
            out = np.empty((len(numbers), *frames_Thw3.shape[1:]), dtype=np.uint8)
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        if step > 0 and numbers == list(range(numbers[0], numbers[-1] + 1, step)):
            out[:] = frames_Thw3[numbers[0] : numbers[-1] + 1 : step]  # one copy, as most clips are
        else:
            for place, number in enumerate(numbers):
                out[place] = frames_Thw3[number]
        return out

    def clips(self, video_id: str, frame_numbers: Sequence[FrameNumbers], crops: Sequence[Crop | None]) -> list[Frames]:
        """Several clips of one video, each with its crop: N times uint8 [T, h, w, 3]."""
        return [self.clip(video_id, *one) for one in zip(frame_numbers, crops, strict=True)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_mapped", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._mapped = OrderedDict()
        self._lock = threading.Lock()

    def _frames(self, video_id: str) -> Frames:
        with self._lock:
            frames = self._mapped.get(video_id)
            if frames is None:
                entry = self.entry(video_id)
                frames = map_entry(entry_path(self._folder, entry.file_digest), entry)
                self._mapped[video_id] = frames
                if len(self._mapped) > MAX_OPEN:
                    self._mapped.popitem(last=False)
            else:
                self._mapped.move_to_end(video_id)
            return frames


def build_store(
    video_set: VideoSet,
    *,
    resize: Resize,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
    unreadable: Policy = "stop",
    verify: bool = False,
    say: Say = log_it,
) -> FrameStore:
    """The frame store of a set: opened where it is complete, otherwise made, or finished.

    Args:
        video_set: The videos.
        resize: What is done to every frame.
        folder: Where all frame stores of this machine lie.
        workers: How many decode at once. For large sets they are processes, spawned, so a script needs its `__main__` guard.
        progress: Told after every video, and every second while another process holds the lock.
        unreadable: What becomes of videos that are missing or damaged: `stop` decodes the others and then raises;
            `leave_out` goes on without, and the store says which.
        verify: Read every frame and compare with its digest, and make again what differs.
        say: Told once, before the work, what will be written, and where.

    Raises:
        ValueError: Videos cannot be read (with their number, the first three names and the first reason), or the disk
            is too small.
    """
    place = folder / _place_name(resize)
    job = _Job(place, resize, workers, is_kept=True)
    store = FrameStore(place, video_set.name, _entries(video_set, job, progress, say, verify=verify))
    _refuse_unreadable(video_set, store.left_out, unreadable)
    return store


def open_stream(
    video_set: VideoSet,
    *,
    resize: Resize,
    folder: Path,
    workers: int = 1,
    progress: Progress | None = None,
    unreadable: Policy = "stop",
    say: Say = log_it,
) -> FrameStream:
    """The frames of a set that is too large for the disk: all videos are decoded once, and for every clip again.

    What was counted is listed, so that the next call decodes only what is new; `build_store` finishes from there, and its
    arguments mean the same.

    Raises:
        ValueError: Videos cannot be read (with their number, the first three names and the first reason).
    """
    job = _Job(folder / _place_name(resize), resize, workers, is_kept=False)
    entries = _entries(video_set, job, progress, say, verify=False)
    stream = FrameStream(video_set.name, entries, {video.video_id: video.path for video in video_set.videos})
    _refuse_unreadable(video_set, stream.left_out, unreadable)
    return stream


@dataclass(frozen=True)
class _Job:
    """What is done to every video."""

    place: Path
    resize: Resize
    workers: int
    is_kept: bool
    """Whether frames are written, or counted and hashed alone."""


def _entries(video_set: VideoSet, job: _Job, progress: Progress | None, say: Say, *, verify: bool) -> tuple[Entry, ...]:
    """Of every video, as they are listed, the list brought up to date."""
    tell = progress or (lambda done, total: None)
    place = job.place
    key = hashlib.sha256("\n".join(sorted(video_set.ids)).encode()).hexdigest()[:32]
    list_path = place / "sets" / f"{key}.json"
    with _writing(place):
        for part in (place / "entries", place / "sets", place / "unfinished"):
            part.mkdir(parents=True, exist_ok=True)

    known = _read_list(list_path)
    missing = _out_of_date(video_set, job, known)
    if missing or verify:
        with _locked(place / "unfinished" / f"{key}.lock", lambda: tell(0, len(video_set))):
            known = _read_list(list_path)  # somebody else may have gone on with it meanwhile
            missing = _out_of_date(video_set, job, known)
            needed = estimate_bytes(missing, job.resize)
            if missing:
                _announce(video_set, len(missing), needed, job, say)
            unfinished = place / "unfinished" / key
            shutil.rmtree(unfinished, ignore_errors=True)  # what a killed build left; we hold the lock
            with _writing(place):
                unfinished.mkdir()
            making = video_set.videos if verify else missing
            done = len(video_set) - len(making)
            try:
                with closing(_make(making, job, unfinished, needed)) as entries:
                    for entry in entries:
                        known[entry.video_id] = entry
                        done += 1
                        if done % LIST_EVERY == 0:
                            _write_list(list_path, unfinished, video_set, known)
                        tell(done, len(video_set))
            except BaseException:
                with suppress(ValueError):
                    _write_list(list_path, unfinished, video_set, known)
                raise
            _write_list(list_path, unfinished, video_set, known)
            unfinished.rmdir()
    tell(len(video_set), len(video_set))
    return tuple(known[video_id] for video_id in video_set.ids)


def _refuse_unreadable(video_set: VideoSet, left_out: Mapping[str, str], unreadable: Policy) -> None:
    if left_out and unreadable == "stop":
        first = next(iter(left_out.values()))
        raise ValueError(
            f"{len(left_out)} of the {len(video_set)} videos of {video_set.name} cannot be read: "
            f"{some(sorted(left_out))}. The first: {first}"
        )


def estimate_bytes(videos: Sequence[Video], resize: Resize) -> int:
    """About how many bytes the frames of these videos take, from the headers of a sample of them."""
    sizes = []
    for video in videos[:: max(len(videos) // SAMPLE, 1)]:
        try:
            num_frames, height, width = promised(video.path)
        except UndecodableVideo:
            continue
        sizes.append(num_bytes_of((num_frames, *_resized((height, width), resize))))
    return int(np.mean(sizes) * len(videos)) if sizes else 0


def _out_of_date(video_set: VideoSet, job: _Job, known: Mapping[str, Entry]) -> tuple[Video, ...]:
    """The videos that are new, whose files changed, or whose entries are not whole where they are kept."""
    return tuple(video for video in video_set.videos if not _is_current(video, job, known.get(video.video_id)))


def _is_current(video: Video, job: _Job, entry: Entry | None) -> bool:
    if entry is None:
        return False
    try:
        found = video.path.stat()
        if (found.st_size, found.st_mtime_ns) != (entry.file_size, entry.file_time_ns):
            return False
        if entry.problem or not job.is_kept:
            return True
        return entry_path(job.place, entry.file_digest).stat().st_size == entry_bytes(entry.shape)
    except OSError:
        return False


def _make(videos: Sequence[Video], job: _Job, unfinished: Path, num_bytes: int) -> Generator[Entry, None, None]:
    """Entries of the videos, in whatever order they are ready."""
    workers = min(job.workers, len(videos))
    if workers <= 1:
        for video in videos:
            yield _make_one(video, job, unfinished)
        return
    pool: Executor
    if num_bytes < SMALL_BYTES:
        pool = ThreadPoolExecutor(workers, thread_name_prefix="frames")
    else:
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(workers, mp_context=spawn, initializer=serve_parent)
    try:
        ready = [pool.submit(_make_one, video, job, unfinished) for video in videos]
        for future in as_completed(ready):
            yield future.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "a decoding process was killed, perhaps for want of memory; what is done is kept. Try fewer workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _make_one(video: Video, job: _Job, unfinished: Path) -> Entry:
    """Find the entry of a video whole, or write it; or count and hash its frames alone."""
    try:
        found = video.path.stat()
        with video.path.open("rb") as file:
            file_digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problem = f"{video.path} cannot be opened ({error.strerror})."
        return Entry(video.video_id, -1, -1, "", (0, 0, 0), "", problem)

    def entry(shape: tuple[int, int, int], digest: str, problem: str = "") -> Entry:
        return Entry(video.video_id, found.st_size, found.st_mtime_ns, file_digest, shape, digest, problem)

    target = entry_path(job.place, file_digest)
    if whole := read_entry(target):
        return entry(*whole)
    frames = _resized_frames(video.path, job.resize)
    try:
        if job.is_kept:
            beside = unfinished / f"{file_digest}-{os.getpid()}-{threading.get_ident()}"
            with _writing(job.place, f"the frames of {video.video_id}"):
                return entry(*write_entry(frames, beside, target))
        return entry(*digest_frames(frames))
    except UndecodableVideo as error:
        return entry((0, 0, 0), "", str(error))


def _resized_frames(path: Path, resize: Resize) -> Iterator[Frames]:
    frames = decode_frames(path)
    first_HW3 = next(frames)
    yield from resized(chain([first_HW3], frames), _resized((first_HW3.shape[0], first_HW3.shape[1]), resize))


def _announce(video_set: VideoSet, num_videos: int, num_bytes: int, job: _Job, say: Say) -> None:
    """Say what will be written, and refuse a disk that is too small for it."""
    needed, free = num_bytes / 1e9, shutil.disk_usage(job.place).free / 1e9
    if not job.is_kept:
        say(
            f"{video_set.name}: {num_videos} videos are decoded to count their frames, and again for every clip. Nothing of "
            f"them is stored; a frame store would take about {needed:.1f} GB."
        )
        return
    say(
        f"{video_set.name}: the frames of {num_videos} videos take about {needed:.1f} GB in {job.place}, which has "
        f"{free:.1f} GB free."
    )
    if needed > free:
        raise ValueError(
            f"the frames of {video_set.name} need about {needed:.1f} GB and {job.place} has {free:.1f} GB free. "
            "Make room, choose another folder, or store nothing and decode every clip anew (--stream)."
        )


@contextmanager
def _writing(place: Path, what: str = "frames") -> Iterator[None]:
    """Say in a sentence that something cannot be written."""
    try:
        yield
    except Timeout:
        raise  # of a lock: an OSError by name only
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"{place} is full: no space for {what}.") from error
        raise ValueError(f"{what} cannot be stored in {place} ({error.strerror}); choose another folder.") from error


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock; its holder's death releases it."""
    lock = FileLock(path)
    while True:
        try:
            with _writing(path.parent):
                lock.acquire(timeout=1)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


def _read_list(path: Path) -> dict[str, Entry]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["videos"]
        return {row["video_id"]: Entry(**{**row, "shape": tuple(row["shape"])}) for row in rows}
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, KeyError):
        log.warning("%s is damaged; it is written anew from the frames that are there", path)
        return {}


def _write_list(path: Path, unfinished: Path, video_set: VideoSet, known: Mapping[str, Entry]) -> None:
    rows = [asdict(known[video_id]) for video_id in sorted(video_set.ids) if video_id in known]
    beside = unfinished / path.name
    try:
        with beside.open("w", encoding="utf-8", errors="backslashreplace") as file:  # a reason may name any path
            json.dump({"name": video_set.name, "videos": rows}, file, ensure_ascii=False, indent=0)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ValueError(f"the list of {video_set.name} cannot be written to {path} ({error.strerror}).") from error


def _resized(native: tuple[int, int], resize: Resize) -> tuple[int, int]:
    if resize is None:
        return native
    return short_side(native, resize) if isinstance(resize, int) else resize


def _place_name(resize: Resize) -> str:
    """Pixel contract, resize and decoder: whatever may move a byte."""
    return f"v{PIXEL_CONTRACT}-{_resize_name(resize)}-av{importlib.metadata.version('av')}"


def _resize_name(resize: Resize) -> str:
    if resize is None:
        return "native"
    return f"short{resize}" if isinstance(resize, int) else f"{resize[0]}x{resize[1]}"
