"""What is there of a data set: which lists cannot be read, which files are missing, which do not decode. In sentences."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from bench.video.decode import UndecodableVideo, decode_frames
from bench.video.frame_store import estimate_bytes
from bench.video.index import Video, VideoSet, some

Progress = Callable[[int, int], None]

STORED_SIZE = (128, 171)
"""Height and width to which the paper's suites resize frames before they are stored."""


@dataclass(frozen=True)
class Found:
    """What was found of one part of a data set."""

    part: str
    problem: str = ""
    """Why the part could not be opened at all; nothing else is known then."""

    listed: int = 0
    classes: int = 0
    sources: int = 0
    smallest_class: str = ""
    """Name and number of videos that are there."""

    missing: tuple[str, ...] = ()
    """Videos without a file."""

    first_missing: str = ""
    """Where the first of them was looked for."""

    empty_classes: tuple[str, ...] = ()
    """Classes of which no video is there."""

    frames_bytes: int = 0
    """About what the frames of the videos that are there take on the disk, at STORED_SIZE."""

    undecodable: Mapping[str, str] = field(default_factory=dict)
    """Files that are there and do not decode, each with the reason."""

    @property
    def there(self) -> int:
        """Videos with a file."""
        return self.listed - len(self.missing)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What is wrong; none where nothing is."""
        if self.problem:
            return (f"{self.part}: {self.problem}",)
        said = []
        if self.missing and not self.there:
            said.append(
                f"{self.part}: none of the {self.listed} videos is here; the first should be {self.first_missing}."
            )
        elif self.missing:
            said.append(
                f"{self.part}: {len(self.missing)} of the {self.listed} videos have no file: {some(self.missing)}. "
                f"The first should be {self.first_missing}."
            )
        if self.empty_classes and self.there:
            said.append(
                f"{self.part}: {len(self.empty_classes)} of the {self.classes} classes have no video here: "
                f"{some(self.empty_classes)}."
            )
        if self.undecodable:
            first = next(iter(self.undecodable.values()))
            said.append(
                f"{self.part}: {len(self.undecodable)} of the {self.there} files do not decode: "
                f"{some(tuple(self.undecodable))}. The first: {first}"
            )
        return tuple(said)


def look_at(
    part: str,
    open_part: Callable[[], VideoSet],
    *,
    decode: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> Found:
    """Open a part, look for its files, and decode those that are there.

    Args:
        part: Its name.
        open_part: What it raises as a ValueError is the part's problem.
        decode: From the first frame to the last; else files are only looked for.
        workers: Videos that are decoded at once.
        progress: Told after every video that was decoded.
    """
    try:
        videos = open_part()
    except ValueError as error:
        return Found(part, problem=str(error))
    if not len(videos):
        return Found(part, problem="its list names no video.")
    without_file = missing(videos)
    here = videos.only(set(videos.ids).difference(without_file))
    counts = Counter(video.label for video in here.videos)
    sizes = [(counts[label], name) for label, name in enumerate(videos.class_names)]
    return Found(
        part,
        listed=len(videos),
        classes=len(videos.class_names),
        sources=len(set(videos.sources)),
        smallest_class="{1} ({0})".format(*min(sizes)),
        missing=without_file,
        first_missing=str(videos.video(without_file[0]).path) if without_file else "",
        empty_classes=tuple(name for size, name in sizes if not size),
        frames_bytes=estimate_bytes(here.videos, STORED_SIZE),
        undecodable=undecodable(here, workers=workers, progress=progress) if decode else {},
    )


def missing(video_set: VideoSet) -> tuple[str, ...]:
    """The videos without a file."""
    return tuple(video.video_id for video in video_set.videos if not _has_file(video))


def present(video_set: VideoSet) -> VideoSet:
    """The videos with a file; its manifest hash says that it is not the whole set."""
    return video_set.only(set(video_set.ids).difference(missing(video_set)))


def undecodable(video_set: VideoSet, *, workers: int = 1, progress: Progress | None = None) -> Mapping[str, str]:
    """The videos that do not decode from the first frame to the last, each with the reason."""
    reasons: dict[str, str] = {}
    waiting = iter(video_set.videos)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="check")
    try:
        ahead: deque[tuple[Video, Future[str]]] = deque()
        for done in range(len(video_set) + 1):
            ahead.extend((video, pool.submit(_problem, video)) for video in islice(waiting, workers * 2 - len(ahead)))
            if progress is not None:
                progress(done, len(video_set))
            if ahead:
                video, problem = ahead.popleft()
                if problem.result():
                    reasons[video.video_id] = problem.result()
    finally:
        pool.shutdown(cancel_futures=True)
    return reasons


def _has_file(video: Video) -> bool:
    try:
        return video.path.is_file()
    except OSError:
        return True  # something is there that may not be looked at; decoding says what


def _problem(video: Video) -> str:
    try:
        for _ in decode_frames(video.path):
            pass
    except UndecodableVideo as error:
        return str(error)
    return ""
