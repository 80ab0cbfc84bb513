"""The embedded sets: which videos there are, and writing them as files.

A group is one source: videos that share background, camera and grain, one of each class. Groups never cross a split.
A set's videos are known without drawing any; a video is drawn from its id alone.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.serve_parent import serve_parent
from bench.video.embedded import appearance, motion
from bench.video.embedded.appearance import AppearanceVideo, draw_appearance
from bench.video.embedded.draws import Draws
from bench.video.embedded.encode import encode
from bench.video.embedded.motion import MotionVideo, draw_motion
from bench.video.embedded.scene import GRAIN_TILE, Stage, draw_colour_pair, draw_sway

DATASET_VERSION = 1
"""Raised with every change that moves a pixel or a label."""

Family = Literal["appearance", "motion"]
Split = Literal["pretrain", "pretrain-long", "train", "validation", "test"]

CLASSES: dict[Family, tuple[str, ...]] = {"appearance": appearance.CLASSES, "motion": motion.CLASSES}
NUM_GROUPS: dict[Family, dict[Split, int]] = {
    "appearance": {"pretrain": 80, "pretrain-long": 80, "train": 40, "validation": 8, "test": 40},
    "motion": {"pretrain": 120, "pretrain-long": 120, "train": 60, "validation": 10, "test": 60},
}
NUM_FRAMES: dict[Split, int] = {"pretrain": 64, "pretrain-long": 144, "train": 64, "validation": 64, "test": 64}
"""The long videos are for pretext tasks that need 132 frames and more."""

BYTES_PER_VIDEO = 100_000
"""A little more than a file takes, to see beforehand whether the disk has room."""
STALE_SECONDS = 600


@dataclass(frozen=True)
class EmbeddedSet:
    """One split of one family."""

    family: Family
    split: Split

    def __post_init__(self) -> None:
        if self.family not in CLASSES or self.split not in get_args(Split):
            raise ValueError(
                f"there is no embedded set {self.family}/{self.split}: "
                f"families are {', '.join(CLASSES)}, splits are {', '.join(get_args(Split))}"
            )

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names; a label is an index into them."""
        return CLASSES[self.family]

    @property
    def num_frames(self) -> int:
        """Frames in each video."""
        return NUM_FRAMES[self.split]

    def __str__(self) -> str:
        return f"{self.family}/{self.split}"


@dataclass(frozen=True)
class Item:
    """One video: what is known without drawing it."""

    video_id: str
    """Family, split, group and class: `motion/test/g012_c3`; with `.mp4`, the file's path below the folder."""
    source: str
    """The group it belongs to: `motion/test/g012`."""
    label: int
    class_name: str


def videos(embedded: EmbeddedSet) -> tuple[Item, ...]:
    """All videos of a set, sorted by id."""
    names = embedded.class_names
    return tuple(
        Item(f"{embedded}/g{group:03d}_c{label}", f"{embedded}/g{group:03d}", label, names[label])
        for group in range(NUM_GROUPS[embedded.family][embedded.split])
        for label in range(len(names))
    )


def parameters(video_id: str) -> MotionVideo | AppearanceVideo:
    """All that was drawn for a video: what an oracle knows.

    Raises:
        ValueError: The id is not one of an embedded set.
    """
    family, split, name = (*video_id.split("/"), "", "")[:3]
    group, _, label = name.partition("_c")
    item = next((item for item in videos(EmbeddedSet(family, split)) if item.video_id == video_id), None)  # type: ignore[arg-type]
    if item is None:
        raise ValueError(f"{video_id} is not a video of {family}/{split}; ids look like {family}/{split}/g000_c0")
    seed = f"reelproof embedded {DATASET_VERSION}/{video_id}"
    stage = _draw_stage(f"reelproof embedded {DATASET_VERSION}/{family}/{split}/{group}", seed, NUM_FRAMES[split])  # type: ignore[index]
    if family == "motion":
        return draw_motion(seed, int(label), stage, centred=split in ("pretrain", "pretrain-long"))
    return draw_appearance(seed, int(label), stage)


def render(video_id: str) -> NDArray[np.uint8]:
    """The frames of a video before encoding, uint8 [T, 120, 160, 3]."""
    return parameters(video_id).render()


def write(
    embedded: EmbeddedSet,
    folder: Path,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the files of a set that are not there yet, each whole or not at all.

    Args:
        embedded: The set.
        folder: Videos go to `folder/<video id>.mp4`.
        workers: Processes that draw and encode; with 1 it happens in this one.
        progress: Called with the number of files that are there and the number of all, at the start and after each.

    Raises:
        ValueError: The disk has no room for what is missing.
    """
    ids = [item.video_id for item in videos(embedded)]
    place = folder / str(embedded)
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    missing = [video_id for video_id in ids if not path_of(folder, video_id).exists()]
    needed, free = len(missing) * BYTES_PER_VIDEO * embedded.num_frames // 64, shutil.disk_usage(place).free
    if needed > free:
        raise ValueError(
            f"{folder} has {free // 10**6} MB free, but the {len(missing)} missing videos of {embedded} may take "
            f"{needed // 10**6} MB: make room, or choose another folder"
        )
    done = len(ids) - len(missing)
    if progress:
        progress(done, len(ids))
    for _ in _written(missing, folder, workers):
        done += 1
        if progress:
            progress(done, len(ids))


def path_of(folder: Path, video_id: str) -> Path:
    """Where a video's file is."""
    return folder / f"{video_id}.mp4"


def _written(video_ids: list[str], folder: Path, workers: int) -> Iterator[None]:
    if workers == 1 or len(video_ids) < 2:
        for video_id in video_ids:
            _write_one(folder, video_id)
            yield
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=serve_parent) as pool:
        try:
            yield from pool.map(_write_one, [folder] * len(video_ids), video_ids, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)


def _write_one(folder: Path, video_id: str) -> None:
    path = path_of(folder, video_id)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        encode(render(video_id), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _sweep(place: Path) -> None:
    """Remove what a killed run left half-written; a run that is still writing has touched its file lately."""
    for partial in place.glob("*.partial"):
        if time.time() - partial.stat().st_mtime > STALE_SECONDS:
            partial.unlink(missing_ok=True)


def _draw_stage(group: str, video: str, num_frames: int) -> Stage:
    """What is behind the figures: the look of the group, the camera and the grain's course of the video."""
    shared, own = Draws(f"{group}/stage"), Draws(f"{video}/stage")
    grain_strength = shared.between(0, 8)
    return Stage(
        look=group,
        colours=draw_colour_pair(shared, 120),
        camera=(draw_sway(own, 80), draw_sway(own, 48), draw_sway(own, 80), draw_sway(own, 48)),
        grain_strength=grain_strength,
        grain_offsets=tuple(own.below(GRAIN_TILE * GRAIN_TILE) for _ in range(num_frames)),
    )
