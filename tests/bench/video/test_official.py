"""Official data sets: their own annotation files give the known counts, and made-up ones show the formats."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.video.check import missing, present, undecodable
from bench.video.datasets.diving48 import diving48
from bench.video.datasets.hmdb51 import hmdb51
from bench.video.datasets.kinetics import kinetics_set
from bench.video.datasets.list_file import list_file
from bench.video.datasets.official import read_json, read_lines
from bench.video.datasets.something_something import ssv2, ssv2_set
from bench.video.datasets.ucf101 import ucf101
from bench.video.index import Dataset


def counts(dataset: Dataset) -> tuple[int, int]:
    return len(dataset.train) + len(dataset.validation), len(dataset.test)


def is_carved_well(dataset: Dataset) -> bool:
    share = len(dataset.validation) / (len(dataset.train) + len(dataset.validation))
    every_class = len(set(dataset.validation.labels.tolist())) == len(dataset.train.class_names)
    return 0.08 < share < 0.15 and every_class and not set(dataset.train.sources) & set(dataset.validation.sources)


@pytest.mark.parametrize(("split", "expected"), [(1, (9537, 3783)), (2, (9586, 3734)), (3, (9624, 3696))])
def test_ucf101_has_its_official_counts(real_data, split, expected):
    dataset = ucf101(real_data / "clips/ucf101", split=split, lists=real_data / "annotations/ucf101")
    assert counts(dataset) == expected
    assert is_carved_well(dataset)
    assert len(dataset.train.class_names) == 101
    assert dataset.train.class_names[0] == "ApplyEyeMakeup"
    if split == 1:
        assert len(set(dataset.test.sources)) == 707
        here = present(dataset.test)
        assert len(here) == 4
        video = dataset.test.video("Punch/v_Punch_g03_c01")
        assert (dataset.test.class_names[video.label or 0], video.source) == ("Punch", "Punch/g03")


@pytest.mark.parametrize("split", [1, 2, 3])
def test_hmdb51_has_its_official_counts(real_data, split):
    dataset = hmdb51(
        real_data / "clips/hmdb51", split=split, lists=real_data / "annotations/hmdb51/testTrainMulti_7030_splits"
    )
    assert counts(dataset) == (3570, 1530)
    assert is_carved_well(dataset)
    assert list(dataset.train.class_names) == read_lines(real_data / "annotations/hmdb51/label_map.txt")
    assert Counter(dataset.test.labels.tolist()) == dict.fromkeys(range(51), 30)
    assert "within a class" in dataset.shared_sources_because
    if split == 1:
        assert (len(set(dataset.test.sources)), len(dataset.shared_sources)) == (478, 133)
        film_of = {
            v.video_id: v.source for v in (*dataset.train.videos, *dataset.validation.videos, *dataset.test.videos)
        }
        assert film_of["wave/TrumanShow_wave_f_nm_np1_fr_med_26"] == "TrumanShow"


def test_diving48_has_its_official_counts(real_data):
    dataset = diving48(real_data, lists=real_data / "annotations/diving48")
    assert counts(dataset) == (15027, 1970)
    assert len(dataset.train.class_names) == 47
    assert len(set(dataset.test.sources)) == 26
    assert dataset.shared_sources == frozenset()
    # Sources are long: whole competitions go to validation, so the share is only about a tenth.
    assert 0.05 < len(dataset.validation) / 15027 < 0.35
    assert len(set(dataset.validation.labels.tolist())) == 47


def test_something_something_has_its_official_counts(real_data):
    videos = ssv2_set(real_data, "validation", lists=real_data / "annotations/ssv2")
    assert (len(videos), len(videos.class_names)) == (24777, 174)
    assert list(videos.class_names) == read_lines(real_data / "annotations/ssv2/label_map.txt")
    assert videos.class_names[videos.video("74225").label or 0] == "Spinning something that quickly stops spinning"


@pytest.mark.parametrize(
    ("name", "number", "num_classes"),
    [("kinetics400_val_list_videos_25fps.txt", 13019, 377), ("val_videofolder_severe.txt", 19328, 400)],
)
def test_lists_of_kinetics_400_have_their_counts(real_data, name, number, num_classes):
    folder = real_data / "annotations/k400"
    classes = read_lines(folder / "label_map_k400.txt")
    names = [c.replace(" ", "_") for c in classes] if "25fps" in name else classes
    videos = list_file(folder / name, Path("/k400"), names)
    assert (len(videos), len(set(videos.labels.tolist()))) == (number, num_classes)
    assert videos.videos[0].path in (
        Path("/k400/abseiling/0wR5jVB-WPk.mp4"),
        Path("/k400/abseiling/0wR5jVB-WPk_000417_000427.mp4"),
    )
    assert videos.videos[0].source == "0wR5jVB-WPk"
    assert videos.videos[0].label == 0


def made_up_ssv2(root):
    for part, number in (("train", 60), ("validation", 12)):
        rows = [
            {
                "id": f"{part[0]}{n}",
                "label": "pushing cup",
                "template": ("Pushing [something]", "Opening [a thing]")[n % 2],
            }
            for n in range(number)
        ]
        (root / f"something-something-v2-{part}.json").write_text(json.dumps(rows))
    labels = {"Opening a thing": "1", "Pushing something": "0"}
    (root / "something-something-v2-labels.json").write_text(json.dumps(labels))
    return root


def test_a_template_without_its_brackets_is_the_class(tmp_path):
    dataset = ssv2(made_up_ssv2(tmp_path))
    assert dataset.test.class_names == ("Pushing something", "Opening a thing")
    np.testing.assert_array_equal(dataset.test.labels, np.arange(12) % 2)
    assert dataset.test.videos[0].path == tmp_path / "v0.webm"
    assert counts(dataset) == (60, 12)
    (tmp_path / "something-something-v2-labels.json").write_text('{"Pushing something": "0"}')
    with pytest.raises(ValueError, match=r"30 videos of classes .*: t1 \(Opening a thing\), t3"):
        ssv2(tmp_path)


def test_kinetics_is_what_its_csv_names_and_present_what_is_there(tmp_path):
    (tmp_path / "annotations").mkdir()
    rows = [
        "label,youtube_id,time_start,time_end,split,is_cc",
        "air drumming,abc,1,11,train,0",
        '"abseiling",-x_,417,427,train,0',
    ]
    (tmp_path / "annotations" / "train.csv").write_bytes("\r\n".join(rows).encode())
    (tmp_path / "train" / "air_drumming").mkdir(parents=True)
    (tmp_path / "train" / "air_drumming" / "abc_000001_000011.mp4").touch()
    videos = kinetics_set(tmp_path, "train")
    assert videos.ids == ("air drumming/abc_000001_000011", "abseiling/-x__000417_000427")
    assert (videos.class_names, videos.sources) == (("abseiling", "air drumming"), ("abc", "-x_"))
    assert missing(videos) == ("abseiling/-x__000417_000427",)
    assert present(videos).ids == ("air drumming/abc_000001_000011",)
    assert present(videos).manifest_hash != videos.manifest_hash
    (tmp_path / "annotations" / "train.csv").write_text("label,id\n")
    with pytest.raises(ValueError, match="has no column youtube_id, time_start, time_end"):
        kinetics_set(tmp_path, "train")


def test_a_list_may_use_blanks_tabs_numbers_names_and_frame_counts(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"a b/x y.avi 1\r\na b/z\tcc dd\nq/w_000001_000011 250 0\n")
    videos = list_file(path, Path("/v"), ("aa", "cc dd"))
    assert [(v.video_id, str(v.path), v.label, v.source) for v in videos.videos] == [
        ("a b/x y", "/v/a b/x y.avi", 1, "x y"),
        ("a b/z", "/v/a b/z.mp4", 1, "z"),
        ("q/w_000001_000011", "/v/q/w_000001_000011.mp4", 0, "w"),
    ]
    path.write_text("a/b 7\nc\n")
    with pytest.raises(ValueError, match="2 lines without a video and one of its classes: a/b 7, c"):
        list_file(path, Path("/v"), ("aa", "cc dd"))


def test_lists_may_come_from_windows_and_number_their_classes_from_0(tmp_path):
    (tmp_path / "list.txt").write_bytes("\ufeffa/One.MP4 0\r\nb/two 1\r\n\r\n".encode())
    videos = list_file(tmp_path / "list.txt", tmp_path, ("x", "y"))
    assert videos.ids == ("a/One", "b/two")
    assert [video.path.name for video in videos.videos] == ["One.MP4", "two.mp4"]
    (tmp_path / "list.txt").write_text("a/one.mp4 1\nb/two.mp4 2\n")
    with pytest.raises(ValueError, match=r"1 lines without .*: b/two\.mp4 2\. There are 2 classes, numbered from 0\.$"):
        list_file(tmp_path / "list.txt", tmp_path, ("x", "y"))
    (tmp_path / "list.txt").write_text("a/one.mp4 1\na/one.avi 1\n")
    with pytest.raises(ValueError, match=r"1 videos are listed more than once: a/one"):
        list_file(tmp_path / "list.txt", tmp_path, ("x", "y"))


def test_an_annotation_file_that_cannot_be_read_is_said_in_a_sentence(tmp_path):
    for read in (read_lines, read_json):
        with pytest.raises(ValueError, match=r"cannot be read \(Is a directory\)\.$"):
            read(tmp_path)
    (tmp_path / "val.csv").write_bytes(
        "label,youtube_id,time_start,time_end,split\ncaf\xe9,a,1,2,val\n".encode("latin-1")
    )
    with pytest.raises(ValueError, match=r"val\.csv is no UTF-8 text"):
        kinetics_set(tmp_path, "val")


def test_a_wrong_root_or_half_a_download_is_said_in_a_sentence(tmp_path, real_data):
    for ask, message in (
        (lambda: ucf101(tmp_path), r"there is no classInd\.txt in .*ucfTrainTestlist or"),
        (lambda: hmdb51(tmp_path), "has 0 lists .*; HMDB51 has 51"),
        (lambda: diving48(tmp_path), r"there is no Diving48_vocab\.json"),
        (lambda: ssv2(tmp_path), r"there is no something-something-v2-labels\.json"),
        (lambda: kinetics_set(tmp_path, "val"), r"there is no val\.csv"),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
    lists = shutil.copytree(real_data / "annotations/diving48", tmp_path / "d")
    (lists / "Diving48_V2_train.json").chmod(0o644)
    (lists / "Diving48_V2_train.json").write_text((lists / "Diving48_V2_train.json").read_text()[:5000])
    with pytest.raises(ValueError, match="is no JSON, or was cut short"):
        diving48(tmp_path, lists=lists)


def test_files_that_do_not_decode_are_listed_with_their_reasons(tmp_path, levels_video):
    for number in range(5):
        levels_video(tmp_path / f"c/{number}.mp4", [50, 60])
    (tmp_path / "c/3.mp4").write_text("no video")
    (tmp_path / "list.txt").write_text("".join(f"c/{n} 0\n" for n in range(6)))
    told = []
    videos = list_file(tmp_path / "list.txt", tmp_path, ("c",))
    reasons = undecodable(videos, workers=2, progress=lambda done, total: told.append((done, total)))
    assert list(reasons) == ["c/3", "c/5"]
    assert "no video file" in reasons["c/3"]
    assert "does not exist" in reasons["c/5"]
    assert told[0] == (0, 6)
    assert told[-1] == (6, 6)
