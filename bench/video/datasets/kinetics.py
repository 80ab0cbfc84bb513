"""Kinetics-400, -600 and -700: ten-second clips of human actions from YouTube, in one layout.

Source: Kay et al., arXiv 1705.06950; Carreira et al., arXiv 1808.01340 and 1907.06987. The official CSV files name
label, YouTube id, start, end (in seconds) and split; the clip is `PART/LABEL/ID_SSSSSS_EEEEEE.mp4`, where a blank in the
label may also be an underscore, or `PART/ID_SSSSSS_EEEEEE.mp4`, as the CVD Foundation's archives unpack. Videos vanish from
YouTube, so every copy lacks some: the set is what the CSV names, and `present` keeps what is there. Where there is no CSV
file, the list with the part in its name is read, in the forms of `list_file`. A source is the YouTube video.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from bench.video.datasets.list_file import class_names_in, list_file
from bench.video.datasets.official import Description, read_lines
from bench.video.index import Video, VideoSet, some


def _kinetics(number: int, num_videos: int, gigabytes: float) -> Description:
    return Description(
        name=f"kinetics{number}",
        title=f"Kinetics-{number}",
        num_videos=num_videos,
        num_classes=number,
        gigabytes=gigabytes,
        licence="annotations CC BY 4.0; the videos are their owners'",
        source="the YouTube video",
        layout="{train,val}/LABEL/ID_SSSSSS_EEEEEE.mp4 and {train,val}.csv (or annotations/...); or list files with their paths",
        obtain="the CVD Foundation's copy (cvdfoundation/kinetics-dataset), or download by the official CSV files",
    )


KINETICS400 = _kinetics(400, 306245, 450)
KINETICS600 = _kinetics(600, 495547, 700)
KINETICS700 = _kinetics(700, 650317, 950)

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def kinetics_set(
    root: Path, part: str, *, lists: Path | None = None, class_names: Sequence[str] | None = None
) -> VideoSet:
    """The official `train` or `val` videos, whether their files are there or not.

    Args:
        root: Holds a folder for the part, with a folder for each label, and the CSV file.
        part: `train` or `val`.
        lists: Where the CSV or list file lies, if not in `root` or `root/annotations`; a folder, or the file itself.
        class_names: In the order of their numbers; sorted as they occur where it is None.

    Raises:
        ValueError: The CSV or list file is missing or not as expected.
    """
    path = _annotation(part, (lists,) if lists is not None else (root, root / "annotations"))
    if path.suffix != ".csv":
        return list_file(path, root, class_names or class_names_in(path.parent))
    table = csv.DictReader(read_lines(path))
    if lacking := [column for column in COLUMNS if column not in (table.fieldnames or ())]:
        raise ValueError(f"{path} has no column {', '.join(lacking)}.")
    rows = [[row[column] or "" for column in COLUMNS] for row in table]
    if strange := [row[1] for row in rows if not (row[2].isdecimal() and row[3].isdecimal())]:
        raise ValueError(f"{path} has {len(strange)} rows without a start and an end in seconds: {some(strange)}.")
    names = tuple(class_names or sorted({row[0] for row in rows}))
    labels = {name: label for label, name in enumerate(names)}
    if unknown := sorted({row[0] for row in rows if row[0] not in labels}):
        raise ValueError(f"{path} names {len(unknown)} classes that are not among the {len(names)}: {some(unknown)}.")
    folders = _folders(root / part, names)
    videos = []
    for label, youtube_id, start, end in rows:
        name = f"{youtube_id}_{int(start):06}_{int(end):06}"
        videos.append(Video(f"{label}/{name}", folders[label] / f"{name}.mp4", labels[label], youtube_id))
    return VideoSet(f"{root.name} {part}", tuple(videos), names)


def _annotation(part: str, places: Sequence[Path]) -> Path:
    """The CSV file of a part, else the one list with the part in its name."""
    for place in places:
        if place.is_file():
            return place
        if (place / f"{part}.csv").is_file():
            return place / f"{part}.csv"
    found = [path for place in places for path in sorted(place.glob(f"*{part}*.txt"))]
    if not found:
        raise ValueError(f"there is no {part}.csv and no list *{part}*.txt in {' or '.join(map(str, places))}.")
    if len(found) > 1:
        raise ValueError(
            f"there are {len(found)} lists of {part} ({some([path.name for path in found])}); name one of them."
        )
    return found[0]


def _folders(part: Path, labels: Sequence[str]) -> dict[str, Path]:
    """The folder of each label, spelt with blanks or with underscores; the part itself where it holds no such folder."""
    spelt = {label: part / label.replace(" ", "_") for label in labels}
    folders = {label: underscored if underscored.is_dir() else part / label for label, underscored in spelt.items()}
    is_flat = part.is_dir() and not any(folder.is_dir() for folder in folders.values())
    return dict.fromkeys(labels, part) if is_flat else folders
