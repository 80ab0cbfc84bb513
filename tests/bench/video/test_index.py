"""Sets of videos: identity, withheld labels, and what a split must never do."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.video.index import Dataset, Video, VideoSet, video_id_below

CLASSES = ("jump", "run")


def videos(*rows):
    return tuple(Video(name, Path(f"/data/{name}.mp4"), label, source) for name, label, source in rows)


TRAIN = VideoSet("train", videos(("a1", 0, "a"), ("b1", 1, "b"), ("b2", 1, "b")), CLASSES)
VALIDATION = VideoSet("validation", videos(("c1", 0, "c"), ("d1", 1, "d")), CLASSES)
TEST = VideoSet("test", videos(("e1", 0, "e"), ("f1", 1, "f")), CLASSES)


def test_the_manifest_hash_is_about_ids_labels_sources_and_classes_only():
    elsewhere = tuple(replace(video, path=Path("/other") / video.path.name) for video in reversed(TRAIN.videos))
    assert VideoSet("another name", elsewhere, CLASSES).manifest_hash == TRAIN.manifest_hash
    first = TRAIN.videos[0]
    for changed in (replace(first, video_id="a9"), replace(first, label=1), replace(first, source="z")):
        assert replace(TRAIN, videos=(changed, *TRAIN.videos[1:])).manifest_hash != TRAIN.manifest_hash
    assert replace(TRAIN, class_names=("jump", "walk")).manifest_hash != TRAIN.manifest_hash


def test_the_manifest_hash_never_changes_its_meaning():
    assert TRAIN.manifest_hash == "127ac091611c4f2bd2f8c050278553059ef883924135b1ce0f9298023a61444e"


def test_withheld_labels_cannot_be_read():
    hidden = TRAIN.without_labels()
    assert (hidden.ids, hidden.sources) == (TRAIN.ids, TRAIN.sources)
    with pytest.raises(ValueError, match="labels of 3 videos are withheld"):
        _ = hidden.labels
    np.testing.assert_array_equal(TRAIN.labels, np.array([0, 1, 1]))
    assert TRAIN.labels.dtype == np.int64


def test_videos_are_found_by_id():
    assert TRAIN.video("b2").source == "b"
    assert TRAIN.only(["b2", "a1"]).ids == ("a1", "b2")
    for ask in (lambda: TRAIN.video("zz"), lambda: TRAIN.only(["zz"])):
        with pytest.raises(ValueError, match="no video zz"):
            ask()


def test_an_id_stands_for_one_video():
    with pytest.raises(ValueError, match="1 videos are listed more than once: a1"):
        VideoSet("x", videos(("a1", 0, "a"), ("a1", 1, "b")), CLASSES)


@pytest.mark.parametrize("label", [-1, 2])
def test_a_label_is_one_of_the_classes(label):
    with pytest.raises(ValueError, match="label of a1 is not in 0 to 1"):
        VideoSet("x", videos(("a1", label, "a")), CLASSES)


def test_a_sound_split_is_accepted():
    Dataset("x", TRAIN, VALIDATION, TEST, pretrain=TRAIN)


def test_videos_can_be_left_out_as_long_as_every_class_stays():
    whole = Dataset("x", TRAIN, VALIDATION, TEST, pretrain=TRAIN)
    less = whole.without({"b2", "e1"})
    assert [split.ids for split in (less.train, less.validation, less.test)] == [("a1", "b1"), ("c1", "d1"), ("f1",)]
    assert less.pretrain is not None
    assert less.pretrain.ids == ("a1", "b1")
    with pytest.raises(ValueError, match="no video of class jump"):
        whole.without({"a1"})


def other(split, *rows):
    return replace(split, videos=videos(*rows))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((TRAIN, VALIDATION, other(TEST, ("e1", 0, "a"))), "a in both train and test; no source"),
        ((TRAIN, other(VALIDATION, ("c1", 0, "b")), TEST), "b in both train and validation; no source"),
        ((TRAIN, VALIDATION, other(TEST, ("e1", 0, "d"))), "d in both validation and test; no source"),
        ((TRAIN, VALIDATION, other(TEST, ("a1", 0, "q"))), "a1 in both train and test; no video"),
        ((TRAIN, VALIDATION, TEST, other(TRAIN, ("p", 0, "e"))), "e in both train and test; no source"),
        ((other(TRAIN, ("a1", 0, "a")), VALIDATION, TEST), "no video of class run"),
        ((TRAIN, VALIDATION, other(TEST)), "test holds no video"),
        ((TRAIN, VALIDATION, replace(TEST, class_names=("run", "jump"))), "different class names"),
    ],
)
def test_an_unsound_split_is_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Dataset("x", *parts)


def test_an_id_is_the_path_below_the_root_in_normal_form():
    root = Path("/data")
    assert video_id_below(root, root / "a b" / "v.1.mp4") == "a b/v.1"
    assert video_id_below(root, root / "cafe\u0301" / "x.avi") == "caf\u00e9/x"


def test_the_index_needs_neither_torch_nor_av():
    code = "import sys, bench.video.index, bench.video.sampling; print(*({'torch', 'av', 'numba'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []
