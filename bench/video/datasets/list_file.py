"""A list of videos, one a line: `PATH LABEL` or `PATH FRAMES LABEL`, parted by blanks or tabs.

So most repositories write Kinetics and others. Paths may hold blanks and may lack the extension; the label is a number,
counted from 0, or the name of a class (a blank in it may be written as an underscore). A source is the video; of a name
that ends in two times, as in `0wR5jVB-WPk_000417_000427`, what stands before them. Lists that count from 1 beside a
classInd.txt, as UCF101's, are read by `folder`.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bench.video.datasets.official import Description, read_lines
from bench.video.index import Video, VideoSet, some

LIST_FILES = Description(
    name="lists",
    title="List files",
    num_videos=None,
    num_classes=None,
    gigabytes=None,
    licence="your own",
    source="the video; of a name that ends in two times, the recording that they cut",
    layout="lists of `PATH LABEL` or `PATH FRAMES LABEL` a line, and label_map*.txt or classes.txt beside them",
    obtain="your own, or as other repositories ship them; name a list or the folder of several with --annotations",
)
CLASS_FILES = ("label_map*.txt", "classes.txt")
SUFFIXES = (".mp4", ".avi", ".mkv", ".webm", ".mov", ".m4v")
SEGMENT = re.compile(r"(.+)_\d{6}_\d{6}")


def list_file(path: Path, root: Path, class_names: Sequence[str], *, suffix: str = ".mp4") -> VideoSet:
    """The videos of a list.

    Args:
        path: The list.
        root: What its paths are below of.
        class_names: In the order of their numbers.
        suffix: Of names that have none.

    Raises:
        ValueError: A line is none of the above, or names no class. Missing videos are not looked for here.
    """
    labels = {name: label for label, name in enumerate(class_names)}
    labels |= {
        underscored: labels[name] for name in class_names if (underscored := name.replace(" ", "_")) not in labels
    }
    labels |= {str(label): label for label in range(len(class_names)) if str(label) not in labels}
    videos, strange = [], []
    for line in read_lines(path):
        name, label = _name_and_label(line)
        if label not in labels or not name:
            strange.append(line)
            continue
        file = PurePosixPath(name)
        has_suffix = file.suffix.lower() in SUFFIXES
        video_id = str(file.with_suffix("")) if has_suffix else str(file)
        videos.append(
            Video(video_id, root / (name if has_suffix else name + suffix), labels[label], source_of(video_id))
        )
    if strange:
        raise ValueError(
            f"{path} has {len(strange)} lines without a video and one of its classes: {some(strange)}. There are "
            f"{len(class_names)} classes, numbered from 0."
        )
    return VideoSet(path.stem, tuple(videos), tuple(class_names))


def lists_in(place: Path) -> dict[str, Path]:
    """The list itself, or all lists in a folder, by name without extension."""
    if place.is_file():
        return {place.stem: place}
    known = set(_class_files(place))
    found = {
        path.stem: path for pattern in ("*.txt", "*.tsv") for path in sorted(place.glob(pattern)) if path not in known
    }
    if not found:
        raise ValueError(f"there is no list *.txt in {place}.")
    return found


def class_names_in(folder: Path) -> tuple[str, ...]:
    """The classes in the order of their numbers, a name a line.

    Raises:
        ValueError: There is no such file, or more than one.
    """
    found = _class_files(folder)
    if len(found) != 1:
        raise ValueError(
            f"{folder} has {len(found)} lists of classes; one is needed, a class a line: {' or '.join(CLASS_FILES)}."
        )
    return tuple(read_lines(found[0]))


def _class_files(folder: Path) -> list[Path]:
    return sorted({path for pattern in CLASS_FILES for path in folder.glob(pattern)})


def source_of(video_id: str) -> str:
    """The recording: the name without its folder and without the times that it was cut at."""
    name = PurePosixPath(video_id).name
    segment = SEGMENT.fullmatch(name)
    return segment[1] if segment else name


def _name_and_label(line: str) -> tuple[str, str]:
    if "\t" in line:
        name, _, label = line.rpartition("\t")
        return name.strip(), label.strip()
    name, _, label = line.rpartition(" ")
    before, _, frames = name.rpartition(" ")
    if before and frames.isdecimal() and label.isdecimal():
        name = before
    return name.strip(), label
