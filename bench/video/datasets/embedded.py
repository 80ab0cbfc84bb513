"""The embedded data sets: generated here, then real H.264 files like anyone's."""

from collections.abc import Callable
from pathlib import Path
from typing import cast, get_args

from bench.video.embedded.sets import EmbeddedSet, Family, Split, path_of, write
from bench.video.embedded.sets import videos as items_of
from bench.video.index import Dataset, Video, VideoSet

Report = Callable[[str, float], None]

LICENCE = "generated; free of rights"
JUDGED: tuple[Split, ...] = ("train", "validation", "test")


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
