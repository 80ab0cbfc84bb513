"""UCF101: 13,320 clips of 101 actions, three official splits.

Source: Soomro, Zamir, Shah, "UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild", CRCV-TR-12-01.
Clips were cut from longer videos; those of one *group* of a class share people, place and camera, and the official
splits keep groups whole. So a source is a class and a group: 707 in test split 1.

One class folder, HandstandPushups, holds files spelt v_HandStandPushups_*; the class is always the folder.
"""

import re
from pathlib import Path

from bench.video.datasets.official import (
    Description,
    find,
    first_folder,
    read_class_numbers,
    read_lines,
    with_validation,
)
from bench.video.index import Dataset, Video, VideoSet, some

UCF101 = Description(
    name="ucf101",
    title="UCF101",
    num_videos=13320,
    num_classes=101,
    gigabytes=6.5,
    licence="none stated; research use",
    source="class and group (v_Class_gGG_cCC.avi)",
    layout="UCF-101/Class/*.avi and ucfTrainTestlist/{classInd,trainlist01,testlist01,...}.txt",
    obtain="UCF101.rar and UCF101TrainTestSplits-RecognitionTask.zip from the Center for Research in Computer Vision, UCF",
)
CLIP = re.compile(r"v_\w+_(g\d+)_c\d+")


def ucf101(root: Path, *, split: int = 1, lists: Path | None = None) -> Dataset:
    """UCF101 under one of its official splits, 1 to 3.

    Args:
        root: Holds the class folders, or UCF-101 with them.
        split: Which pair of lists.
        lists: Folder of the lists, where it is not `root` or `root/ucfTrainTestlist`.

    Raises:
        ValueError: A list is missing or is not one of UCF101. Missing videos are not looked for here.
    """
    train, test = (ucf101_set(root, part, split=split, lists=lists) for part in ("train", "test"))
    return with_validation(UCF101, train.videos, test.videos, train.class_names)


def ucf101_set(root: Path, part: str, *, split: int = 1, lists: Path | None = None) -> VideoSet:
    """The official `train` or `test` videos of a split, whether their files are there or not."""
    places = (lists,) if lists is not None else (root / "ucfTrainTestlist", root)
    class_names = read_class_numbers(find("classInd.txt", *places))
    path = find(f"{part}list{split:02}.txt", *places)
    videos = _videos(path, first_folder(root / "UCF-101", root), class_names)
    return VideoSet(f"ucf101 {part}", tuple(videos), class_names)


def _videos(path: Path, folder: Path, class_names: tuple[str, ...]) -> list[Video]:
    labels = {name: label for label, name in enumerate(class_names)}
    videos, strange = [], []
    for line in read_lines(path):
        name = line.split()[0]  # a training list has the label, from 1 on, after it
        video_id = name.removesuffix(".avi")
        class_name, _, stem = video_id.partition("/")
        match = CLIP.fullmatch(stem)
        if match is None or class_name not in labels:
            strange.append(line)
            continue
        videos.append(Video(video_id, folder / name, labels[class_name], f"{class_name}/{match[1]}"))
    if strange:
        raise ValueError(f"{path} has {len(strange)} lines that are none of UCF101: {some(strange)}.")
    return videos
