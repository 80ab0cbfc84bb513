"""Smaller sets for pretraining: every class alike as far as it has videos, each within the next larger, always the same.

The videos of a class stand in the order of the SHA-256 of their ids; one is taken of every class in turn, classes too in
the order of a hash, so that the last round is no alphabet. A subset is the beginning of this one row: hence nested, and a
class has one video more or less than another unless it has no more.
"""

import hashlib
import json
from pathlib import Path

from bench.video.index import VideoSet


def subset(video_set: VideoSet, size: int) -> VideoSet:
    """The subset of this many videos.

    Raises:
        ValueError: The set is smaller, or its labels are withheld.
    """
    if not 0 < size <= len(video_set):
        raise ValueError(f"{video_set.name} has {len(video_set)} videos; a subset of {size} cannot be taken.")
    labels = dict(zip(video_set.ids, video_set.labels.tolist(), strict=True))
    place: dict[str, int] = {}
    taken = [0] * len(video_set.class_names)
    for video_id in sorted(labels, key=lambda video_id: _rank("video", video_id)):
        place[video_id] = taken[labels[video_id]]
        taken[labels[video_id]] += 1
    class_rank = [_rank("class", name) for name in video_set.class_names]
    row = sorted(labels, key=lambda video_id: (place[video_id], class_rank[labels[video_id]], video_id))
    chosen = video_set.only(row[:size])
    return VideoSet(f"{video_set.name} {size}", chosen.videos, chosen.class_names)


def write_manifest(video_set: VideoSet, path: Path) -> None:
    """The set as JSON: its hash, then id, label and source of every video. Paths are no part of it."""
    content = {
        "name": video_set.name,
        "manifest_hash": video_set.manifest_hash,
        "class_names": video_set.class_names,
        "videos": sorted((video.video_id, video.label, video.source) for video in video_set.videos),
    }
    path.write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")


def _rank(kind: str, name: str) -> str:
    return hashlib.sha256(f"{kind}\n{name}".encode()).hexdigest()
