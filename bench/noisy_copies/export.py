"""A corrupted copy of a set of videos, without loss, for people who use other tools.

On disk, below the folder one is given:

    shot-ucf101-p@source-v1-severity-3/    one condition, laid out like the original: class/name.mkv
    manifest.json                          what every file is, with digests
    unfinished/                            while the copy is not whole: files being written, and the journal

Read back through the project's decoder, a file gives exactly the pixels that `corruptions.corrupt` draws on the fly at
position `source`. Files are renamed into their places when they are whole, so a killed export goes on where it was and
does again what its workers had in hand, one video each. More conditions may be added to a copy later.
"""

import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from bench.noisy_copies.conditions import folder_of, under
from bench.noisy_copies.manifest import UNFINISHED, Journal, Row, Rows, identity, read_rows, write_manifest
from bench.noisy_copies.write_video import LOSSLESS, Frames, blocks, frame_rate, writing
from bench.schema import Condition
from bench.video.decode import UndecodableVideo
from bench.video.frame_store import estimate_bytes
from bench.video.index import Video, VideoSet

LARGEST_RATIO = 1.15
"""Of a file's bytes to its frames': on real clips 0.58 (impulse, severity 1) to 1.12 (Gaussian, 5), 0.92 on average."""

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Plan:
    """What is still to be written."""

    missing: tuple[tuple[Video, tuple[Condition, ...]], ...]
    num_done: int
    """Files that are there."""

    num_bytes: int
    """The most that the missing files will take, about."""

    free_bytes: int

    @property
    def num_files(self) -> int:
        """Files that are missing."""
        return sum(len(conditions) for _, conditions in self.missing)

    def __str__(self) -> str:
        return (
            f"{self.num_done} files are there, {self.num_files} are to be written, up to {self.num_bytes / 1e9:.2f} GB; "
            f"{self.free_bytes / 1e9:.2f} GB are free"
        )


def plan(videos: VideoSet, conditions: Sequence[Condition], out: Path, *, workers: int) -> Plan:
    """What an export into this folder would write. Nothing is written.

    Raises:
        ValueError: The folder holds something else.
    """
    return _plan(videos, conditions, out, read_rows(out, identity(videos)), workers, verify=False)


def export(
    videos: VideoSet,
    conditions: Sequence[Condition],
    out: Path,
    *,
    workers: int,
    progress: Progress,
    verify: bool = False,
) -> Path:
    """Write the copy, or what is missing of it.

    Args:
        videos: What is copied.
        conditions: Under which; those that the folder already holds stay.
        out: A folder that is new, empty, or holds an export of the same videos.
        workers: Threads; each has a video of its own.
        progress: Told after every video. May raise to stop.
        verify: Decode every file that is there, and write those anew whose pixels are not what their row says.

    Returns:
        The manifest.

    Raises:
        ValueError: The folder holds something else or is in use, the disk is too small or fails, or videos cannot be read
            (the others are copied).
    """
    own = identity(videos)
    read_rows(out, own)  # refuse before a folder is made or touched
    unfinished = out / UNFINISHED
    try:
        unfinished.mkdir(parents=True, exist_ok=True)
        with _alone(out):
            rows = read_rows(out, own)
            progress("looking at what is there", 0)
            to_do = _plan(videos, conditions, out, rows, workers, verify)
            _refuse_small_disk(to_do, out)
            progress(str(to_do), 0)
            for left_behind in unfinished.glob("*.mkv"):
                left_behind.unlink()
            problems = []
            with Journal(out, own, rows.values()) as journal:
                for video, made in _make(to_do, out, workers):
                    if isinstance(made, UndecodableVideo):
                        problems.append(str(made))
                        continue
                    for row in made:
                        journal.add(row)
                        rows[row.video_id, row.condition] = row
                    progress(video.video_id, (len(rows) - to_do.num_done) / to_do.num_files)
            if problems:
                raise ValueError(
                    f"{len(problems)} of the {len(videos)} videos of {videos.name} cannot be read; the others are copied. "
                    f"The first: {problems[0]}"
                )
            manifest = write_manifest(out, own, videos, rows)
            shutil.rmtree(unfinished)
    except OSError as error:
        raise ValueError(f"the copy in {out} cannot be written ({error.strerror}); what is done is kept.") from error
    return manifest


def frames_digest(path: Path) -> str:
    """The digest of a video's frames that stands in a row.

    Raises:
        UndecodableVideo: It does not decode.
    """
    digest, num_frames, size = hashlib.sha256(), 0, (0, 0)
    for first, frames_THW3 in blocks(path):
        digest.update(frames_THW3.data)
        num_frames, size = first + len(frames_THW3), (frames_THW3.shape[1], frames_THW3.shape[2])
    digest.update(_shape(num_frames, size))
    return digest.hexdigest()


def _shape(num_frames: int, size: tuple[int, int]) -> bytes:
    return f"{num_frames}x{size[0]}x{size[1]}x3".encode()


