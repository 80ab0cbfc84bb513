"""Subsets: of the size asked for, every class alike, each within the next, the same everywhere."""

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.video.index import Video, VideoSet
from bench.video.splitting import carve
from bench.video.subset import subset, write_manifest


def made(sizes):
    """A class of each size, sources of three videos."""
    videos = tuple(
        Video(f"{label}/{n}", Path(f"/{n}"), label, f"{label}-{n // 3}")
        for label, size in enumerate(sizes)
        for n in range(size)
    )
    return VideoSet("made", videos, tuple(f"class{label}" for label in range(len(sizes))))


@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=8), data=st.data())
def test_classes_are_alike_as_far_as_they_have_videos_and_subsets_are_nested(sizes, data):
    videos = made(sizes)
    size = data.draw(st.integers(1, len(videos)))
    chosen = subset(videos, size)
    assert len(chosen) == size
    got = Counter(chosen.labels.tolist())
    most = max(got.values())
    assert all(got[label] >= min(most - 1, sizes[label]) for label in range(len(sizes)))
    if size < len(videos):
        assert set(chosen.ids) < set(subset(videos, size + 1).ids)
    backwards = VideoSet("other", videos.videos[::-1], videos.class_names)
    assert subset(backwards, size).manifest_hash == chosen.manifest_hash


def test_a_subset_never_changes():
    assert subset(made([9, 9, 4]), 8).ids == ("0/1", "0/6", "1/1", "1/2", "1/4", "2/1", "2/2", "2/3")


def test_a_subset_cannot_be_larger_than_the_set():
    for size in (0, 23):
        with pytest.raises(ValueError, match=f"has 22 videos; a subset of {size}"):
            subset(made([9, 9, 4]), size)
    with pytest.raises(ValueError, match="withheld"):
        subset(made([9, 9, 4]).without_labels(), 5)


def test_a_manifest_says_all_but_the_paths(tmp_path):
    chosen = subset(made([9, 9, 4]), 8)
    write_manifest(chosen, tmp_path / "m.json", available=made([9, 9, 4]))
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["manifest_hash"] == chosen.manifest_hash
    assert [row[0] for row in content["videos"]] == sorted(chosen.ids)
    assert "/m.json" not in json.dumps(content)


@given(sizes=st.lists(st.integers(4, 60), min_size=1, max_size=8), share=st.floats(0.05, 0.4))
def test_carving_takes_whole_sources_of_every_class_and_leaves_some(sizes, share):
    videos = made(sizes)
    held_out = carve(videos.videos, videos.class_names, share, "validation")
    out = Counter(video.label for video in videos.videos if video.source in held_out)
    for label, size in enumerate(sizes):
        assert 1 <= out[label] < size
        assert out[label] <= max(2 * max(1, round(share * size)), 3)
    assert held_out == carve(videos.videos[::-1], videos.class_names, share, "validation")


def test_another_purpose_takes_other_sources():
    videos = made([60, 60])
    assert carve(videos.videos, videos.class_names, 0.2, "test") != carve(
        videos.videos, videos.class_names, 0.2, "validation"
    )
