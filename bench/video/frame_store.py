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
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bench.video.decode import PIXEL_CONTRACT, UndecodableVideo, decode_frames, promised
from bench.video.frame_entry import (
    Entry,
    Frames,
    entry_bytes,
    entry_path,
    map_entry,
    num_bytes_of,
    read_entry,
    write_entry,
)
from bench.video.index import Video, VideoSet, some
from bench.video.resize import Crop, cropped, resize_clip, short_side

log = logging.getLogger(__name__)

Resize = tuple[int, int] | int | None
"""Height and width; or the short side, the long one cut to whole pixels; or None for the file's own size."""

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


Policy = Literal["stop", "leave_out"]
"""What becomes of a video that cannot be read."""


class FrameStore:
    """The frames of a set of videos. Safe to read from several threads and processes; pickles as a handful of paths."""

    def __init__(self, folder: Path, name: str, entries: Sequence[Entry]) -> None:
        self._folder = folder
        self._name = name
        self._entries = {entry.video_id: entry for entry in entries if not entry.problem}
        self._problems = {entry.video_id: entry.problem for entry in entries if entry.problem}
        self._mapped: OrderedDict[str, Frames] = OrderedDict()
        self._lock = threading.Lock()

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
        return self._entry(video_id).frames_digest

    def num_frames(self, video_id: str) -> int:
        """Frames of a video, as counted while decoding."""
        return self._entry(video_id).shape[0]

    def frame_size(self, video_id: str) -> tuple[int, int]:
        """Height and width of a video's frames."""
        _, height, width = self._entry(video_id).shape
        return height, width

    def clip(
        self,
        video_id: str,
        frame_numbers: Sequence[int] | NDArray[np.int64],
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
        if not 0 <= min(numbers) <= max(numbers) < len(frames_Thw3):
            raise IndexError(f"{video_id} has frames 0 to {len(frames_Thw3) - 1}, not {min(numbers)} to {max(numbers)}")
        if out is None:
            out = np.empty((len(numbers), *frames_Thw3.shape[1:]), dtype=np.uint8)
        step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
        if step > 0 and numbers == list(range(numbers[0], numbers[-1] + 1, step)):
            out[:] = frames_Thw3[numbers[0] : numbers[-1] + 1 : step]  # one copy, as most clips are
        else:
            for place, number in enumerate(numbers):
                out[place] = frames_Thw3[number]
        return out

    def __getstate__(self) -> dict[str, Any]:
        return {"_folder": self._folder, "_name": self._name, "_entries": self._entries, "_problems": self._problems}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._mapped = OrderedDict()
        self._lock = threading.Lock()

    def _entry(self, video_id: str) -> Entry:
        found = self._entries.get(video_id)
        if found is None:
            why = self._problems.get(video_id, "it is not among the store's videos")
            raise ValueError(f"{self._name} has no frames of {video_id}: {why}")
        return found

    def _frames(self, video_id: str) -> Frames:
        with self._lock:
            frames = self._mapped.get(video_id)
            if frames is None:
                entry = self._entry(video_id)
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

    Raises:
        ValueError: Videos cannot be read (with their number, the first three names and the first reason), or the disk
            is too small.
    """
    tell = progress or (lambda done, total: None)
    place = folder / f"v{PIXEL_CONTRACT}-{_resize_name(resize)}-av{importlib.metadata.version('av')}"
    key = hashlib.sha256("\n".join(sorted(video_set.ids)).encode()).hexdigest()[:32]
    list_path = place / "sets" / f"{key}.json"
    try:
        for part in (place / "entries", place / "sets", place / "unfinished"):
            part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"frames cannot be stored in {folder} ({error.strerror}); choose another folder.") from error

    known = _read_list(list_path)
    missing = _without_entry(video_set, place, known)
    if missing or verify:
        with _locked(place / "unfinished" / f"{key}.lock", lambda: tell(0, len(video_set))):
            known = _read_list(list_path)  # somebody else may have gone on with it meanwhile
            missing = _without_entry(video_set, place, known)
            needed = estimate_bytes(missing, resize)
            _refuse_small_disk(video_set, needed, place)
            unfinished = place / "unfinished" / key
            shutil.rmtree(unfinished, ignore_errors=True)  # what a killed build left; we hold the lock
            unfinished.mkdir()
            making = video_set.videos if verify else missing
            done = len(video_set) - len(making)
            try:
                with closing(_make(making, resize, place, unfinished, workers, needed)) as entries:
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

    store = FrameStore(place, video_set.name, [known[video_id] for video_id in video_set.ids])
    if store.left_out and unreadable == "stop":
        first = next(iter(store.left_out.values()))
        raise ValueError(
            f"{len(store.left_out)} of the {len(video_set)} videos of {video_set.name} cannot be read: "
            f"{some(sorted(store.left_out))}. The first: {first}"
        )
    return store


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


def _without_entry(video_set: VideoSet, place: Path, known: Mapping[str, Entry]) -> tuple[Video, ...]:
    """The videos that are new, whose files changed, or whose entries are not whole."""
    return tuple(video for video in video_set.videos if not _is_current(video, place, known.get(video.video_id)))


def _is_current(video: Video, place: Path, entry: Entry | None) -> bool:
    if entry is None:
        return False
    try:
        found = video.path.stat()
        if (found.st_size, found.st_mtime_ns) != (entry.file_size, entry.file_time_ns):
            return False
        return bool(entry.problem) or entry_path(place, entry.file_digest).stat().st_size == entry_bytes(entry.shape)
    except OSError:
        return False


def _make(
    videos: Sequence[Video], resize: Resize, place: Path, unfinished: Path, workers: int, num_bytes: int
) -> Generator[Entry, None, None]:
    """Entries of the videos, in whatever order they are ready."""
    if workers <= 1 or len(videos) <= 1:
        for video in videos:
            yield _make_one(video, resize, place, unfinished)
        return
    pool: Executor
    if num_bytes < SMALL_BYTES:
        pool = ThreadPoolExecutor(min(workers, len(videos)), thread_name_prefix="frames")
    else:
        spawn = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(min(workers, len(videos)), mp_context=spawn, initializer=_serve_parent)
    try:
        ready = [pool.submit(_make_one, video, resize, place, unfinished) for video in videos]
        for future in as_completed(ready):
            yield future.result()
    except BrokenProcessPool as error:
        raise ValueError(
            "a decoding process was killed, perhaps for want of memory; what is done is kept. Try fewer workers."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _serve_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _make_one(video: Video, resize: Resize, place: Path, unfinished: Path) -> Entry:
    """Find the entry of a video whole, or write it."""
    try:
        found = video.path.stat()
        with video.path.open("rb") as file:
            file_digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        problem = f"{video.path} cannot be opened ({error.strerror})."
        return Entry(video.video_id, -1, -1, "", (0, 0, 0), "", problem)

    def entry(shape: tuple[int, int, int], digest: str, problem: str = "") -> Entry:
        return Entry(video.video_id, found.st_size, found.st_mtime_ns, file_digest, shape, digest, problem)

    target = entry_path(place, file_digest)
    if whole := read_entry(target):
        return entry(*whole)
    try:
        beside = unfinished / f"{file_digest}-{os.getpid()}-{threading.get_ident()}"
        shape, digest = write_entry(_resized_frames(video.path, resize), beside, target)
    except UndecodableVideo as error:
        return entry((0, 0, 0), "", str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"{place} is full: no space for the frames of {video.video_id}.") from error
        raise
    return entry(shape, digest)


def _resized_frames(path: Path, resize: Resize) -> Iterator[Frames]:
    """A few frames at a time: memory does not grow with the video's length."""
    frames = decode_frames(path)
    while few := list(islice(frames, 8)):
        native_THW3 = np.stack(few)
        yield resize_clip(native_THW3, _resized((native_THW3.shape[1], native_THW3.shape[2]), resize))


def _refuse_small_disk(video_set: VideoSet, num_bytes: int, place: Path) -> None:
    needed, free = num_bytes / 1e9, shutil.disk_usage(place).free / 1e9
    log.info("frames of %s: about %.1f GB to write in %s, %.1f GB free", video_set.name, needed, place, free)
    if needed > free:
        raise ValueError(
            f"the frames of {video_set.name} need about {needed:.1f} GB and {place} has {free:.1f} GB free. "
            f"Make room, or choose another folder."
        )


@contextmanager
def _locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock; its holder's death releases it."""
    lock = FileLock(path)
    while True:
        try:
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
    except FileNotFoundError:
        return {}
    return {row["video_id"]: Entry(**{**row, "shape": tuple(row["shape"])}) for row in rows}


def _write_list(path: Path, unfinished: Path, video_set: VideoSet, known: Mapping[str, Entry]) -> None:
    rows = [asdict(known[video_id]) for video_id in sorted(video_set.ids) if video_id in known]
    beside = unfinished / path.name
    try:
        with beside.open("w", encoding="utf-8") as file:
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


def _resize_name(resize: Resize) -> str:
    if resize is None:
        return "native"
    return f"short{resize}" if isinstance(resize, int) else f"{resize[0]}x{resize[1]}"
