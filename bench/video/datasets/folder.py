"""Somebody's own videos: FOLDER/class/*.mp4, avi, webm, mkv or mov.

What may lie beside the class folders, in FOLDER or in FOLDER/splits:

- `trainlist01.txt` and `testlist01.txt` (02, 03 for further splits): a video a line, `class/name.mp4`, in the training
  list followed by the class's number as in UCF101. Without them the split is made here, by whole sources.
- `classInd.txt`: `1 class`, a line for each class; it fixes the order of the classes. Otherwise they are sorted.
- `groups.csv`, `groups.txt` or `manifest.csv`: which recording a video was cut from; either CSV with a column `group` (or
  `source`) and one of `path`, `video`, `id`, or lines of `video group`. Without it every video is a recording of its own;
  then videos cut from one recording can stand on both sides of the split, and the scores are too good.

Validation is carved from the training videos by whole sources, about a tenth, at least one video a class.
"""

import csv
import logging
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from bench.video.datasets.official import Description, read_class_numbers, read_lines
from bench.video.index import Dataset, Video, VideoSet, some, video_id_below
from bench.video.splitting import carve

log = logging.getLogger(__name__)

FOLDER = Description(
    name="folder",
    title="A folder of your own",
    num_videos=None,
    num_classes=None,
    gigabytes=None,
    licence="your own",
    source="the group that groups.csv, groups.txt or manifest.csv gives; without one, the video",
    layout="FOLDER/CLASS/*.mp4, avi, webm, mkv or mov; beside them trainlist01.txt and testlist01.txt as in UCF101, if you like",
    obtain="your own; give the folder in place of a name",
)
VIDEO_SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm")
GROUP_FILES = ("groups.csv", "groups.txt", "manifest.csv")
NAME_COLUMNS = ("path", "video", "id", "video_id")
GROUP_COLUMNS = ("group", "source")
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1


def folder_dataset(folder: Path, *, split: int = 1) -> Dataset:
    """The videos in a folder as a data set.

    Args:
        folder: Holds a folder for each class.
        split: Which pair of list files to use, where there are several.

    Raises:
        ValueError: If there is no folder, class or video, a class has too few videos or sources, or a list names what is not there.
    """
    videos = _scan(folder)
    class_names = _class_names(folder, {_class_of(video_id) for video_id in videos})
    groups = _groups(folder, videos)
    everything = {
        video_id: Video(video_id, path, class_names.index(_class_of(video_id)), groups[video_id])
        for video_id, path in videos.items()
    }
    _refuse_small_classes(folder, everything.values(), class_names)

    lists = [_beside(folder, f"{part}list{split:02}.txt") for part in ("train", "test")]
    if None not in lists:
        train_ids, test_ids = (_read_list(path, folder, everything, class_names) for path in lists if path is not None)
        both = sorted(set(train_ids) & set(test_ids))
        if both:
            raise ValueError(f"{len(both)} videos stand in both lists of split {split}: {some(both)}.")
        if unused := len(everything) - len(train_ids) - len(test_ids):
            log.info("%s: %d videos are in neither list of split %d and are not used", folder, unused, split)
        rest, test = [everything[v] for v in train_ids], [everything[v] for v in test_ids]
    elif split != 1 or lists != [None, None]:
        absent = "trainlist" if lists[0] is None else "testlist"
        raise ValueError(f"{folder} has no {absent}{split:02}.txt; a split needs a training and a test list.")
    else:
        held_out = carve(tuple(everything.values()), class_names, TEST_SHARE, "test")
        rest = [video for video in everything.values() if video.source not in held_out]
        test = [video for video in everything.values() if video.source in held_out]
    held_out = carve(rest, class_names, VALIDATION_SHARE, "validation")

    def chosen(part: str, members: Sequence[Video]) -> VideoSet:
        return VideoSet(f"{folder.resolve().name} {part}", tuple(members), class_names)

    train = [video for video in rest if video.source not in held_out]
    return Dataset(
        name="local",
        train=chosen("train", train),
        validation=chosen("validation", [video for video in rest if video.source in held_out]),
        test=chosen("test", test),
        pretrain=chosen("pretrain", train),
        licence="your own",
    )


def _scan(folder: Path) -> dict[str, Path]:
    """Every video below a class folder, by id, in the order of the ids."""
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder." if folder.exists() else f"there is no folder {folder}.")
    found = sorted(p for p in folder.glob("*/*") if _looks_like_video(p) and not p.parent.name.startswith("."))
    if not found:
        if any(_looks_like_video(path) for path in folder.iterdir()):
            raise ValueError(f"{folder} holds videos but no classes; put them into {folder}/NAME_OF_CLASS/.")
        raise ValueError(f"{folder} holds no videos: expected {folder}/NAME_OF_CLASS/*{', *'.join(VIDEO_SUFFIXES)}.")
    if empty := sorted(path.name for path in folder.iterdir() if _is_empty_class(path, found)):
        raise ValueError(
            f"{len(empty)} folders of classes in {folder} hold no video: {some(empty)}. Videos lie directly in the folder of "
            "their class; remove those that are no classes."
        )
    if strange := [str(path.relative_to(folder)) for path in found if not path.is_file()]:
        raise ValueError(f"{len(strange)} of the videos in {folder} are no files: {some(strange)}.")
    if strange := [str(path.relative_to(folder)) for path in found if not _is_utf8(path)]:
        named = some([name.encode("utf-8", "replace").decode() for name in strange])
        raise ValueError(f"{len(strange)} of the videos in {folder} have names that are no UTF-8: {named}.")
    videos: dict[str, Path] = {}
    for path in found:
        video_id = video_id_below(folder, path)
        if video_id in videos:
            raise ValueError(f"{folder} has {videos[video_id].name} and {path.name} in {path.parent.name}; keep one.")
        videos[video_id] = path
    return dict(sorted(videos.items()))


