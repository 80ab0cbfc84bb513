"""What a set of videos is: names, labels and sources, before anything is opened.

A *source* is the recording a video was cut from; two videos of one source look alike, so a source must never stand on
both sides of a split. A video's id is its name in the official list without extension, and for a folder of one's own
the POSIX path below the root without extension, in Unicode normal form C.

Only NumPy is needed here.
"""

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Video:
    """One video file."""

    video_id: str
    """Its name, the same on every machine."""

    path: Path
    """Where the file lies on this machine; no part of its identity."""

    label: int | None
    """Index into the set's class names; None where it is withheld."""

    source: str
    """The recording it was cut from; what must not cross a split."""


@dataclass(frozen=True)
class VideoSet:
    """Videos that are used together, in a fixed order."""

    name: str
    videos: tuple[Video, ...]
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        repeated = [video_id for video_id, times in Counter(self.ids).items() if times > 1]
        if repeated:
            raise ValueError(
                f"{self.name}: {len(repeated)} videos are listed more than once: {some(repeated)}; every video has one id."
            )
        classes = range(len(self.class_names))
        outside = [video.video_id for video in self.videos if video.label is not None and video.label not in classes]
        if outside:
            raise ValueError(f"{self.name}: the label of {some(outside)} is not in 0 to {len(classes) - 1}.")

    def __len__(self) -> int:
        return len(self.videos)

    def video(self, video_id: str) -> Video:
        """The video of this id."""
        found = self._by_id.get(video_id)
        if found is None:
            raise ValueError(f"{self.name} holds no video {video_id}.")
        return found

    @property
    def ids(self) -> tuple[str, ...]:
        """The videos' ids, in the set's order."""
        return tuple(video.video_id for video in self.videos)

    @property
    def sources(self) -> tuple[str, ...]:
        """The videos' sources, in the set's order."""
        return tuple(video.source for video in self.videos)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The videos' labels, in the set's order; refused where they are withheld."""
        labels = [video.label for video in self.videos if video.label is not None]
        if len(labels) != len(self.videos):
            raise ValueError(f"{self.name}: the labels of {len(self.videos) - len(labels)} videos are withheld.")
        return np.array(labels, dtype=np.int64)

    @property
    def manifest_hash(self) -> str:
        """SHA-256 over ids, labels, sources and class names: the same wherever and in whatever order the files lie."""
        rows = sorted((video.video_id, video.label, video.source) for video in self.videos)
        text = json.dumps({"classes": self.class_names, "videos": rows}, ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def without_labels(self) -> "VideoSet":
        """The same videos with their labels withheld."""
        return replace(self, videos=tuple(replace(video, label=None) for video in self.videos))

    def only(self, ids: Iterable[str]) -> "VideoSet":
        """The named videos, in this set's order."""
        wanted = set(ids)
        unknown = sorted(wanted.difference(self.ids))
        if unknown:
            raise ValueError(f"{self.name} holds no video {some(unknown)}.")
        return replace(self, videos=tuple(video for video in self.videos if video.video_id in wanted))

    @cached_property
    def _by_id(self) -> dict[str, Video]:
        return {video.video_id: video for video in self.videos}


@dataclass(frozen=True)
class Dataset:
    """Videos with classes, split so that no source stands on two sides."""

    name: str
    train: VideoSet
    validation: VideoSet
    test: VideoSet
    pretrain: VideoSet | None = None
    """Videos for pretraining; labels, where there are any, are for the supervised anchor only."""

    licence: str = ""

    shared_sources_because: str = ""
    """Why train and test share sources, where the official lists do; empty where they must not, as with every split
    that is made here. Validation never shares a source with train."""

    def __post_init__(self) -> None:
        splits = (self.train, self.validation, self.test)
        for one, other in ((self.train, self.validation), (self.train, self.test), (self.validation, self.test)):
            _refuse_shared(self.name, "video", one, other, set(one.ids) & set(other.ids))
            if other is self.validation or not self.shared_sources_because:
                _refuse_shared(self.name, "source", one, other, set(one.sources) & set(other.sources))
        if self.pretrain is not None and not self.shared_sources_because:
            shared = set(self.pretrain.sources) & set(self.test.sources)
            _refuse_shared(self.name, "source", self.pretrain, self.test, shared)
        for split in splits:
            if split.class_names != self.train.class_names:
                raise ValueError(f"{self.name}: {split.name} and {self.train.name} have different class names.")
            if not split.videos:
                raise ValueError(f"{self.name}: {split.name} holds no video.")
        absent = sorted(set(range(len(self.train.class_names))) - set(self.train.labels.tolist()))
        if absent:
            names = [self.train.class_names[label] for label in absent]
            raise ValueError(f"{self.name}: {self.train.name} holds no video of class {some(names)}.")

    def without(self, ids: Collection[str]) -> "Dataset":
        """The same data set less these videos, such as those that cannot be read; refused where a split or class ends."""
        gone = set(ids)

        def rest(split: VideoSet) -> VideoSet:
            return split.only(set(split.ids) - gone)

        return replace(
            self,
            train=rest(self.train),
            validation=rest(self.validation),
            test=rest(self.test),
            pretrain=None if self.pretrain is None else rest(self.pretrain),
        )

    @property
    def shared_sources(self) -> frozenset[str]:
        """Sources of test videos that training has seen too; none, unless `shared_sources_because` says why."""
        return frozenset(self.test.sources).intersection((*self.train.sources, *self.validation.sources))


def video_id_below(root: Path, path: Path) -> str:
    """The id of a file in a folder of one's own: POSIX path below the root, without extension, NFC."""
    return unicodedata.normalize("NFC", path.relative_to(root).with_suffix("").as_posix())


def _refuse_shared(dataset: str, what: str, one: VideoSet, other: VideoSet, shared: set[str]) -> None:
    if shared:
        raise ValueError(
            f"{dataset}: {some(sorted(shared))} in both {one.name} and {other.name}; no {what} may cross a split."
        )


def some(names: Sequence[str]) -> str:
    """The first three names, and how many more there are, for a sentence about what is wrong."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
