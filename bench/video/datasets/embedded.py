"""The embedded data sets: generated here, then real H.264 files like anyone's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast, get_args

from bench.video.datasets.official import Description
from bench.video.embedded.sets import CLASSES, NUM_GROUPS, EmbeddedSet, Family, Split, path_of, write
from bench.video.embedded.sets import videos as items_of
from bench.video.index import Dataset, Video, VideoSet

Report = Callable[[str, float], None]

LICENCE = "generated; free of rights"
JUDGED: tuple[Split, ...] = ("train", "validation", "test")


def _describe(family: Family, title: str) -> Description:
    return Description(
        name=family,
        title=title,
        num_videos=sum(NUM_GROUPS[family].values()) * len(CLASSES[family]),
        num_classes=len(CLASSES[family]),
        gigabytes=0.2,
        licence=LICENCE,
        source="the group: videos that share background, camera and grain, one of each class",
        layout=f"{family}/SPLIT/GROUP_CLASS.mp4, SPLIT train, validation, test, pretrain or pretrain-long",
        obtain="written when it is needed, below $REELPROOF_HOME/videos",
    )


EMBEDDED: Mapping[Family, Description] = {
    "appearance": _describe("appearance", "Appearance: one frame tells the class, motion is random"),
    "motion": _describe("motion", "Motion: the order of frames tells the class, looks are random"),
}


def embedded(name: str, folder: Path, *, workers: int, report: Report) -> Dataset:
    """The data set `appearance` or `motion`, its files written where they are missing.

    Raises:
        ValueError: If the name is neither, or the disk is full.
    """
    if name not in get_args(Family):
        raise ValueError(f"There is no embedded data set {name!r}. There is: {', '.join(get_args(Family))}.")
    family = cast(Family, name)
    total = sum(len(items_of(EmbeddedSet(family, split))) for split in JUDGED)
    done = 0
    for split in JUDGED:

        def counted(ready: int, _of: int, *, done: int = done) -> None:
            report("writing videos", (done + ready) / total)

        write(EmbeddedSet(family, split), folder, workers=workers, progress=counted)
        done += len(items_of(EmbeddedSet(family, split)))
    train, validation, test = (video_set(family, split, folder) for split in JUDGED)
    return Dataset(name=name, train=train, validation=validation, test=test, licence=LICENCE)


def embedded_pretraining(name: str, folder: Path, *, workers: int, report: Report, long: bool = False) -> VideoSet:
    """The pretraining videos of a family, written where they are missing. Their labels are for the supervised anchor."""
    family = cast(Family, name)
    split: Split = "pretrain-long" if long else "pretrain"
    chosen = EmbeddedSet(family, split)
    write(chosen, folder, workers=workers, progress=lambda ready, of: report("writing videos", ready / of))
    return video_set(family, split, folder)


def video_set(family: Family, split: Split, folder: Path) -> VideoSet:
    """A split's videos, whether their files are there or not."""
    chosen = EmbeddedSet(family, split)
    return VideoSet(
        name=str(chosen),
        videos=tuple(
            Video(item.video_id, path_of(folder, item.video_id), item.label, item.source) for item in items_of(chosen)
        ),
        class_names=chosen.class_names,
    )
