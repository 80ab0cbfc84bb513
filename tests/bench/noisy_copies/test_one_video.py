"""A noisy video to look at, and the sheet of all noises."""

import sys

import av
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bench.noisy_copies import sheet
from bench.noisy_copies.cli import corruptions
from bench.noisy_copies.conditions import conditions_named, definition_named, folder_of, noise
from bench.noisy_copies.one_video import corrupt_video
from bench.noisy_copies.sheet import draw_sheet
from bench.schema import Condition
from bench.video.decode import decode
from corruptions import FAMILIES, SEVERITIES, corrupt
from reelproof import main as front_door

SHOT3 = noise("shot", 3)


def quiet(words, share):
    assert 0 <= share <= 1


@pytest.fixture
def reelproof(tmp_path, monkeypatch, capsys):
    """The command line in this process, in an empty folder: exit code, what was printed, what was said of errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REELPROOF_HOME", str(tmp_path / "home"))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["reelproof", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            front_door()
        return end.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("name", ["run/a.mp4", "run/b.mp4", "jump/c.avi"])
def test_the_noisy_video_has_the_frames_size_and_rate_of_the_original_and_its_noise(name, shared_folder, tmp_path):
    video, out = shared_folder / name, tmp_path / "out.mp4"
    made = corrupt_video(video, SHOT3, out, video_id="v", crf=4, progress=quiet)
    clean, stored = decode(video), decode(out)
    exact = corrupt(clean, SHOT3.corruption, 3, video_id="v", frame_numbers=range(len(clean)))
    assert stored.shape == clean.shape
    assert made.num_frames == len(clean)
    assert made.size == clean.shape[1:3]
    with av.open(str(video)) as given, av.open(str(out)) as written:
        assert written.streams.video[0].average_rate == given.streams.video[0].average_rate == made.rate
        assert written.streams.video[0].codec_context.name == "h264"
    error = np.square(exact.astype(float) - stored).mean()
    assert made.psnr == pytest.approx(10 * np.log10(255**2 / error))
    # Colour at half resolution loses colour noise; brightness is there.
    grey = [frames.astype(float) @ (0.299, 0.587, 0.114) for frames in (clean, exact, stored)]
    assert np.corrcoef((grey[1] - grey[0]).ravel(), (grey[2] - grey[0]).ravel())[0, 1] > 0.97
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_what_the_command_prints_says_quality_and_names(shared_folder, tmp_path, reelproof):
    code, said, _ = reelproof(
        "corrupt",
        shared_folder / "run" / "a.mp4",
        "--noise",
        "speckle/imagenet-c@source/held/v1",
        "--severity",
        5,
        "-o",
        "out.mp4",
    )
    assert code == 0
    for part in (
        "19 frames of 36 x 64, 25 a second",
        "speckle/imagenet-c@source/held/v1#5",
        "'a'",
        "crf 12",
        "dB PSNR",
    ):
        assert part in said
    assert len(decode(tmp_path / "out.mp4")) == 19


@pytest.mark.parametrize(
    ("video", "settings", "sentence"),
    [
        ("nowhere.mp4", ["--noise", "shot", "--severity", "3", "-o", "o.mp4"], "nowhere.mp4 does not exist"),
        (
            "run/a.mp4",
            ["--noise", "fog", "--severity", "3", "-o", "o.mp4"],
            "unknown noise 'fog'; expected one of gaussian",
        ),
        (
            "run/a.mp4",
            ["--noise", "shot", "--severity", "9", "-o", "o.mp4"],
            "severity is 9; expected an integer from 1 to 5",
        ),
        ("run/a.mp4", ["--noise", "shot", "--severity", "3", "-o", "o.avi"], "should end in .mp4"),
        ("run/a.mp4", ["--noise", "shot", "--severity", "3", "-o", "no.txt/o.mp4"], "cannot be written"),
    ],
)
def test_a_mistake_is_one_sentence(video, settings, sentence, shared_folder, tmp_path, reelproof):
    (tmp_path / "no.txt").write_text("a file")
    code, _, problem = reelproof("corrupt", shared_folder / video, *settings)
    assert code == 2
    assert problem.splitlines()[-1].startswith("reelproof: ")
    assert sentence in problem
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == ["no.txt"]


def test_a_video_is_not_replaced_by_its_own_noise(shared_folder):
    video = shared_folder / "run" / "a.mp4"
    before = video.read_bytes()
    with pytest.raises(ValueError, match="is the video itself"):
        corrupt_video(video, SHOT3, video, video_id="v", crf=12, progress=quiet)
    assert video.read_bytes() == before
    with pytest.raises(ValueError, match="crf is 52"):
        corrupt_video(video, SHOT3, video.with_name("o.mp4"), video_id="v", crf=52, progress=quiet)


def test_conditions_are_named_by_people():
    assert conditions_named(["shot#3", "shot#3", "clean"]) == (
        Condition(corruption="shot/ucf101-p@source/v1", severity=3),
        Condition(),
    )
    assert [condition.severity for condition in conditions_named(["gaussian"])] == list(SEVERITIES)
    everything = conditions_named([])
    assert len(set(everything)) == 20
    assert len({folder_of(condition) for condition in everything}) == 20
    assert definition_named("shot/cifar10-c@source/held/v1").hold


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("fog", "unknown noise 'fog'"),
        ("shot#9", "severity is 9"),
        ("shot#x", "'shot#x' is no condition"),
        ("shot/ucf101-q@source/v1", "unknown table 'ucf101-q'"),
        ("shot/imagenet-c@input/v1", "Use shot/imagenet-c@source/v1"),
        ("clean#0", "unknown noise 'clean'"),
    ],
)
def test_what_names_no_condition_is_refused(word, sentence):
    with pytest.raises(ValueError, match=sentence):
        conditions_named([word])


def test_the_four_commands_about_corruptions_stand_together():
    shown = CliRunner().invoke(corruptions, ["--help"]).stdout
    for name in ("list", "check", "sheet", "export"):
        assert name in shown
    assert CliRunner().invoke(corruptions, ["list", "--json"]).exit_code == 0


def test_an_export_without_videos_is_refused_in_a_sentence(tmp_path, reelproof):
    for data, sentence in ((tmp_path / "none", "there is no folder"), (tmp_path, "holds no videos")):
        code, _, problem = reelproof("corruptions", "export", "--data", data, "-o", tmp_path / "copy")
        assert code == 2
        assert sentence in problem


def test_a_dry_run_says_what_an_export_costs_and_writes_nothing(shared_folder, tmp_path, reelproof):
    words = ("corruptions", "export", "--data", shared_folder, "-o", tmp_path / "copy", "-c", "shot#3", "-c", "clean")
    code, said, _ = reelproof(*words, "--dry-run")
    assert code == 0
    assert "0 files are there, 8 are to be written, up to 0.00 GB" in said
    assert not (tmp_path / "copy").exists()
    code, said, _ = reelproof(*words)
    assert code == 0
    assert said.startswith(str(tmp_path / "copy" / "manifest.json"))
    assert "8 files are there, 0 are to be written" in reelproof(*words, "--dry-run")[1]
    assert (
        "16 are to be written" in reelproof(*words[:4], "-o", tmp_path / "of-all", *words[6:], "--all", "--dry-run")[1]
    )


def test_every_cell_of_the_sheet_holds_the_pixels_of_its_noise(shared_folder, tmp_path):
    video = shared_folder / "run" / "b.mp4"
    shown = draw_sheet(video, tmp_path / "sheet.png", video_id="v", table="imagenet-c", hold=True, frame_number=6)
    assert str(shown) == "frame 6, 45 x 67 pixels, enlarged 3 times"
    frame = decode(video)[6]
    picture = np.asarray(Image.open(tmp_path / "sheet.png"))
    height, width = (3 * side for side in frame.shape[:2])
    for row, family in enumerate(FAMILIES):
        for severity in (0, *SEVERITIES):
            top = sheet.TOP + row * (height + sheet.WORDS_HEIGHT + sheet.GAP)
            left = sheet.LEFT + severity * (width + sheet.GAP)
            cell = picture[top : top + height : 3, left : left + width : 3]
            name = f"{family}/imagenet-c@source/held/v1"
            expected = corrupt(frame, name, severity, video_id="v", frame_numbers=6) if severity else frame
            np.testing.assert_array_equal(cell, expected)


def test_a_large_frame_is_cut_and_not_shrunk(shared_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sheet, "LARGEST", (20, 30))
    shown = draw_sheet(shared_folder / "run" / "a.mp4", tmp_path / "s.png", video_id="v")
    assert str(shown) == "frame 9, 36 x 64 pixels, of which the middle 20 x 30, enlarged 7 times"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"frame_number": 99}, "holds 19 frames; number 99"),
        ({"frame_number": -1}, "frame number -1 is not possible"),
        ({"table": "imagenet-d"}, "unknown table 'imagenet-d'"),
        ({"out": "s.jpg"}, "should end in .png"),
    ],
)
def test_a_sheet_that_cannot_be_drawn_is_refused(settings, sentence, shared_folder, tmp_path):
    out = tmp_path / settings.pop("out", "s.png")
    with pytest.raises(ValueError, match=sentence):
        draw_sheet(shared_folder / "run" / "a.mp4", out, video_id="v", **settings)
    assert not list(tmp_path.iterdir())
