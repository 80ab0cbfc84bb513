"""HMDB51: 6,766 clips of 51 actions from films and the web, three official splits of 70 + 30 videos a class.

Source: Kuehne, Jhuang, Garrote, Poggio, Serre, "HMDB: A Large Video Database for Human Motion Recognition", ICCV 2011.
Each list holds all clips of a class with 1 (train), 2 (test) or 0 (in neither). A source is the film: what stands
before the class in a file's name. The official splits keep the clips of one film on one side within a class, but not
across classes: in split 1, 133 of the 478 films of the test videos also gave training videos, always of other classes.
"""

import re
from pathlib import Path

from bench.video.datasets.official import Description, first_folder, read_lines, with_validation
from bench.video.index import Dataset, Video, VideoSet, some

HMDB51 = Description(
    name="hmdb51",
    title="HMDB51",
    num_videos=6766,
    num_classes=51,
    gigabytes=2.1,
    licence="CC BY 4.0",
    source="film (the file's name before the class)",
    layout="class/*.avi (or hmdb51_org/class/*.avi) and testTrainMulti_7030_splits/CLASS_test_splitN.txt",
    obtain="hmdb51_org.rar and test_train_splits.rar from the Serre Lab, Brown University",
)
NUMBERS = {"neither": "0", "train": "1", "test": "2"}
SHARED = "the official lists keep a film on one side within a class, not across classes"


def hmdb51(root: Path, *, split: int = 1, lists: Path | None = None) -> Dataset:
    """HMDB51 under one of its official splits, 1 to 3.

    Args:
        root: Holds the class folders, or hmdb51_org with them.
        split: Which of the lists.
        lists: Folder of the lists, where it is not `root/testTrainMulti_7030_splits`.

    Raises:
        ValueError: Lists are missing or are not those of HMDB51. Missing videos are not looked for here.
    """
    train, test = (hmdb51_set(root, part, split=split, lists=lists) for part in ("train", "test"))
    return with_validation(HMDB51, train.videos, test.videos, train.class_names, shared_sources_because=SHARED)


def hmdb51_set(root: Path, part: str, *, split: int = 1, lists: Path | None = None) -> VideoSet:
    """The official `train` or `test` videos of a split, whether their files are there or not."""
    place = lists or first_folder(root / "testTrainMulti_7030_splits", root)
    ending = f"_test_split{split}.txt"
    paths = sorted(place.glob(f"*{ending}"), key=lambda path: path.name.removesuffix(ending))
    if len(paths) != HMDB51.num_classes:
        raise ValueError(f"{place} has {len(paths)} lists *{ending}; HMDB51 has {HMDB51.num_classes}.")
    folder = first_folder(root / "hmdb51_org", root)
    class_names = tuple(path.name.removesuffix(ending) for path in paths)
    videos = []
    for label, (class_name, path) in enumerate(zip(class_names, paths, strict=True)):
        strange = []
        for line in read_lines(path):
            name, _, number = line.rpartition(" ")
            match = re.fullmatch(rf"(.+?)_{class_name}_[a-z]_.*\.avi", name)
            if match is None or number not in NUMBERS.values():
                strange.append(line)
            elif number == NUMBERS[part]:
                video_id = f"{class_name}/{name.removesuffix('.avi')}"
                videos.append(Video(video_id, folder / class_name / name, label, match[1]))
        if strange:
            raise ValueError(f"{path} has {len(strange)} lines that are none of HMDB51: {some(strange)}.")
    return VideoSet(f"hmdb51 {part}", tuple(videos), class_names)
