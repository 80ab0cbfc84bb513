"""A copy on disk holds exactly the pixels that are drawn on the fly, whatever interrupted its making."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import namedtuple
from fractions import Fraction

import av
import numpy as np
import pytest
from filelock import FileLock

from bench.noisy_copies import export as exporting
from bench.noisy_copies.conditions import conditions_named, folder_of, under
from bench.noisy_copies.export import export, frames_digest, plan
from bench.noisy_copies.write_video import LOSSLESS, writing
from bench.video.datasets.folder import folder_dataset
from bench.video.decode import decode
from corruptions import corrupt

SHOT3 = conditions_named(["shot#3"])
TWO = conditions_named(["shot#3", "impulse#1"])


def quiet(words, share):
    assert 0 <= share <= 1


def run(folder, out, conditions=TWO, **settings):
    return export(folder_dataset(folder).test, conditions, out, **{"workers": 2, "progress": quiet, **settings})


def files_below(out):
    return {str(path.relative_to(out)): path for path in sorted(out.rglob("*.mkv"))}


def test_what_is_read_back_is_what_is_drawn_on_the_fly(shared_folder, tmp_path):
    held = "gaussian/imagenet-c@source/held/v1#4"
    conditions = (*conditions_named([]), *conditions_named([held, "clean"]))
    test = folder_dataset(shared_folder).test.only(["run/b", "jump/c"])  # an odd size; an AVI
    export(test, conditions, tmp_path / "copy", workers=2, progress=quiet)
    videos = test.videos
    assert len(files_below(tmp_path / "copy")) == 22 * len(videos)
    for video in videos:
        clean = decode(video.path)
        for condition in conditions:
            exact = clean
            if condition.severity:
                names = {"video_id": video.video_id, "frame_numbers": range(len(clean))}
                exact = corrupt(clean, condition.corruption, condition.severity, **names)
                assert (exact != clean).any()
            stored = decode(tmp_path / "copy" / folder_of(condition) / f"{video.video_id}.mkv")
            np.testing.assert_array_equal(stored, exact)


def test_the_manifest_says_what_every_file_is(shared_folder, tmp_path):
    manifest = run(shared_folder, tmp_path)
    content = json.loads(manifest.read_text())
    assert content["classes"] == {"run/a": "run", "run/b": "run", "jump/c": "jump", "jump/d": "jump"}
    assert [row["file"] for row in content["files"]] == list(files_below(tmp_path))
    for row in content["files"]:
        path = tmp_path / row["file"]
        frames = decode(path)
        assert frames.shape == (row["num_frames"], row["height"], row["width"], 3)
        shape = f"{len(frames)}x{frames.shape[1]}x{frames.shape[2]}x3".encode()
        assert row["frames_digest"] == hashlib.sha256(frames.tobytes() + shape).hexdigest() == frames_digest(path)
        assert row["file_digest"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert row["file_bytes"] == path.stat().st_size
        original = next(path for path in shared_folder.glob(f"{row['video_id']}.*"))
        assert row["original_digest"] == hashlib.sha256(original.read_bytes()).hexdigest()
        with av.open(str(path)) as copied, av.open(str(original)) as given:
            assert copied.streams.video[0].average_rate == given.streams.video[0].average_rate
            assert copied.streams.video[0].codec_context.name == "ffv1"
    assert not (tmp_path / "unfinished").exists()


def test_two_exports_are_alike_to_the_byte_with_any_number_of_workers(shared_folder, tmp_path):
    one, other = (run(shared_folder, tmp_path / str(n), workers=n) for n in (1, 3))
    assert one.read_bytes() == other.read_bytes()


def test_a_killed_export_goes_on_and_ends_as_if_it_had_not_been_killed(shared_folder, tmp_path):
    program = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from bench.noisy_copies.conditions import conditions_named\n"
        "from bench.noisy_copies.export import export\n"
        "from bench.video.datasets.folder import folder_dataset\n"
        "def progress(words, share):\n"
        "    if 0.4 < share: os.kill(os.getpid(), signal.SIGKILL)\n"
        "test = folder_dataset(Path(sys.argv[1])).test\n"
        "export(test, conditions_named(['shot#3', 'impulse#1']), Path(sys.argv[2]), workers=1, progress=progress)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    out = tmp_path / "copy"
    done = subprocess.run(
        [sys.executable, "-c", program, shared_folder, out],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "manifest.json").exists()
    journal = out / "unfinished" / "rows.jsonl"
    done_files = {name: (out / name).stat().st_mtime_ns for name in files_in(journal)}
    assert len(done_files) == 4
    with journal.open("a") as file:
        file.write('{"video_id": "run/a", "cond')  # killed while it wrote a row
    (out / "unfinished" / "1-0.mkv").write_bytes(b"half a film")

    manifest = run(shared_folder, out)
    assert manifest.read_bytes() == run(shared_folder, tmp_path / "whole").read_bytes()
    assert len(files_below(out)) == 8
    for name, time in done_files.items():
        assert (out / name).stat().st_mtime_ns == time, f"{name} was written again"


def files_in(journal):
    return [json.loads(line)["file"] for line in journal.read_text().splitlines()[1:]]


def test_ctrl_c_stops_soon_and_loses_nothing_that_is_done(shared_folder, tmp_path):
    def stop(words, share):
        if share:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(shared_folder, tmp_path, workers=1, progress=stop)
    assert len(files_in(tmp_path / "unfinished" / "rows.jsonl")) == 2
    assert not list((tmp_path / "unfinished").glob("*.mkv"))
    assert plan(folder_dataset(shared_folder).test, TWO, tmp_path, workers=1).num_done == 2
    run(shared_folder, tmp_path)


def test_conditions_may_be_added_later_and_what_is_there_stays(shared_folder, tmp_path):
    run(shared_folder, tmp_path, SHOT3)
    times = {name: path.stat().st_mtime_ns for name, path in files_below(tmp_path).items()}
    manifest = run(shared_folder, tmp_path, conditions_named(["impulse#1"]))
    assert len(json.loads(manifest.read_text())["files"]) == 8
    assert times.items() <= {name: path.stat().st_mtime_ns for name, path in files_below(tmp_path).items()}.items()


def test_a_shortened_file_is_written_anew_and_a_changed_one_when_asked_to_verify(shared_folder, tmp_path):
    manifest = run(shared_folder, tmp_path)
    before = {name: path.read_bytes() for name, path in files_below(tmp_path).items()}
    shortened, changed = min(before), max(before)
    (tmp_path / shortened).write_bytes(before[shortened][:-100])
    middle = len(before[changed]) // 2
    (tmp_path / changed).write_bytes(before[changed][:middle] + bytes(8) + before[changed][middle + 8 :])
    run(shared_folder, tmp_path)
    assert (tmp_path / shortened).read_bytes() == before[shortened]
    assert (tmp_path / changed).read_bytes() != before[changed]
    text = manifest.read_text()
    run(shared_folder, tmp_path, verify=True)
    assert (tmp_path / changed).read_bytes() == before[changed]
    assert manifest.read_text() == text


def test_a_video_that_has_changed_is_copied_anew(shared_folder, tmp_path):
    folder = shutil.copytree(shared_folder, tmp_path / "data")
    run(folder, tmp_path / "copy", SHOT3)
    shutil.copyfile(folder / "run" / "b.mp4", folder / "run" / "a.mp4")
    run(folder, tmp_path / "copy", SHOT3)
    frames = decode(folder / "run" / "b.mp4")
    stored = decode(tmp_path / "copy" / folder_of(SHOT3[0]) / "run" / "a.mkv")
    exact = corrupt(frames, SHOT3[0].corruption, 3, video_id="run/a", frame_numbers=range(len(frames)))
    np.testing.assert_array_equal(stored, exact)


def test_a_broken_video_is_named_and_the_others_are_copied(shared_folder, tmp_path):
    folder = shutil.copytree(shared_folder, tmp_path / "data")
    (folder / "run" / "b.mp4").write_bytes(b"no film")
    with pytest.raises(ValueError, match=r"1 of the 4 videos of data test cannot be read.*b\.mp4"):
        run(folder, tmp_path / "copy", SHOT3)
    assert len(files_below(tmp_path / "copy")) == 3
    assert not (tmp_path / "copy" / "manifest.json").exists()


def test_the_export_of_other_videos_is_refused(shared_folder, tmp_path):
    folder = shutil.copytree(shared_folder, tmp_path / "data")
    run(folder, tmp_path / "copy", SHOT3)
    (folder / "testlist01.txt").write_text("run/a.mp4\njump/c.avi\n")
    with pytest.raises(ValueError, match=r"holds another export .*videos_hash"):
        run(folder, tmp_path / "copy", SHOT3)


def test_a_folder_with_something_else_and_a_damaged_manifest_are_refused(shared_folder, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no export"):
        run(shared_folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(ValueError, match=r"notes\.txt is a file"):
        run(shared_folder, tmp_path / "notes.txt")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        run(shared_folder, tmp_path / "copy")


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(shared_folder, tmp_path, monkeypatch):
    test = folder_dataset(shared_folder).test
    frames = sum(decode(video.path).nbytes for video in test.videos)
    to_do = plan(test, TWO, tmp_path / "copy", workers=1)
    assert frames * 2 <= to_do.num_bytes <= frames * 2 * 1.2
    disk = namedtuple("disk", "total used free")(0, 0, to_do.num_bytes - 1)
    monkeypatch.setattr(exporting.shutil, "disk_usage", lambda folder: disk)
    with pytest.raises(ValueError, match=r"too little room .* 8 are to be written, up to 0\.00 GB; 0\.00 GB are free"):
        run(shared_folder, tmp_path / "copy")
    assert not files_below(tmp_path / "copy")


@pytest.mark.parametrize("name", ["gaussian#5", "impulse#5", "speckle#5"])
def test_noise_takes_no_more_room_than_estimated(name, tmp_path):
    column, row = np.meshgrid(np.arange(320), np.arange(240))
    grey = 128 + 60 * np.sin(column / 20) + 60 * ((row // 30 + column // 40) % 2)
    frames = under(*conditions_named([name]), grey.astype(np.uint8)[None, :, :, None].repeat(3, axis=3), "v", 0)
    with writing(tmp_path / "v.mkv", LOSSLESS, Fraction(25), (240, 320)) as append:
        append(frames)
    assert 0.9 * frames.nbytes < (tmp_path / "v.mkv").stat().st_size < exporting.LARGEST_RATIO * frames.nbytes


def test_one_process_at_a_time(shared_folder, tmp_path):
    with FileLock(tmp_path / ".lock"), pytest.raises(ValueError, match="another process is writing into"):
        run(shared_folder, tmp_path)