def _plan(videos: VideoSet, conditions: Sequence[Condition], out: Path, rows: Rows, workers: int, verify: bool) -> Plan:
    """Compare what is there with what is wanted; rows that do not hold are taken out of `rows`."""
    counts = Counter(name for _, name in rows)
    whole = [_condition(name) for name, count in counts.items() if count == len(videos)]
    wanted = tuple(dict.fromkeys([*whole, *conditions]))

    def absent(video: Video) -> tuple[Condition, ...]:
        there = [condition for condition in wanted if (video.video_id, str(condition)) in rows]
        digest = _file_digest(video.path) if there else ""
        for condition in there:
            if not _holds(rows[video.video_id, str(condition)], out, digest, verify):
                del rows[video.video_id, str(condition)]
        return tuple(condition for condition in wanted if (video.video_id, str(condition)) not in rows)

    with ThreadPoolExecutor(workers) as pool:
        missing = [(v, some) for v, some in zip(videos.videos, pool.map(absent, videos.videos), strict=True) if some]
    num_bytes = 0
    if missing:
        a_video = estimate_bytes([video for video, _ in missing], None) / len(missing)
        num_bytes = int(LARGEST_RATIO * a_video * sum(len(some) for _, some in missing))
    disk = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    return Plan(tuple(missing), len(rows), num_bytes, shutil.disk_usage(disk).free)


def _refuse_small_disk(to_do: Plan, out: Path) -> None:
    if to_do.num_bytes > to_do.free_bytes:
        raise ValueError(
            f"there is too little room for {out}: {to_do}. Name fewer conditions, make room, or choose another disk."
        )


def _condition(name: str) -> Condition:
    """The inverse of `str(condition)`."""
    corruption, mark, severity = name.rpartition("#")
    return Condition(corruption=corruption, severity=int(severity)) if mark else Condition()


def _holds(row: Row, out: Path, original_digest: str, verify: bool) -> bool:
    path = out / row.file
    if row.original_digest != original_digest or not path.is_file() or path.stat().st_size != row.file_bytes:
        return False
    try:
        return not verify or frames_digest(path) == row.frames_digest
    except UndecodableVideo:
        return False


def _make(to_do: Plan, out: Path, workers: int) -> Iterator[tuple[Video, tuple[Row, ...] | UndecodableVideo]]:
    """Rows of the missing files, video by video as they are ready; of a video that cannot be read, the reason."""
    stop = threading.Event()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="export")
    try:
        ready: dict[Future[tuple[Row, ...]], Video] = {
            pool.submit(_copy, video, conditions, out, stop): video for video, conditions in to_do.missing
        }
        for future in as_completed(ready):
            try:
                yield ready[future], future.result()
            except UndecodableVideo as error:
                yield ready[future], error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def _copy(video: Video, conditions: Sequence[Condition], out: Path, stop: threading.Event) -> tuple[Row, ...]:
    """Decode a video once and write it under each condition; the files get their places when all are whole."""
    beside = [out / UNFINISHED / f"{threading.get_ident()}-{number}.mkv" for number in range(len(conditions))]
    digests = [hashlib.sha256() for _ in conditions]
    num_frames, size = 0, (0, 0)
    try:
        original_digest = _file_digest(video.path)
        with ExitStack() as files:
            appends: list[Callable[[Frames], None]] = []
            for first, frames_THW3 in blocks(video.path):
                if stop.is_set():
                    raise CancelledError
                if not appends:
                    size = (frames_THW3.shape[1], frames_THW3.shape[2])
                    rate = frame_rate(video.path)
                    appends = [files.enter_context(writing(path, LOSSLESS, rate, size)) for path in beside]
                for condition, append, digest in zip(conditions, appends, digests, strict=True):
                    noisy_THW3 = under(condition, frames_THW3, video.video_id, first)
                    digest.update(noisy_THW3.data)
                    append(noisy_THW3)
                num_frames = first + len(frames_THW3)
        rows = []
        for condition, path, digest in zip(conditions, beside, digests, strict=True):
            digest.update(_shape(num_frames, size))
            row = Row(
                video_id=video.video_id,
                condition=str(condition),
                file=f"{folder_of(condition)}/{video.video_id}.mkv",
                num_frames=num_frames,
                height=size[0],
                width=size[1],
                frames_digest=digest.hexdigest(),
                file_bytes=path.stat().st_size,
                file_digest=_file_digest(path),
                original_digest=original_digest,
            )
            with path.open("rb") as file:
                os.fsync(file.fileno())
            (out / row.file).parent.mkdir(parents=True, exist_ok=True)
            path.replace(out / row.file)
            rows.append(row)
        return tuple(rows)
    finally:
        for path in beside:
            path.unlink(missing_ok=True)


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UndecodableVideo(f"{path} cannot be opened ({error.strerror}).") from error


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the folder; its holder's death releases it."""
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"another process is writing into {out}; wait for it, or choose another folder.") from error
    try:
        yield
    finally:
        lock.release()
