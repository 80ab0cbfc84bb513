"""What is there of a set of videos: which files are missing, and which do not decode."""

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from bench.video.decode import UndecodableVideo, decode_frames
from bench.video.index import Video, VideoSet

Progress = Callable[[int, int], None]


def missing(video_set: VideoSet) -> tuple[str, ...]:
    """The videos without a file."""
    return tuple(video.video_id for video in video_set.videos if not video.path.is_file())


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


def _problem(video: Video) -> str:
    try:
        for _ in decode_frames(video.path):
            pass
    except UndecodableVideo as error:
        return str(error)
    return ""
