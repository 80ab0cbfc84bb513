"""`reelproof data`: what is there, what is missing, what does not decode; and subsets. On trees made here."""

import json
import re

import av
import pytest
from typer.testing import CliRunner

from bench.cli import data
from bench.video.check import look_at, missing
from bench.video.datasets.kinetics import kinetics_set
from bench.video.datasets.known import KNOWN, descriptions
from bench.video.decode import UndecodableVideo, decode
from bench.video.frame_store import build_store
from bench.video.index import Video, VideoSet
from bench.video.subset import read_manifest

CLASSES = ("air drumming", "archery", "yoga")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("REELPROOF_HOME", str(tmp_path / "home"))


def run(*arguments):
    """Exit code and what was printed; a user's mistake is the sentence that the front door prints."""
    found = CliRunner().invoke(data, [str(argument) for argument in arguments])
    if isinstance(found.exception, ValueError):
        return 2, str(found.exception)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found.exit_code, " ".join(found.stdout.split())


@pytest.fixture
def kinetics(tmp_path, levels_video):
    """A copy of "Kinetics": six listed videos a class in train and two in val, all there."""
    root = tmp_path / "k400"
    for part, number in (("train", 6), ("val", 2)):
        rows = ["label,youtube_id,time_start,time_end,split"]
        for label in CLASSES:
            for n in range(number):
                rows.append(f"{label},{part}{label[0]}{n},{n},{n + 10},{part}")
                name = f"{part}{label[0]}{n}_{n:06}_{n + 10:06}.mp4"
                levels_video(root / part / label.replace(" ", "_") / name, [50, 60], size=(16, 16))
        (root / f"{part}.csv").write_text("\n".join(rows))
    return root


def test_every_data_set_says_what_it_is_and_how_to_obtain_it():
    code, text = run("list")
    assert code == 0
    rows = json.loads(CliRunner().invoke(data, ["list", "--json"]).stdout)
    names = {row["name"] for row in rows}
    assert names == {*KNOWN, "folder", "hub"}
    assert {"ucf101", "hmdb51", "diving48", "kinetics400", "kinetics600", "kinetics700", "ssv2", "lists"} < names
    for row in rows:
        assert all(row[word] for word in ("title", "layout", "source", "licence", "obtain"))
        assert row["name"] in text
    assert len(descriptions()) == len(rows)


def test_a_whole_copy_is_said_to_be_whole(kinetics):
    code, text = run("check", "kinetics400", "--root", kinetics)
    assert code == 0
    assert "All 24 files decode from the first frame to the last." in text
    assert "Their frames, resized to 128 x 171 and stored for a suite, take about 0.0 GB." in text
    found = json.loads(CliRunner().invoke(data, ["check", "kinetics400", "--root", str(kinetics), "--json"]).stdout)
    assert [part["frames_bytes"] for part in found] == [18 * 2 * 128 * 171 * 3, 6 * 2 * 128 * 171 * 3]


def test_what_is_missing_or_broken_is_said_with_number_and_names(kinetics):
    (kinetics / "train/archery/traina1_000001_000011.mp4").write_text("no video")
    (kinetics / "train/archery/traina2_000002_000012.mp4").unlink()
    (kinetics / "train/archery/traina2_000002_000012.mp4").mkdir()
    for path in (kinetics / "val/yoga").iterdir():
        path.unlink()
    code, text = run("check", "kinetics400", "--root", kinetics)
    assert code == 1
    assert "train: 1 of the 18 videos have no file: archery/traina2_000002_000012." in text
    assert "train: 1 of the 17 files do not decode: archery/traina1_000001_000011. The first: " in text
    assert "val: 2 of the 6 videos have no file: yoga/valy0_000000_000010, yoga/valy1_000001_000011." in text
    assert "val: 1 of the 3 classes have no video here: yoga." in text
    code, text = run("check", "kinetics400", "--root", kinetics, "--no-decode", "--json")
    train, val = json.loads(text)
    assert code == 1
    assert (train["there"], train["undecodable"], val["empty_classes"]) == (17, {}, ["yoga"])


def test_half_a_download_is_said_part_by_part(kinetics):
    (kinetics / "train.csv").unlink()
    code, text = run("check", "kinetics400", "--root", kinetics)
    assert code == 1
    assert f"train: there is no train.csv and no list *train*.txt in {kinetics}" in text
    assert "val:" not in text


