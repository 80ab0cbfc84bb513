"""The data sets that we know by name: what each is, how its official parts are opened, and what of it pretraining may see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.video.datasets.diving48 import DIVING48, diving48, diving48_set
from bench.video.datasets.embedded import EMBEDDED, JUDGED, video_set
from bench.video.datasets.folder import FOLDER
from bench.video.datasets.hmdb51 import HMDB51, hmdb51, hmdb51_set
from bench.video.datasets.hub import HUB
from bench.video.datasets.kinetics import KINETICS400, KINETICS600, KINETICS700, kinetics_set
from bench.video.datasets.list_file import LIST_FILES, class_names_in, list_file, lists_in
from bench.video.datasets.official import Description
from bench.video.datasets.something_something import SSV2, ssv2, ssv2_set
from bench.video.datasets.ucf101 import UCF101, ucf101, ucf101_set
from bench.video.embedded.sets import Family
from bench.video.index import Dataset, VideoSet


@dataclass(frozen=True)
class Copy:
    """Where somebody's copy of a data set lies."""

    root: Path
    lists: Path | None = None
    """Of the annotation files, where they are not in their usual place below the root."""

    split: int = 1
    """Which of the official splits, where there are several."""


Opener = Callable[[], VideoSet]
"""Opens a part; raises ValueError where its list is missing or not as expected. Missing videos are not looked for."""


@dataclass(frozen=True)
class Known:
    """A data set with a name."""

    description: Description

    parts: Callable[[Copy], Mapping[str, Opener]]
    """Its official parts."""

    pretraining: Callable[[Copy], VideoSet]
    """What pretraining may see: the training videos, less what is carved off for validation where the set is judged."""


def known(name: str) -> Known:
    """The data set of this name.

    Raises:
        ValueError: There is none, naming those there are.
    """
    if name not in KNOWN:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(KNOWN)}, and folders of your own.")
    return KNOWN[name]


def copy_of(name: str, root: Path | None, lists: Path | None, split: int, *, embedded: Path) -> Copy:
    """Somebody's copy of the data set of this name.

    Args:
        name: As in `KNOWN`.
        root: Where its files lie; may be left out for the embedded sets.
        lists: A folder of the lists, or a list, where it is not below the root.
        split: Which official split, where there are several.
        embedded: Where the embedded sets lie.

    Raises:
        ValueError: There is no such set, folder or list.
    """
    description = known(name).description
    place = root or (embedded if name in EMBEDDED else None)
    if place is None:
        raise ValueError(f"say where {name} lies: --root DIR, which holds {description.layout}.")
    if not place.is_dir():
        raise ValueError(f"{place} is no folder." if place.exists() else f"there is no folder {place}.")
    if lists is not None and not lists.exists():
        raise ValueError(f"there is no {lists}.")
    return Copy(place, lists, split)


def descriptions() -> tuple[Description, ...]:
    """Of all data sets, those of one's own last."""
    return (*(one.description for one in KNOWN.values()), FOLDER, HUB)


def _embedded(family: Family) -> Known:
    def parts(copy: Copy) -> Mapping[str, Opener]:
        return {split: lambda split=split: video_set(family, split, copy.root) for split in JUDGED}  # type: ignore[misc]

    return Known(EMBEDDED[family], parts, lambda copy: video_set(family, "pretrain", copy.root))


def _ucf101_parts(copy: Copy) -> Mapping[str, Opener]:
    return {
        "train": lambda: ucf101_set(copy.root, "train", split=copy.split, lists=copy.lists),
        "test": lambda: ucf101_set(copy.root, "test", split=copy.split, lists=copy.lists),
    }


def _hmdb51_parts(copy: Copy) -> Mapping[str, Opener]:
    return {
        "train": lambda: hmdb51_set(copy.root, "train", split=copy.split, lists=copy.lists),
        "test": lambda: hmdb51_set(copy.root, "test", split=copy.split, lists=copy.lists),
    }


def _diving48_parts(copy: Copy) -> Mapping[str, Opener]:
    return {
        "train": lambda: diving48_set(copy.root, "train", lists=copy.lists),
        "test": lambda: diving48_set(copy.root, "test", lists=copy.lists),
    }


def _ssv2_parts(copy: Copy) -> Mapping[str, Opener]:
    return {
        "train": lambda: ssv2_set(copy.root, "train", lists=copy.lists),
        "validation": lambda: ssv2_set(copy.root, "validation", lists=copy.lists),
    }


def _kinetics(description: Description) -> Known:
    def parts(copy: Copy) -> Mapping[str, Opener]:
        if copy.lists is not None and copy.lists.is_file():
            return {copy.lists.stem: lambda: kinetics_set(copy.root, "", lists=copy.lists)}
        return {
            "train": lambda: kinetics_set(copy.root, "train", lists=copy.lists),
            "val": lambda: kinetics_set(copy.root, "val", lists=copy.lists),
        }

    return Known(description, parts, lambda copy: kinetics_set(copy.root, "train", lists=copy.lists))


def _list_parts(copy: Copy) -> Mapping[str, Opener]:
    place = copy.lists or copy.root
    return {
        name: lambda path=path: list_file(path, copy.root, class_names_in(path.parent))  # type: ignore[misc]
        for name, path in lists_in(place).items()
    }


def _list_pretraining(copy: Copy) -> VideoSet:
    parts = _list_parts(copy)
    chosen = [name for name in parts if len(parts) == 1 or "train" in name]
    if len(chosen) != 1:
        raise ValueError(
            f"{copy.lists or copy.root} has {len(parts)} lists, {len(chosen)} of them with `train` in the name; "
            "name one with --annotations."
        )
    return parts[chosen[0]]()


def _pretrain(dataset: Dataset) -> VideoSet:
    assert dataset.pretrain is not None, f"{dataset.name} has videos for pretraining"
    return dataset.pretrain


KNOWN: Mapping[str, Known] = {
    one.description.name: one
    for one in (
        _embedded("appearance"),
        _embedded("motion"),
        Known(UCF101, _ucf101_parts, lambda copy: _pretrain(ucf101(copy.root, split=copy.split, lists=copy.lists))),
        Known(HMDB51, _hmdb51_parts, lambda copy: _pretrain(hmdb51(copy.root, split=copy.split, lists=copy.lists))),
        Known(DIVING48, _diving48_parts, lambda copy: _pretrain(diving48(copy.root, lists=copy.lists))),
        _kinetics(KINETICS400),
        _kinetics(KINETICS600),
        _kinetics(KINETICS700),
        Known(SSV2, _ssv2_parts, lambda copy: _pretrain(ssv2(copy.root, lists=copy.lists))),
        Known(LIST_FILES, _list_parts, _list_pretraining),
    )
}
