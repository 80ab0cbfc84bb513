"""The generated sets: who is in them, that every draw follows from an id, and that files appear whole."""

import hashlib
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from bench.video.decode import decode
from bench.video.embedded import sets
from bench.video.embedded.circle import TURN, UNIT, cosine, sine
from bench.video.embedded.draws import Draws
from bench.video.embedded.encode import encode
from bench.video.embedded.sets import (
    CLASSES,
    NUM_FRAMES,
    NUM_GROUPS,
    EmbeddedSet,
    parameters,
    path_of,
    render,
    videos,
    write,
)

RENDERED = {
    "appearance/test/g000_c0": "ef03952352f2b090",
    "motion/pretrain-long/g000_c3": "d977d6ade1e53e98",
    "motion/test/g000_c0": "18a4ab084b9c0947",
}
"""Beginnings of the SHA-256 of the frames, from the machine on which the sets were fixed."""


def digest_of(video_id):
    return hashlib.sha256(render(video_id).tobytes()).hexdigest()[:16]


# Who is in a set


def test_the_sets_are_counted_without_drawing():
    for family, classes in CLASSES.items():
        for split, groups in NUM_GROUPS[family].items():
            items = videos(EmbeddedSet(family, split))
            assert len(items) == groups * len(classes)
            assert [item.video_id for item in items] == sorted({item.video_id for item in items})
            assert {item.class_name for item in items} == set(classes)


def test_a_group_has_one_video_of_each_class_and_never_crosses_a_split():
    owners: dict[str, set[str]] = {}
    labels: dict[str, list[int]] = {}
    looks: dict[str, set[str]] = {}
    for family in CLASSES:
        for split in NUM_GROUPS[family]:
            for item in videos(EmbeddedSet(family, split)):
                owners.setdefault(item.source, set()).add(f"{family}/{split}")
                labels.setdefault(item.source, []).append(item.label)
                if item.source[-2:] in ("00", "05"):
                    looks.setdefault(item.source, set()).add(parameters(item.video_id).stage.look)
    assert all(len(found) == 1 for found in owners.values())
    assert all(found == list(range(len(found))) and len(found) in (4, 6) for found in labels.values())
    assert all(len(found) == 1 for found in looks.values())
    assert len({look for found in looks.values() for look in found}) == len(looks)


def test_an_unknown_set_or_video_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="there is no embedded set motion/tset: families are"):
        EmbeddedSet("motion", "tset")
    with pytest.raises(ValueError, match="motion/test/g999_c0 is not a video of motion/test"):
        parameters("motion/test/g999_c0")
    with pytest.raises(ValueError, match="there is no embedded set nonsense/"):
        parameters("nonsense")


# Every draw follows from the id


def test_draws_depend_on_their_name_only():
    first, second = Draws("a name"), Draws("a name")
    assert [first.below(1000) for _ in range(9)] == [second.below(1000) for _ in range(9)]
    words = hashlib.shake_256(b"a name").digest(8)
    fresh = Draws("a name")
    assert fresh.below(2**32) == int.from_bytes(words[:4], "little")
    assert fresh.between(-3, 3) == int.from_bytes(words[4:], "little") % 7 - 3


def test_a_video_does_not_depend_on_the_others_of_its_set(monkeypatch):
    ids = ["motion/test/g007_c2", "appearance/test/g007_c2"]
    before = [parameters(video_id) for video_id in ids]
    for family in CLASSES:
        monkeypatch.setitem(sets.NUM_GROUPS, family, {**NUM_GROUPS[family], "test": 8})
    parameters("motion/test/g000_c0")
    assert [parameters(video_id) for video_id in reversed(ids)] == before[::-1]


def test_frames_are_those_of_every_other_machine_whatever_was_drawn_before():
    assert {video_id: digest_of(video_id) for video_id in RENDERED} == RENDERED
    last = list(RENDERED)[-1]
    code = f"from tests.bench.video.embedded.test_sets import digest_of; print(digest_of({last!r}))"
    fresh = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[4]
    )
    assert fresh.stdout.strip() == RENDERED[last]