def test_a_wrong_root_is_said_with_the_first_place_that_was_looked_at(kinetics, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, text = run("check", "kinetics400", "--root", elsewhere, "--annotations", kinetics)
    assert code == 1
    first = elsewhere / "train/air drumming/traina0_000000_000010.mp4"
    assert f"train: none of the 18 videos is here; the first should be {first}." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ucf102",), "there is no data set 'ucf102'; there are appearance, motion, ucf101"),
        (("./nowhere",), r"there is no folder \./nowhere"),
        (("ucf101",), r"say where ucf101 lies: --root DIR, which holds UCF-101/Class"),
        (("ucf101", "--root", "/nowhere"), "there is no folder /nowhere"),
        (("ucf101", "--root", "/", "--annotations", "/nowhere"), "there is no /nowhere"),
    ],
)
def test_a_mistake_in_the_command_is_said_in_a_sentence(arguments, message):
    code, text = run("check", *arguments)
    assert code == 2
    assert re.match(message, text)


def test_a_folder_of_ones_own_is_checked_too(tmp_path, levels_video):
    for name in ("run", "jump"):
        for number in range(4):
            levels_video(tmp_path / "own" / name / f"{number}.mp4", [50, 60], size=(16, 16))
    code, text = run("check", tmp_path / "own")
    assert code == 0
    assert "All 8 files decode" in text
    (tmp_path / "own/run/0.mp4").write_bytes(b"")
    code, text = run("check", tmp_path / "own")
    assert code == 1
    assert "1 of the" in text
    assert "files do not decode: run/0. The first: " in text
    for number in range(1, 4):
        (tmp_path / f"own/jump/{number}.mp4").unlink()
    code, text = run("check", tmp_path / "own")
    assert code == 1
    assert "fewer than 3 videos: jump (1)" in text


def test_the_embedded_sets_are_looked_for_in_the_home(tmp_path):
    code, text = run("check", "motion", "--root", tmp_path)
    assert code == 1
    assert "test: none of the 240 videos is here; the first should be" in text


def test_a_list_of_any_repository_is_checked(kinetics, tmp_path):
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "label_map.txt").write_text("\n".join(CLASSES))
    lines = [f"val/archery/vala{n}_00000{n}_00001{n} 250 1\n" for n in range(2)]
    (lists / "val_list.txt").write_text("".join(lines))
    code, text = run("check", "lists", "--root", kinetics, "--annotations", lists)
    assert code == 1  # two classes have no video
    assert "2 of the 3 classes have no video here: air drumming, yoga." in text
    (lists / "val_other.txt").write_text("".join(lines))
    code, text = run("check", "kinetics400", "--root", kinetics, "--annotations", lists)
    assert "val: there are 2 lists of val (val_list.txt, val_other.txt); name one of them." in text
    code, text = run("check", "kinetics600", "--root", kinetics, "--annotations", lists / "val_list.txt", "--json")
    assert [(row["part"], row["listed"], row["there"]) for row in json.loads(text)] == [("val_list", 2, 2)]


def test_kinetics_may_lie_flat_as_it_is_unpacked(kinetics):
    for path in [*(kinetics / "val").glob("*/*.mp4")]:
        path.rename(kinetics / "val" / path.name)
    for folder in (kinetics / "val").iterdir():
        if folder.is_dir():
            folder.rmdir()
    assert missing(kinetics_set(kinetics, "val")) == ()


def test_rows_without_times_are_named(kinetics):
    (kinetics / "val.csv").write_text("label,youtube_id,time_start,time_end\nyoga,abc,,\n")
    with pytest.raises(ValueError, match="has 1 rows without a start and an end in seconds: abc"):
        kinetics_set(kinetics, "val")


