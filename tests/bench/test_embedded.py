"""The generated videos: what tells a class, what cannot, and that the files are what they should be."""

import hashlib
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from bench.video.decode import decode
from bench.video.embedded import sets
from bench.video.embedded.appearance import FIGURES, AppearanceVideo
from bench.video.embedded.circle import TURN, UNIT, cosine, sine
from bench.video.embedded.draws import Draws
from bench.video.embedded.encode import encode
from bench.video.embedded.figures import PATTERNS, SHAPES, SIZE, figure
from bench.video.embedded.motion import Belt, MotionVideo
from bench.video.embedded.scene import times
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

DRAWN = {
    "appearance/test/g000_c0": "ef03952352f2b090",
    "motion/pretrain/g007_c2": "592ceab1a724bf7f",
    "motion/test/g012_c3": "acf1d1a966d712d3",
}
"""The first digits of the SHA-256 of frames before encoding."""

DECODED = "d8509de029fd0eba"
"""The same for motion/test/g012_c3 after encoding and decoding."""

JUDGED = ("train", "validation", "test")


def motion_videos(split: str, count: int) -> list[MotionVideo]:
    found = [parameters(item.video_id) for item in videos(EmbeddedSet("motion", split))[:count]]
    assert all(isinstance(video, MotionVideo) for video in found)
    return found


# What a set is


def test_the_sets_are_counted_without_drawing():
    for family, classes in CLASSES.items():
        for split, groups in NUM_GROUPS[family].items():
            items = videos(EmbeddedSet(family, split))
            assert len(items) == groups * len(classes)
            assert [item.video_id for item in items] == sorted({item.video_id for item in items})
            assert {item.class_name for item in items} == set(classes)


def test_a_group_has_one_video_of_each_class_and_never_crosses_a_split():
    sources: dict[str, set[str]] = {}
    for family in CLASSES:
        for split in NUM_GROUPS[family]:
            for item in videos(EmbeddedSet(family, split)):
                sources.setdefault(item.source, set()).add(f"{family}/{split}")
                assert item.video_id.startswith(item.source)
    assert all(len(owners) == 1 for owners in sources.values())


def test_an_unknown_set_or_video_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="there is no embedded set motion/tset: families are"):
        EmbeddedSet("motion", "tset")
    with pytest.raises(ValueError, match="motion/test/g999_c0 is not a video of motion/test"):
        parameters("motion/test/g999_c0")
    with pytest.raises(ValueError, match="there is no embedded set nonsense/"):
        parameters("nonsense")


def test_an_oracle_that_knows_the_parameters_is_always_right():
    for family in CLASSES:
        for split in NUM_GROUPS[family]:
            for item in videos(EmbeddedSet(family, split)):
                assert parameters(item.video_id).label == item.label


# Motion: only the order of frames tells


def test_a_motion_video_played_backwards_is_a_video_of_its_twin_class():
    for video in motion_videos("test", 8):
        twin = video.reversed()
        assert twin.label == 3 - video.label
        assert twin.reversed() == video
    assert np.array_equal(video.reversed().render(), video.render()[::-1])


@pytest.mark.parametrize("moment", [0, 20, 63])
def test_any_frame_of_a_motion_video_could_be_that_of_any_class_even_if_its_place_is_known(moment):
    """For every video there is one of each other class, equally likely, with the very same frame at that place."""

    def turned(belt: Belt) -> Belt:
        """The belt that runs the other way through the same place at that moment."""
        return replace(belt, column=belt.column + 2 * belt.speed * int(times(64)[moment]), speed=-belt.speed)

    video = motion_videos("test", 1)[0]
    upper, lower = video.belts
    others = [
        replace(video, belts=(turned(upper), lower)),
        replace(video, belts=(upper, turned(lower))),
        replace(video, belts=(turned(upper), turned(lower))),
    ]
    assert {video.label, *(other.label for other in others)} == {0, 1, 2, 3}
    frame = video.render()[moment]
    for other in others:
        assert np.array_equal(other.render()[moment], frame)


@pytest.mark.parametrize("split", JUDGED)
def test_the_places_on_the_belt_from_which_that_follows_are_drawn_evenly(split):
    belts = [belt for video in motion_videos(split, 240) for belt in video.belts]
    shares = np.array([belt.column % belt.spacing / belt.spacing for belt in belts])
    length = abs(np.exp(2j * np.pi * shares).mean())
    assert length < 2.6 / np.sqrt(len(belts))  # even draws are longer once in a thousand


@pytest.mark.parametrize("split", [*JUDGED, "pretrain"])
def test_every_window_of_16_frames_runs_visibly_the_way_of_its_class(split):
    for video in motion_videos(split, 60):
        for belt, way in zip(video.belts, (video.label & 2, video.label & 1), strict=True):
            path = belt.column + belt.speed * times(64)
            assert (np.sign(path[15:] - path[:-15]) == (1 if way else -1)).all()
            assert (abs(path[15:] - path[:-15]) > 16 * 20).all()  # twenty pixels of 160 at least
            # From one frame to the next less than half the spacing, so that the way is not ambiguous.
            assert belt.spacing is None or abs(2 * belt.speed) < belt.spacing // 8