def _looks_like_video(path: Path) -> bool:
    return path.suffix.lower() in VIDEO_SUFFIXES and not path.name.startswith(".")


def _is_empty_class(path: Path, videos: Sequence[Path]) -> bool:
    """Whether a folder is empty, or holds further folders alone. One with other files may be anything, and is passed over."""
    if path.name.startswith(".") or not path.is_dir() or any(video.parent == path for video in videos):
        return False
    return all(inside.is_dir() for inside in path.iterdir())


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _class_of(video_id: str) -> str:
    return video_id.split("/")[0]


def _beside(folder: Path, name: str) -> Path | None:
    """A file that says something about the videos, if it is there."""
    return next((path for path in (folder / name, folder / "splits" / name) if path.is_file()), None)


def _class_names(folder: Path, folders: set[str]) -> tuple[str, ...]:
    path = _beside(folder, "classInd.txt")
    if path is None:
        names = tuple(sorted(folders))
    else:
        names = read_class_numbers(path)
        if unlike := sorted(folders.symmetric_difference(names)):
            raise ValueError(
                f"{path} and the folders with videos in {folder} differ by {len(unlike)} classes: {some(unlike)}."
            )
    if len(names) < 2:
        raise ValueError(f"{folder} has one class, {names[0]}; there is nothing to tell apart.")
    return names


def _refuse_small_classes(folder: Path, videos: Iterable[Video], class_names: Sequence[str]) -> None:
    counts = Counter(class_names[video.label] for video in videos if video.label is not None)
    small = [f"{name} ({counts[name]})" for name in class_names if counts[name] < 3]
    if small:
        raise ValueError(
            f"{len(small)} classes in {folder} have fewer than 3 videos: {some(small)}. "
            f"Training, validation and test need one each."
        )


def _read_list(path: Path, folder: Path, videos: Mapping[str, Video], class_names: Sequence[str]) -> list[str]:
    """Ids in the order of the list; a label that stands there must agree with the folder."""
    ids, unknown, unlike = [], [], []
    for line in read_lines(path):
        video_id, number = _id_of(line), ""
        if video_id not in videos and line.rpartition(" ")[2].isdecimal():
            name, _, number = line.rpartition(" ")
            video_id = _id_of(name.strip())
        if video_id not in videos:
            unknown.append(video_id)
            continue
        if number and class_names[int(number) - 1 : int(number)] != (_class_of(video_id),):
            unlike.append(line)
        ids.append(video_id)
    if unknown:
        raise ValueError(f"{path} names {len(unknown)} videos that are not in {folder}: {some(unknown)}.")
    if unlike and _beside(folder, "classInd.txt") is not None:
        raise ValueError(f"{path} gives {len(unlike)} videos another class than classInd.txt: {some(unlike)}.")
    if repeated := [video_id for video_id, times in Counter(ids).items() if times > 1]:
        raise ValueError(f"{path} names {len(repeated)} videos more than once: {some(repeated)}.")
    if not ids:
        raise ValueError(f"{path} names no video.")
    return ids


def _id_of(name: str) -> str:
    """The id of a video as a list may write it: with or without extension, `/` or a backslash."""
    path = PurePosixPath(unicodedata.normalize("NFC", name.replace("\\", "/")))
    return str(path.with_suffix("")) if path.suffix.lower() in VIDEO_SUFFIXES else str(path)


def _groups(folder: Path, videos: Mapping[str, Path]) -> dict[str, str]:
    """The source of every video: its group where the folder says so, else the video itself."""
    path = next((found for name in GROUP_FILES if (found := _beside(folder, name)) is not None), None)
    if path is None:
        return {video_id: video_id for video_id in videos}
    groups: dict[str, str] = {}
    for name, group in _group_rows(path):
        video_id = _id_of(name)
        # A manifest may have been written one folder up.
        video_id = video_id if video_id in videos else video_id.partition("/")[2]
        if video_id in videos and group:
            groups[video_id] = group
    if left := sorted(set(videos).difference(groups)):
        raise ValueError(f"{path} gives no group for {len(left)} of the {len(videos)} videos: {some(left)}.")
    return groups


def _group_rows(path: Path) -> Iterator[tuple[str, str]]:
    """Name and group of each row."""
    lines = read_lines(path)
    if path.suffix == ".csv":
        table = csv.DictReader(lines)
        header = [column.strip().lower() for column in table.fieldnames or ()]
        table.fieldnames = header
        names = [column for column in NAME_COLUMNS if column in header]
        groups = [column for column in GROUP_COLUMNS if column in header]
        if not names or not groups:
            raise ValueError(
                f"{path} needs a column {' or '.join(GROUP_COLUMNS)} and a column {' or '.join(NAME_COLUMNS)}; "
                f"it has {', '.join(header) or 'none'}."
            )
        for row in table:
            yield (row[names[0]] or "").strip(), (row[groups[0]] or "").strip()
    else:
        for line in lines:
            name, _, group = line.rpartition(" ")
            if not name:
                raise ValueError(f"{path} has a line {line!r}; expected a video and its group.")
            yield name.strip(), group