def test_the_sine_table_is_right_to_the_last_unit():
    angles = np.arange(0, TURN, TURN // 1024)
    assert abs(sine(angles) - UNIT * np.sin(2 * np.pi * angles / TURN)).max() <= 0.5 + 1e-9
    assert np.array_equal(cosine(angles), sine(angles + TURN // 4))
    assert np.array_equal(sine(-angles), -sine(angles))


@pytest.mark.parametrize("video_id", ["motion/pretrain-long/g000_c3", "appearance/pretrain-long/g000_c5"])
def test_long_videos_are_long_enough_for_the_hardest_pretext_tasks(video_id):
    assert len(parameters(video_id).stage.grain_offsets) == NUM_FRAMES["pretrain-long"] >= 132


# Files


@pytest.fixture
def small(monkeypatch):
    """A version of a set with one group."""
    monkeypatch.setitem(sets.NUM_GROUPS, "motion", {**NUM_GROUPS["motion"], "validation": 1})
    return EmbeddedSet("motion", "validation")


@pytest.fixture
def flat(monkeypatch):
    """Grey videos in place of drawn ones; what is tested is the writing."""
    monkeypatch.setattr(sets, "render", lambda video_id: np.full((2, 120, 160, 3), int(video_id[-1]) * 20, np.uint8))


def test_files_are_h264_and_decode_to_what_was_drawn(tmp_path):
    for video_id in ("motion/validation/g000_c1", "appearance/validation/g000_c1"):
        path = tmp_path / "video.mp4"
        drawn = render(video_id)
        encode(drawn, path)
        with av.open(path) as container:
            stream = container.streams.video[0]
            assert stream.codec_context.name == "h264"
            assert (stream.frames, stream.height, stream.width) == (64, 120, 160)
        decoded = decode(path)
        assert decoded.shape == drawn.shape == (64, 120, 160, 3)
        error = ((decoded.astype(float) - drawn) ** 2).mean((1, 2, 3))
        assert 10 * np.log10(255**2 / error.max()) > 27  # colours are kept at half the size, hence not more


def test_progress_is_told_and_every_file_is_there(small, flat, tmp_path):
    seen: list[tuple[int, int]] = []
    write(small, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    assert [path_of(tmp_path, item.video_id).exists() for item in videos(small)] == [True] * 4
    levels = [int(decode(path_of(tmp_path, item.video_id)).mean().round()) for item in videos(small)]
    assert np.allclose(levels, [0, 20, 40, 60], atol=2)


def test_files_do_not_depend_on_the_number_of_workers(monkeypatch, tmp_path):
    monkeypatch.setitem(sets.NUM_GROUPS, "appearance", {**NUM_GROUPS["appearance"], "validation": 1})
    monkeypatch.setitem(sets.CLASSES, "appearance", CLASSES["appearance"][:2])
    chosen = EmbeddedSet("appearance", "validation")
    for workers in (1, 2):
        write(chosen, tmp_path / str(workers), workers=workers)
    files = sorted(path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*.mp4"))
    assert len(files) == 2
    assert all((tmp_path / "1" / file).read_bytes() == (tmp_path / "2" / file).read_bytes() for file in files)


def test_a_second_run_writes_only_what_is_missing_and_sweeps_up(small, flat, tmp_path, monkeypatch):
    write(small, tmp_path)
    kept, lost = (path_of(tmp_path, item.video_id) for item in videos(small)[:2])
    before, content = kept.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    left_behind = lost.with_suffix(".4711.partial")
    left_behind.write_bytes(b"half a file")
    write(small, tmp_path)
    assert left_behind.exists()  # touched lately: another run may be writing it
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content
    monkeypatch.setattr(sets, "STALE_SECONDS", -1)
    write(small, tmp_path)
    assert not left_behind.exists()


def test_an_interrupted_write_leaves_whole_files_only_and_the_next_goes_on(small, flat, tmp_path, monkeypatch):
    done: list[Path] = []

    def breaks_off(frames: np.ndarray, path: Path) -> None:
        if len(done) == 2:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        encode(frames, path)
        done.append(path)

    monkeypatch.setattr(sets, "encode", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        write(small, tmp_path)
    left = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert left == [path_of(tmp_path, item.video_id) for item in videos(small)[:2]]
    monkeypatch.setattr(sets, "encode", encode)
    seen: list[int] = []
    write(small, tmp_path, progress=lambda done, _total: seen.append(done))
    assert seen == [2, 3, 4]


def test_a_full_disk_is_told_before_anything_is_written(small, tmp_path, monkeypatch):
    monkeypatch.setattr(sets.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(ValueError, match="0 MB free, but the 4 missing videos of motion/validation may take"):
        write(small, tmp_path)
