"""Each video's frames once, at the suite's resize, in files that are read through the page cache.

On disk, below the folder one is given:

    v1-128x171-av18.1.0/       pixel contract, resize, and the decoder's build: whoever has another makes his own
        entries/ab/cdef.npy    one video's frames [T, h, w, 3], named by the SHA-256 of the *file*; the last 32 bytes
                               are the digest of the frames
        sets/0123.json         one set of videos: which entry is whose, with size and time of each file; named by the ids

An entry's name depends on the file's content and nothing else, so overlapping sets share entries, a changed file is
noticed, and entries are never changed: they are written beside their place and renamed into it. A set's list is written
last. Hence a killed build goes on where it was, readers never see half a video, and two builders cannot harm each other;
the lock only keeps them from doing the same work twice.

Letters: T frames, h w height and width as stored.
"""

import errno
import hashlib
import importlib.metadata
import json
import logging
import mmap
import multiprocessing
import os
import shutil
import signal
import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from bench.video.decode import PIXEL_CONTRACT, UndecodableVideo, decode_frames, promised
from bench.video.index import Video, VideoSet, some
from bench.video.resize import Crop, cropped, resize_clip, short_side

log = logging.getLogger(__name__)

Frames = NDArray[np.uint8]
Resize = tuple[int, int] | int | None
"""Height and width; or the short side, the long one cut to whole pixels; or None for the file's own size."""

Progress = Callable[[int, int], None]
"""Called with the videos done and all there are. May raise to stop the work."""

HEADER_BYTES = 128
DIGEST_BYTES = 32
MAX_OPEN = 256
"""Entries a reader keeps mapped; each holds a file descriptor."""

SAMPLE = 64
"""Videos whose headers are read to estimate the size of a store."""


@dataclass(frozen=True)
class Entry:
    """What a set's list knows of one video."""

    video_id: str
    file_size: int
    file_time_ns: int
    file_digest: str
    """SHA-256 of the file; the name of the entry."""

    shape: tuple[int, int, int]
    """Frames, height, width."""

    frames_digest: str
    """SHA-256 over the frames' bytes and then their shape."""

    problem: str = ""
    """Why the video has no frames, where it has none."""


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
        return sum(_num_bytes(entry.shape) for entry in self._entries.values())

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

    def clip(self, video_id: str, frame_numbers: Sequence[int] | NDArray[np.int64], crop: Crop | None = None) -> Frames:
        """The frames of these numbers, cropped: a fresh uint8 [T, h, w, 3]."""
        frames_THW3 = cropped(self._frames(video_id), crop)
        numbers = [int(number) for number in frame_numbers]
        if not all(0 <= number < len(frames_THW3) for number in numbers):
            raise IndexError(f"{video_id} has frames 0 to {len(frames_THW3) - 1}, not {min(numbers)} to {max(numbers)}")
        clip_Thw3 = np.empty((len(numbers), *frames_THW3.shape[1:]), dtype=np.uint8)
        for place, number in enumerate(numbers):
            clip_Thw3[place] = frames_THW3[number]
        return clip_Thw3

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
                frames = _map(_entry_path(self._folder, entry.file_digest), entry)
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
    unreadable: Literal["stop", "leave_out"] = "stop",
    verify: bool = False,
) -> FrameStore:
    """The frame store of a set: opened where it is complete, otherwise made, or finished.

    Args:
        video_set: The videos.
        resize: What is done to every frame.
        folder: Where all frame stores of this machine lie.
        workers: Processes that decode; with 1, this one does. They are spawned, so a script needs its `__main__` guard.
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
    missing = video_set.videos if verify else _without_entry(video_set, place, known)
    if missing:
        with _locked(place / "unfinished" / f"{key}.lock", lambda: tell(0, len(video_set))):
            known = _read_list(list_path)  # somebody else may have finished it meanwhile
            missing = video_set.videos if verify else _without_entry(video_set, place, known)
            unfinished = place / "unfinished" / key
            shutil.rmtree(unfinished, ignore_errors=True)  # what a killed build left; we hold the lock
            unfinished.mkdir()
            done = len(video_set) - len(missing)
            _refuse_small_disk(video_set, missing, resize, place, known)
            with closing(_make(missing, resize, place, unfinished, workers)) as entries:
                for entry in entries:
                    known[entry.video_id] = entry
                    done += 1
                    tell(done, len(video_set))
            unfinished.rmdir()
            _write_list(list_path, video_set, known)
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
        sizes.append(_num_bytes((num_frames, *_resized((height, width), resize))))
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
        return bool(entry.problem) or _entry_path(place, entry.file_digest).stat().st_size == _entry_bytes(entry.shape)
    except OSError:
        return False


def _make(
    videos: Sequence[Video], resize: Resize, place: Path, unfinished: Path, workers: int
) -> Generator[Entry, None, None]:
    """Entries of the videos, in whatever order they are ready."""
    if workers <= 1 or len(videos) == 1:
        for video in videos:
            yield _make_one(video, resize, place, unfinished)
        return
    pool = ProcessPoolExecutor(
        min(workers, len(videos)), mp_context=multiprocessing.get_context("spawn"), initializer=_serve_parent
    )
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

    target = _entry_path(place, file_digest)
    if whole := _read_whole(target):
        return entry(*whole)
    try:
        shape, digest = _write(video.path, resize, unfinished / f"{file_digest}-{os.getpid()}", target)
    except UndecodableVideo as error:
        return entry((0, 0, 0), "", str(error))
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ValueError(f"{place} is full: no space for the frames of {video.video_id}.") from error
        raise
    return entry(shape, digest)


def _write(source: Path, resize: Resize, beside: Path, target: Path) -> tuple[tuple[int, int, int], str]:
    """Decode, resize and write, a few frames at a time: memory does not grow with the video's length."""
    digest = hashlib.sha256()
    num_frames, size = 0, (0, 0)
    try:
        with beside.open("wb") as file:
            file.write(bytes(HEADER_BYTES))
            frames = decode_frames(source)
            while few := list(islice(frames, 8)):
                native_THW3 = np.stack(few)
                size = _resized((native_THW3.shape[1], native_THW3.shape[2]), resize)
                small_Thw3 = resize_clip(native_THW3, size)
                digest.update(small_Thw3)
                file.write(small_Thw3)
                num_frames += len(few)
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