def test_a_judged_belt_shows_a_figure_in_every_clip_square():
    for video in motion_videos("test", 60):
        for belt in video.belts:
            columns = np.stack(belt.columns(64)) / 16
            inside = (columns > 80 - 53) & (columns < 80 + 53)
            assert inside.any(0).mean() > 0.75


def test_the_single_figure_of_a_pretraining_belt_passes_the_middle_in_the_middle():
    for video in motion_videos("pretrain", 60):
        for belt in video.belts:
            path = belt.columns(64)[0] / 16
            assert abs(path[31] - 80) < 13
            assert abs(path - 80).max() < 82


def frame_statistics(video: MotionVideo) -> np.ndarray:
    """All that a frame can show of the two states, for each frame: where on its round each belt is, and the two together."""
    upper, lower = (2 * np.pi * (belt.column + belt.speed * times(64)) / belt.spacing for belt in video.belts)
    angles = np.stack([upper, lower, upper + lower, upper - lower])
    return np.concatenate([np.sin(angles), np.cos(angles)]).T


def nearest_neighbour(train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray) -> np.ndarray:
    distances = ((test_x[:, None] - train_x[None]) ** 2).sum(2)
    votes = train_y[np.argsort(distances, axis=1)[:, :9]]
    return np.array([np.bincount(row, minlength=4).argmax() for row in votes])


def accuracy_of(statistic) -> float:
    """Train and test on the real parameters of the videos that are judged."""
    train, test = motion_videos("train", 240), motion_videos("test", 240)
    x, y = np.stack([statistic(video) for video in train]), np.array([video.label for video in train])
    guesses = nearest_neighbour(x, y, np.stack([statistic(video) for video in test]))
    return float((guesses == [video.label for video in test]).mean())


@pytest.mark.parametrize("moment", [0, 32])
def test_a_classifier_of_one_frame_is_at_chance_also_of_the_first(moment):
    assert abs(accuracy_of(lambda video: frame_statistics(video)[moment]) - 0.25) < 0.085  # three standard deviations


def test_a_classifier_of_the_set_of_frames_cannot_tell_twins():
    """The mean of the frames' statistics, and of their products: no order goes in."""

    def unordered(video: MotionVideo) -> np.ndarray:
        seen = frame_statistics(video)
        return np.concatenate([seen.mean(0), (seen.T @ seen).ravel() / 64])

    videos_of_twins = [video for video in motion_videos("test", 240) if video.label in (0, 3)]
    for video in videos_of_twins[:4]:
        assert np.allclose(unordered(video), unordered(video.reversed()))
    train = [video for video in motion_videos("train", 240) if video.label in (0, 3)]
    guesses = nearest_neighbour(
        np.stack([unordered(video) for video in train]),
        np.array([video.label for video in train]),
        np.stack([unordered(video) for video in videos_of_twins]),
    )
    right = float((guesses == [video.label for video in videos_of_twins]).mean())
    assert abs(right - 0.5) < 0.14  # three standard deviations


def test_a_classifier_that_sees_two_frames_in_order_is_right():
    """The controls are at chance for want of order, not for want of skill."""

    def ordered(video: MotionVideo) -> np.ndarray:
        angles = np.unwrap(np.angle(frame_statistics(video)[:2, 4:6] + 1j * frame_statistics(video)[:2, 0:2]), axis=0)
        return np.sign(angles[1] - angles[0])

    assert accuracy_of(ordered) == 1.0


# Appearance: one frame tells


def test_in_appearance_every_frame_shows_the_figure_of_the_class_and_the_motion_is_drawn_apart_from_it():
    items = videos(EmbeddedSet("appearance", "train"))
    found = [parameters(item.video_id) for item in items]
    assert all(
        isinstance(video, AppearanceVideo) and video.figure == FIGURES[item.label]
        for video, item in zip(found, items, strict=True)
    )
    speeds = np.array([[sway.speed for sway in video.sways] for video in found])
    labels = np.array([item.label for item in items])
    means = np.array([np.sign(speeds[labels == label]).mean() for label in range(6)])
    assert abs(means).max() < 0.25  # 160 signs a class


@pytest.mark.parametrize("shape", SHAPES)
def test_figures_lie_inside_their_tables(shape):
    cover = figure(shape, "plain")[0].reshape(SIZE, SIZE)
    assert cover.max() == 255
    assert cover[0, 0] == 0  # what lies outside the table is read here
    assert max(cover[0].max(), cover[-1].max(), cover[:, 0].max(), cover[:, -1].max()) < 128
    assert 0.08 < (cover > 127).mean() < 0.8


