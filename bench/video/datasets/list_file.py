"""A list of videos, one a line: `PATH LABEL` or `PATH FRAMES LABEL`, parted by blanks or tabs.

So most repositories write Kinetics and others. Paths may hold blanks and may lack the extension; the label is a number,
counted from 0, or the name of a class. A source is the video; of a name that ends in two times, as in
`0wR5jVB-WPk_000417_000427`, what stands before them.
"""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from bench.video.datasets.official import read_lines
from bench.video.index import Video, VideoSet, some

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
        raise ValueError(f"{path} has {len(strange)} lines without a video and one of its classes: {some(strange)}.")
    return VideoSet(path.stem, tuple(videos), tuple(class_names))


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
