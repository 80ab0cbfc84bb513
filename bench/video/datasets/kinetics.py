"""Kinetics-400, -600 and -700: ten-second clips of human actions from YouTube, in one layout.

Source: Kay et al., arXiv 1705.06950; Carreira et al., arXiv 1808.01340 and 1907.06987. The official CSV files name
label, YouTube id, start, end (in seconds) and split; the clip is `PART/LABEL/ID_SSSSSS_EEEEEE.mp4`, where a blank in the
label may also be an underscore. Videos vanish from YouTube, so every copy lacks some: the set is what the CSV names, and
`present` keeps what is there. Lists in other forms are read by `list_file`. A source is the YouTube video.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

from bench.video.datasets.official import Description, find
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
        layout="{train,val}/LABEL/ID_SSSSSS_EEEEEE.mp4 and {train,val}.csv (or annotations/...)",
        obtain="the CVD Foundation's copy (cvdfoundation/kinetics-dataset), or download by the official CSV files",
    )


KINETICS400 = _kinetics(400, 306245, 450)
KINETICS600 = _kinetics(600, 495547, 700)
KINETICS700 = _kinetics(700, 650317, 950)

COLUMNS = ("label", "youtube_id", "time_start", "time_end")


def kinetics_set(root: Path, part: str, *, class_names: Sequence[str] | None = None) -> VideoSet:
    """The official `train` or `val` videos, whether their files are there or not.

    Args:
        root: Holds a folder for the part, with a folder for each label, and the CSV file.
        part: `train` or `val`.
        class_names: In the order of their numbers; sorted as they occur where it is None.

    Raises:
        ValueError: The CSV file is missing or not as expected.
    """
    path = find(f"{part}.csv", root, root / "annotations")
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        if lacking := [column for column in COLUMNS if column not in (table.fieldnames or ())]:
            raise ValueError(f"{path} has no column {', '.join(lacking)}.")
        rows = list(table)
    names = tuple(class_names or sorted({row["label"] for row in rows}))
    labels = {name: label for label, name in enumerate(names)}
    if unknown := sorted({row["label"] for row in rows if row["label"] not in labels}):
        raise ValueError(f"{path} names {len(unknown)} classes that are not among the {len(names)}: {some(unknown)}.")
    folders = {name: _folder(root / part, name) for name in names}
    videos = []
    for row in rows:
        name = f"{row['youtube_id']}_{int(row['time_start']):06}_{int(row['time_end']):06}"
        video_id = f"{row['label']}/{name}"
        videos.append(Video(video_id, folders[row["label"]] / f"{name}.mp4", labels[row["label"]], row["youtube_id"]))
    return VideoSet(f"{root.name} {part}", tuple(videos), names)


def _folder(part: Path, label: str) -> Path:
    """The folder of a label, spelt with blanks or with underscores."""
    underscored = part / label.replace(" ", "_")
    return underscored if underscored.is_dir() else part / label
