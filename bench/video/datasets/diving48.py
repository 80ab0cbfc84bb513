"""Diving48 V2: 18k dives of 48 kinds; only the order of movements tells them apart.

Source: Li, Li, Vasconcelos, "RESOUND: Towards Action Recognition without Representation Bias", ECCV 2018; version 2 of
the labels (October 2020). A kind of dive is take-off, somersaults, twists and position; the vocabulary names 48, of which
47 occur in version 2: the one without a video is no class here. A source is the competition video that the dives were
cut from: 58 for training, 26 for testing, none in both.
"""

from pathlib import Path
from typing import Any

from bench.video.datasets.official import Description, find, first_folder, read_json, with_validation
from bench.video.index import Dataset, Video, VideoSet, some

DIVING48 = Description(
    name="diving48",
    title="Diving48 V2",
    num_videos=16997,
    num_classes=48,
    gigabytes=9.6,
    licence="none stated; research use",
    source="competition video (the name before its number)",
    layout="rgb/NAME.mp4 and Diving48_V2_{train,test}.json, Diving48_vocab.json",
    obtain="Diving48_rgb.tar.gz and the version 2 annotations from the Statistical Visual Computing Lab, UC San Diego",
)


def diving48(root: Path, *, lists: Path | None = None) -> Dataset:
    """Diving48 with the labels of version 2. Classes without a video are left out of the names.

    Args:
        root: Holds the videos, in rgb or directly.
        lists: Folder of the annotation files, where it is not `root`.

    Raises:
        ValueError: An annotation file is missing or not as expected. Missing videos are not looked for here.
    """
    train, test = (diving48_set(root, part, lists=lists) for part in ("train", "test"))
    return with_validation(DIVING48, train.videos, test.videos, train.class_names)


def diving48_set(root: Path, part: str, *, lists: Path | None = None) -> VideoSet:
    """The official `train` or `test` videos, whether their files are there or not."""
    place = lists or root
    folder = first_folder(root / "rgb", root)
    vocabulary = [" ".join(words) for words in read_json(find("Diving48_vocab.json", place))]
    rows = {part: _rows(find(f"Diving48_V2_{part}.json", place), len(vocabulary)) for part in ("train", "test")}
    occurring = sorted({int(row["label"]) for several in rows.values() for row in several})
    labels = {label: position for position, label in enumerate(occurring)}
    videos = tuple(
        Video(name, folder / f"{name}.mp4", labels[row["label"]], name.rpartition("_")[0])
        for row in rows[part]
        for name in (row["vid_name"],)
    )
    return VideoSet(f"diving48 {part}", videos, tuple(vocabulary[label] for label in occurring))


def _rows(path: Path, num_names: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_json(path)
    strange = [
        str(row) for row in rows if "_" not in row.get("vid_name", "") or row.get("label") not in range(num_names)
    ]
    if strange:
        raise ValueError(f"{path} has {len(strange)} entries that are none of Diving48: {some(strange)}.")
    return rows
