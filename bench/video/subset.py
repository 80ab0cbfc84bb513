"""Smaller sets for pretraining: every class alike as far as it has videos, each within the next larger, always the same.

The videos of a class stand in the order of the SHA-256 of their ids; one is taken of every class in turn, classes too in
the order of a hash, so that the last round is no alphabet. A subset is the beginning of this one row: hence nested, and a
class has one video more or less than another unless it has no more.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bench.video.datasets.official import read_json
from bench.video.index import VideoSet, some


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


def shortfalls(video_set: VideoSet, chosen: VideoSet) -> Mapping[str, int]:
    """The classes that gave all they had and are two or more behind the largest, each with its number."""
    have, taken = Counter(video_set.labels.tolist()), Counter(chosen.labels.tolist())
    most = max(taken.values())
    return {
        name: taken[label]
        for label, name in enumerate(video_set.class_names)
        if taken[label] == have[label] and taken[label] < most - 1
    }


def write_manifest(chosen: VideoSet, path: Path, *, available: VideoSet, missing: int = 0) -> None:
    """The subset as JSON: its hash, what it was taken from, then id, label and source of every video. No paths.

    Args:
        chosen: The subset.
        path: Where to; replaced in one step.
        available: What it was taken from.
        missing: Videos of the lists that had no file, and so could not be taken.
    """
    content = {
        "name": chosen.name,
        "manifest_hash": chosen.manifest_hash,
        "taken_from": {"name": available.name, "manifest_hash": available.manifest_hash, "videos": len(available)},
        "listed_without_file": missing,
        "shortfalls": shortfalls(available, chosen),
        "class_names": chosen.class_names,
        "videos": sorted((video.video_id, video.label, video.source) for video in chosen.videos),
    }
    half = path.with_name(f"{path.name}.half")
    try:
        half.write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")
        half.replace(path)
    except OSError as error:
        raise ValueError(f"the manifest cannot be written to {path} ({error.strerror}).") from error


def read_manifest(path: Path, video_set: VideoSet) -> VideoSet:
    """The videos of a manifest, with the files of somebody's copy.

    Args:
        path: What `write_manifest` wrote.
        video_set: The copy; it may hold more.

    Raises:
        ValueError: The manifest is none or was changed, or the set lacks some of its videos.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not {"name", "manifest_hash", "videos"} <= content.keys():
        raise ValueError(f"{path} is no manifest of a subset.")
    ids = [video_id for video_id, _, _ in content["videos"]]
    if lacking := sorted(set(ids).difference(video_set.ids)):
        raise ValueError(f"{video_set.name} lacks {len(lacking)} of the {len(ids)} videos of {path}: {some(lacking)}.")
    chosen = replace(video_set.only(ids), name=content["name"])
    if chosen.manifest_hash != content["manifest_hash"]:
        raise ValueError(f"{path} was changed, or {video_set.name} has other labels or sources: their hashes differ.")
    return chosen


def _rank(kind: str, name: str) -> str:
    return hashlib.sha256(f"{kind}\n{name}".encode()).hexdigest()