def test_the_figures_of_the_classes_differ_in_shape_and_in_pattern():
    assert len({shape for shape, _ in FIGURES}) == len({pattern for _, pattern in FIGURES}) == len(FIGURES)
    assert all(shape in SHAPES and pattern in PATTERNS for shape, pattern in FIGURES)


# The same everywhere


def test_the_sine_table_is_right_to_the_last_unit():
    angles = np.arange(0, TURN, TURN // 1024)
    assert abs(sine(angles) - UNIT * np.sin(2 * np.pi * angles / TURN)).max() <= 0.5 + 1e-9
    assert np.array_equal(cosine(angles), sine(angles + TURN // 4))
    assert np.array_equal(sine(-angles), -sine(angles))


def test_draws_depend_on_their_name_only():
    first, second = Draws("a name"), Draws("a name")
    assert [first.below(1000) for _ in range(9)] == [second.below(1000) for _ in range(9)]
    words = hashlib.shake_256(b"a name").digest(8)
    fresh = Draws("a name")
    assert fresh.below(2**32) == int.from_bytes(words[:4], "little")
    assert fresh.between(-3, 3) == int.from_bytes(words[4:], "little") % 7 - 3


def test_rendered_frames_are_those_of_every_other_machine():
    """The drawing is made of whole numbers only."""
    drawn = {video_id: hashlib.sha256(render(video_id).tobytes()).hexdigest()[:16] for video_id in DRAWN}
    assert drawn == DRAWN, "a pixel moved: raise DATASET_VERSION and pin the suite anew"


@pytest.mark.parametrize("video_id", ["motion/pretrain-long/g000_c3", "appearance/pretrain-long/g000_c5"])
def test_long_videos_are_long_enough_for_the_hardest_pretext_tasks(video_id):
    frames = render(video_id)
    assert frames.shape == (NUM_FRAMES["pretrain-long"], 120, 160, 3)
    assert len(frames) >= 132


# Files


@pytest.fixture
def small(monkeypatch):
    """A version of the set with one group of each class."""
    monkeypatch.setitem(sets.NUM_GROUPS, "motion", {**NUM_GROUPS["motion"], "validation": 1})
    return EmbeddedSet("motion", "validation")


def test_files_are_h264_and_decode_to_what_was_drawn(small, tmp_path):
    seen: list[tuple[int, int]] = []
    write(small, tmp_path, workers=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]
    path = path_of(tmp_path, videos(small)[0].video_id)
    with av.open(path) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.frames, stream.height, stream.width) == (64, 120, 160)
    drawn, decoded = render(videos(small)[0].video_id), decode(path)
    assert decoded.shape == drawn.shape
    error = ((decoded.astype(float) - drawn) ** 2).mean()
    assert 10 * np.log10(255**2 / error) > 28  # colours are kept at half the size, hence not more


def test_files_do_not_depend_on_the_number_of_workers(small, tmp_path):
    write(small, tmp_path / "one", workers=1)
    write(small, tmp_path / "two", workers=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.mp4"))
    assert len(files) == 4
    assert all((tmp_path / "one" / f).read_bytes() == (tmp_path / "two" / f).read_bytes() for f in files)


def test_a_second_run_writes_only_what_is_missing_and_sweeps_up(small, tmp_path, monkeypatch):
    write(small, tmp_path, workers=1)
    kept, lost = (path_of(tmp_path, item.video_id) for item in videos(small)[:2])
    before = kept.stat().st_mtime_ns
    content = lost.read_bytes()
    lost.unlink()
    left_behind = lost.with_suffix(".4711.partial")
    left_behind.write_bytes(b"half a file")
    monkeypatch.setattr(sets, "STALE_SECONDS", -1)
    write(small, tmp_path, workers=1)
    assert kept.stat().st_mtime_ns == before
    assert lost.read_bytes() == content
    assert not left_behind.exists()


def test_an_interrupted_write_leaves_no_half_file(small, tmp_path, monkeypatch):
    def breaks_off(_frames: np.ndarray, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(sets, "encode", breaks_off)
    with pytest.raises(KeyboardInterrupt):
        write(small, tmp_path, workers=1)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_full_disk_is_told_before_anything_is_written(small, tmp_path, monkeypatch):
    monkeypatch.setattr(sets.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": 1000})())
    with pytest.raises(ValueError, match="0 MB free, but the 4 missing videos of motion/validation may take"):
        write(small, tmp_path)


def test_decoded_files_are_the_pinned_ones(tmp_path):
    """One video here; the run itself compares whole sets with the suite."""
    video_id = "motion/test/g012_c3"
    path = tmp_path / "one.mp4"
    encode(render(video_id), path)
    assert hashlib.sha256(decode(path).tobytes()).hexdigest()[:16] == DECODED, (
        "another H.264 encoder build, or a changed pixel contract"
    )
