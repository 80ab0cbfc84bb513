"""Somebody's own videos: what the folder says is what the data set holds, and what is wrong is said in a sentence."""

import numpy as np
import pytest

from bench.video.datasets.folder import folder_dataset
from bench.video.frame_store import build_store


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def twenty(root, classes=("run", "jump")):
    return put(root, *(f"{name}/{name[0]}{n:02}.mp4" for name in classes for n in range(20)))


def splits(dataset):
    return {name: set(getattr(dataset, name).ids) for name in ("train", "validation", "test")}


def test_without_lists_the_split_is_made_by_hash_with_every_class_everywhere(tmp_path):
    dataset = folder_dataset(twenty(tmp_path / "data"))
    parts = splits(dataset)
    assert sorted(set.union(*parts.values())) == sorted(f"{c}/{c[0]}{n:02}" for c in ("run", "jump") for n in range(20))
    assert {name: len(ids) for name, ids in parts.items()} == {"train": 28, "validation": 4, "test": 8}
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.class_names == ("jump", "run")
        assert set(split.labels.tolist()) == {0, 1}
    assert dataset.pretrain is not None
    assert set(dataset.pretrain.ids) == parts["train"]


def test_the_split_is_the_same_wherever_the_folder_lies_and_in_whatever_order_it_was_filled(tmp_path):
    one, other = twenty(tmp_path / "one"), twenty(tmp_path / "deeper" / "other", classes=("jump", "run"))
    assert splits(folder_dataset(one)) == splits(folder_dataset(other))
    assert folder_dataset(one).train.manifest_hash == folder_dataset(other).train.manifest_hash


def test_a_few_more_videos_move_few(tmp_path):
    before = splits(folder_dataset(twenty(tmp_path)))
    after = splits(folder_dataset(put(tmp_path, "run/new.mp4")))
    moved = sum(len(before[name] - after[name]) for name in before)
    assert moved <= 3


@pytest.mark.parametrize("name", ["groups.csv", "groups.txt", "manifest.csv", "splits/groups.csv"])
def test_a_groups_file_keeps_recordings_together(tmp_path, name):
    root = twenty(tmp_path / "data")
    ids = [f"{c}/{c[0]}{n:02}" for c in ("run", "jump") for n in range(20)]
    group = {video_id: f"g{int(video_id[-2:]) // 3}" for video_id in ids}
    put(root, name)
    if name.endswith(".txt"):
        (root / name).write_text("".join(f"{v}.mp4 {g}\r\n" for v, g in group.items()))
    else:
        (root / name).write_bytes(
            ("\ufeffpath,Group\r\n" + "".join(f"data/{v}.mp4,{g}\r\n" for v, g in group.items())).encode()
        )
    dataset = folder_dataset(root)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert all(video.source == group[video.video_id] for video in split.videos)
        assert set(split.labels.tolist()) == {0, 1}
    sources = [set(split.sources) for split in (dataset.train, dataset.validation, dataset.test)]
    assert not sources[0] & sources[1] | sources[0] & sources[2] | sources[1] & sources[2]


@pytest.mark.parametrize("where", ["", "splits/"])
def test_ucf_lists_are_read_as_they_are(tmp_path, where):
    root = twenty(tmp_path)
    put(root, where + "x")
    train = [f"{c}/{c[0]}{n:02}.mp4 {1 + (c == 'run')}" for c in ("jump", "run") for n in range(10)]
    test = [f"{c}/{c[0]}{n:02}.mp4" for c in ("jump", "run") for n in range(12, 20)]
    (root / where / "trainlist02.txt").write_bytes("\r\n".join([*train, ""]).encode())
    (root / where / "testlist02.txt").write_bytes("\r\n".join([*test, ""]).encode())
    (root / where / "classInd.txt").write_bytes(b"1 jump\r\n2 run\r\n")
    dataset = folder_dataset(root, split=2)
    parts = splits(dataset)
    assert parts["test"] == {line.removesuffix(".mp4") for line in test}
    assert parts["train"] | parts["validation"] == {line.split(".")[0] for line in train}
    assert len(parts["validation"]) == 2
    with pytest.raises(ValueError, match=r"no trainlist03\.txt"):
        folder_dataset(root, split=3)


def test_the_class_list_fixes_the_order_of_classes(tmp_path):
    root = twenty(tmp_path)
    (root / "classInd.txt").write_text("1 run\n2 jump\n")
    dataset = folder_dataset(root)
    assert dataset.train.class_names == ("run", "jump")
    assert all(video.label == (0 if video.video_id.startswith("run") else 1) for video in dataset.train.videos)


def test_names_with_spaces_dots_accents_and_capitals_work(tmp_path):
    put(
        tmp_path,
        *(f"{c}/Vidéo {n}.v2.{s}" for c in ("a b", "c") for n, s in enumerate(("MP4", "avi", "webm", "mkv", "mov"))),
    )
    put(tmp_path, "a b/notes.txt", "a b/._Vidéo 0.v2.mp4", "c/thumbs.db")
    train = [f"{c}/Vidéo {n}.v2.{s}" for c in ("a b", "c") for n, s in ((0, "MP4"), (1, "avi"), (2, "webm"))]
    (tmp_path / "trainlist01.txt").write_text("".join(f"{name} {1 + (name[0] == 'c')}\n" for name in train))
    (tmp_path / "testlist01.txt").write_text("a b/Vidéo 3.v2.mkv\nc\\Vidéo 4.v2.mov\n")
    dataset = folder_dataset(tmp_path)
    assert dataset.test.ids == ("a b/Vidéo 3.v2", "c/Vidéo 4.v2")
    assert len(dataset.train) + len(dataset.validation) == 6