def test_subsets_are_nested_alike_and_say_what_was_short(kinetics, tmp_path):
    for path in sorted((kinetics / "train/yoga").iterdir())[1:]:
        path.unlink()
    code, text = run("subset", "kinetics400", "--root", kinetics, "--size", 9, "-o", tmp_path / "nine.json")
    assert code == 0
    assert "9 of 13 videos of k400 train, hash" in text
    assert "5 of the 18 listed videos have no file here and could not be chosen." in text
    assert "1 classes have fewer videos than the 4 of the others: yoga (1)." in text
    run("subset", "kinetics400", "--root", kinetics, "--size", 5, "-o", tmp_path / "five.json")
    nine, five = (json.loads((tmp_path / name).read_text()) for name in ("nine.json", "five.json"))
    assert {row[0] for row in five["videos"]} < {row[0] for row in nine["videos"]}
    assert (nine["shortfalls"], nine["listed_without_file"], nine["taken_from"]["videos"]) == ({"yoga": 1}, 5, 13)
    copy = kinetics_set(kinetics, "train")
    assert read_manifest(tmp_path / "nine.json", copy).manifest_hash == nine["manifest_hash"]
    before = (tmp_path / "nine.json").read_bytes()
    run("subset", "kinetics400", "--root", kinetics, "--size", 9, "-o", tmp_path / "nine.json")
    assert (tmp_path / "nine.json").read_bytes() == before


def test_a_subset_may_be_taken_from_the_lists_alone(kinetics, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = ("subset", "kinetics400", "--root", elsewhere, "--annotations", kinetics, "--size", 6)
    code, text = run(*arguments, "-o", tmp_path / "m.json")
    assert code == 2
    assert "none of the 18 videos of kinetics400 is below" in text
    code, text = run(*arguments, "--listed", "-o", tmp_path / "m.json")
    assert code == 0
    assert len(read_manifest(tmp_path / "m.json", kinetics_set(kinetics, "train"))) == 6
    code, text = run("subset", "kinetics400", "--root", kinetics, "--size", 19, "-o", tmp_path / "m.json")
    assert "has 18 videos; a subset of 19 cannot be taken" in text


def test_a_manifest_that_was_changed_or_whose_videos_are_not_here_is_refused(kinetics, tmp_path):
    run("subset", "kinetics400", "--root", kinetics, "--size", 6, "-o", tmp_path / "m.json")
    copy = kinetics_set(kinetics, "train")
    with pytest.raises(ValueError, match=r"lacks 6 of the 6 videos of .*m\.json"):
        read_manifest(tmp_path / "m.json", kinetics_set(kinetics, "val"))
    content = json.loads((tmp_path / "m.json").read_text())
    (tmp_path / "m.json").write_text(json.dumps({**content, "videos": content["videos"][1:]}))
    with pytest.raises(ValueError, match="was changed"):
        read_manifest(tmp_path / "m.json", copy)
    (tmp_path / "m.json").write_text("[]")
    with pytest.raises(ValueError, match="is no manifest"):
        read_manifest(tmp_path / "m.json", copy)


def one(path):
    return VideoSet("set", (Video("a", path, 0, "a"),), ("x",))


def test_a_file_that_may_not_be_read_is_named(tmp_path, levels_video, monkeypatch):
    path = levels_video(tmp_path / "a.mp4", [50, 60])

    def refuse(*_, **__):
        raise av.error.PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(UndecodableVideo, match=r"a\.mp4 is no video file that can be read \(Permission denied\)"):
        decode(path)
    assert look_at("x", lambda: one(path)).sentences[0].startswith("x: 1 of the 1 files do not decode: a.")
    with pytest.raises(ValueError, match=r"1 of the 1 videos of set cannot be read: a\. The first: .*denied"):
        build_store(one(path), resize=(8, 8), folder=tmp_path / "frames")


def test_a_folder_that_may_not_be_entered_is_named(tmp_path, monkeypatch):
    path = tmp_path / "closed" / "a.mp4"

    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "is_file", refuse)
    with pytest.raises(UndecodableVideo, match=r"a\.mp4 is no video file that can be read \(Permission denied\)"):
        decode(path)
    assert missing(one(path)) == ()
    assert "Permission denied" in look_at("x", lambda: one(path)).sentences[0]


def test_an_empty_list_and_links_in_a_circle_are_said(tmp_path):
    assert look_at("x", lambda: VideoSet("set", (), ("a",))).sentences == ("x: its list names no video.",)
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    found = look_at("x", lambda: one(tmp_path / "a.mp4"))
    assert found.sentences == (f"x: none of the 1 videos is here; the first should be {tmp_path / 'a.mp4'}.",)