def _read_whole(path: Path) -> tuple[tuple[int, int, int], str] | None:
    """Shape and digest of an entry whose frames are those that were written; None where there is no such entry."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
            if len(shape) != 4 or dtype != np.uint8 or path.stat().st_size != _entry_bytes(shape[:3]):
                return None
            digest = hashlib.sha256()
            left = _num_bytes(shape[:3])
            while left:
                piece = file.read(min(left, 1 << 20))
                digest.update(piece)
                left -= len(piece)
            digest.update(_shape_text(shape[:3]))
            return (shape[:3], digest.hexdigest()) if file.read() == digest.digest() else None
    except (OSError, ValueError):
        return None


def _map(path: Path, entry: Entry) -> Frames:
    """An entry's frames, read-only, as they lie in the page cache."""
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"the stored frames of {entry.video_id} are gone ({error}); the same command makes them again."
        ) from error
    if len(mapped) != _entry_bytes(entry.shape) or mapped[-DIGEST_BYTES:].hex() != entry.frames_digest:
        raise ValueError(
            f"the stored frames of {entry.video_id} in {path} are damaged; delete that file and run again."
        )
    return np.frombuffer(mapped, dtype=np.uint8, count=_num_bytes(entry.shape), offset=HEADER_BYTES).reshape(
        *entry.shape, 3
    )


def _refuse_small_disk(
    video_set: VideoSet, missing: Sequence[Video], resize: Resize, place: Path, known: Mapping[str, Entry]
) -> None:
    new = [video for video in missing if video.video_id not in known]
    needed, free = estimate_bytes(new, resize), shutil.disk_usage(place).free
    log.info(
        "frames of %s: about %.1f GB to write in %s, %.1f GB free", video_set.name, needed / 1e9, place, free / 1e9
    )
    if needed > free:
        raise ValueError(
            f"the frames of {video_set.name} need about {needed / 1e9:.1f} GB and {place} has {free / 1e9:.1f} GB free. "
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


def _write_list(path: Path, video_set: VideoSet, known: Mapping[str, Entry]) -> None:
    rows = [asdict(known[video_id]) for video_id in sorted(video_set.ids)]
    beside = path.with_suffix(f".{os.getpid()}.unfinished")
    with beside.open("w", encoding="utf-8") as file:
        json.dump({"name": video_set.name, "videos": rows}, file, ensure_ascii=False, indent=0)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _resized(native: tuple[int, int], resize: Resize) -> tuple[int, int]:
    if resize is None:
        return native
    return short_side(native, resize) if isinstance(resize, int) else resize


def _resize_name(resize: Resize) -> str:
    if resize is None:
        return "native"
    return f"short{resize}" if isinstance(resize, int) else f"{resize[0]}x{resize[1]}"


def _entry_path(place: Path, file_digest: str) -> Path:
    return place / "entries" / file_digest[:2] / f"{file_digest[2:]}.npy"


def _num_bytes(shape: tuple[int, ...]) -> int:
    num_frames, height, width = shape
    return num_frames * height * width * 3


def _entry_bytes(shape: tuple[int, ...]) -> int:
    return HEADER_BYTES + _num_bytes(shape) + DIGEST_BYTES


def _shape_text(shape: tuple[int, ...]) -> bytes:
    return "x".join(map(str, (*shape, 3))).encode()


def _npy_header(shape: tuple[int, int, int]) -> bytes:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (*shape, 3)})
    assert len(header.getvalue()) == HEADER_BYTES
    return header.getvalue()