def test_hidden_folders_and_folders_of_other_files_are_no_classes(tmp_path):
    put(twenty(tmp_path), ".thumbs/run.mp4", "annotations/run.json")
    (tmp_path / ".git" / "objects").mkdir(parents=True)
    (tmp_path / "run" / "round").symlink_to(tmp_path / "run")
    assert folder_dataset(tmp_path).train.class_names == ("jump", "run")


def nothing(root):
    root.mkdir()


def no_classes(root):
    put(root, "a.mp4", "b.mp4")


def one_class(root):
    put(root, *(f"run/{n}.mp4" for n in range(9)))


def one_video(root):
    put(twenty(root), "swim/1.mp4")


def one_source(root):
    twenty(root)
    (root / "groups.txt").write_text("".join(f"{c}/{c[0]}{n:02} {c}\n" for c in ("run", "jump") for n in range(20)))


def twice(root):
    put(twenty(root), "run/r01.avi")


def directory(root):
    (twenty(root) / "run" / "dir.mp4").mkdir()


def loop(root):
    (twenty(root) / "run" / "loop.mp4").symlink_to("loop.mp4")


def empty_class(root):
    (twenty(root) / "swim").mkdir()


def deep_class(root):
    put(twenty(root), "swim/part 1/s.mp4")


def lists(root, train, test="run/r19.mp4\njump/j19.mp4\n", **more):
    twenty(root)
    (root / "trainlist01.txt").write_text(train)
    (root / "testlist01.txt").write_text(test)
    for name, text in more.items():
        (root / f"{name}.txt").write_text(text)


GOOD = "".join(f"{c}/{c[0]}{n:02}.mp4 {1 + (c == 'run')}\n" for c in ("jump", "run") for n in range(9))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "there is no folder"),
        (lambda root: root.touch(), "is no folder"),
        (nothing, r"holds no videos: expected .*NAME_OF_CLASS"),
        (no_classes, "holds videos but no classes"),
        (one_class, "has one class, run"),
        (one_video, r"1 classes in .* fewer than 3 videos: swim \(1\)"),
        (one_source, "2 classes have too few sources .* test split: jump, run"),
        (twice, r"r01\.avi and r01\.mp4 in run; keep one"),
        (directory, r"1 of the videos in .* are no files: run/dir\.mp4"),
        (loop, r"are no files: run/loop\.mp4"),
        (empty_class, "1 folders of classes in .* hold no video: swim"),
        (deep_class, "1 folders of classes in .* hold no video: swim"),
        (
            lambda root: lists(root, GOOD + "run/zz.mp4 2\nrun/yy.mp4 2\n"),
            "names 2 videos that are not in .*: run/zz, run/yy",
        ),
        (lambda root: lists(root, GOOD, "run/zz.mp4\n"), r"testlist01\.txt names 1 videos that are not"),
        (lambda root: lists(root, GOOD, "run/r01.mp4\n"), "1 videos stand in both lists .*: run/r01"),
        (lambda root: lists(root, GOOD + "run/r01.mp4 2\n"), "names 1 videos more than once: run/r01"),
        (lambda root: lists(root, "\n"), "names no video"),
        (lambda root: lists(root, GOOD, classInd="1 run\n2 jump\n"), "gives 18 videos another class than classInd"),
        (lambda root: lists(root, GOOD, classInd="1 jump\n2 run\n3 swim\n"), "differ by 1 classes: swim"),
        (lambda root: lists(root, GOOD, classInd="0 jump\n1 run\n"), "does not number its classes from 1"),
        (lambda root: lists(root, GOOD, classInd="jump\nrun\n"), "has a line 'jump'"),
        (lambda root: lists(root, GOOD, groups="run/r01 g\n"), "gives no group for 39 of the 40 videos"),
        (lambda root: lists(root, "".join(GOOD.splitlines(True)[:9])), "no video of class run"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, make, message):
    root = tmp_path / "data"
    make(root)
    with pytest.raises(ValueError, match=message) as caught:
        folder_dataset(root)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_recording_in_both_lists_is_refused(tmp_path):
    groups = "".join(f"{c}/{c[0]}{n:02} {c}{n % 10}\n" for c in ("run", "jump") for n in range(20))
    lists(tmp_path / "data", GOOD, "run/r18.mp4\njump/j19.mp4\n", groups=groups)
    with pytest.raises(ValueError, match=r"run8 in both .* no source may cross a split"):
        folder_dataset(tmp_path / "data")


def test_a_file_that_is_no_video_is_named_when_the_frames_are_made(tmp_path, levels_video):
    for name in ("run", "jump"):
        for number in range(4):
            levels_video(tmp_path / name / f"{number}.mp4", [50, 60, 70])
    (tmp_path / "run" / "2.mp4").write_text("no video")
    dataset = folder_dataset(tmp_path)
    bad = next(s for s in (dataset.train, dataset.validation, dataset.test) if "run/2" in s.ids)
    with pytest.raises(ValueError, match=r"1 of the \d videos of .* cannot be read: run/2"):
        build_store(bad, resize=(16, 16), folder=tmp_path / "frames")


def test_a_real_folder_with_lists_and_groups(real_data):
    """Two classes of 150 clips, three folds disjoint by the group in its manifest."""
    dataset = folder_dataset(real_data / "fight_surv", split=1)
    assert (len(dataset.train) + len(dataset.validation), len(dataset.test)) == (198, 102)
    assert dataset.train.class_names == ("fight", "noFight")
    assert len(set(dataset.test.sources)) == 41
    assert 16 <= len(dataset.validation) <= 24
    assert np.bincount(dataset.validation.labels, minlength=2).min() >= 1
