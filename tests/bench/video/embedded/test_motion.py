"""Motion: only the order of frames tells the class. First what follows exactly, then what classifiers make of the pixels."""

from dataclasses import replace

import numpy as np
import pytest

from bench.video.embedded.motion import CLASSES, FASTEST, SLOWEST, draw_motion
from bench.video.embedded.scene import HEIGHT, WIDTH, times
from bench.video.embedded.sets import EmbeddedSet, parameters, videos
from tests.bench.video.embedded.one_frame import (
    BOTTOM,
    CLIP,
    LEFT,
    RIGHT,
    TOP,
    all_of,
    crop,
    frame,
    linear_guesses,
    nearest_guesses,
    thumbnail,
)

JUDGED = ("motion/train", "motion/validation", "motion/test")


def labels_of(chosen):
    return np.array([video.label for video in chosen])


def without_ways(video):
    """All that was drawn, except for the two ways."""
    return replace(video, belts=tuple(replace(belt, speed=abs(belt.speed)) for belt in video.belts))


def test_the_ways_of_the_belts_are_the_class_of_every_video():
    for name in (*JUDGED, "motion/pretrain", "motion/pretrain-long"):
        for video, item in zip(all_of(name), videos(EmbeddedSet(*name.split("/"))), strict=True):
            ways = "_".join("right" if belt.speed > 0 else "left" for belt in video.belts)
            assert item.class_name == ways == CLASSES[item.label]
            assert video.label == item.label


def test_the_class_decides_nothing_but_the_signs_of_the_two_speeds():
    stage = all_of("motion/test")[0].stage
    for name in ("one", "another", "a third"):
        drawn = [draw_motion(name, label, stage, centred=False) for label in range(4)]
        assert len({without_ways(video) for video in drawn}) == 1
        assert len(set(drawn)) == 4


def test_a_video_played_backwards_is_a_video_of_its_twin_class():
    for video in all_of("motion/test"):
        assert video.reversed().label == 3 - video.label
        assert video.reversed().reversed() == video
        assert all(SLOWEST <= abs(belt.speed) <= FASTEST for belt in video.reversed().belts)
    for name in ("motion/test", "motion/pretrain"):
        video = all_of(name)[5]
        assert np.array_equal(video.reversed().render(), video.render()[::-1])


def test_swings_go_either_way_equally_often_so_that_a_reversed_video_is_as_likely():
    swings = [s.speed > 0 for video in all_of("motion/train") for s in (video.sway, *video.stage.camera)]
    assert abs(np.mean(swings) - 0.5) < 4 * 0.5 / np.sqrt(len(swings))


# One frame, the first included


def test_the_state_of_a_belt_at_any_frame_is_spread_evenly_whichever_way_it_runs():
    """The column is drawn evenly from the circle, and running on to a frame only turns the circle."""
    for belt in (belt for video in all_of("motion/test") for belt in video.belts):
        assert 0 <= belt.column < belt.spacing
    belt = all_of("motion/test")[0].belts[0]
    circle = np.arange(belt.spacing)
    for moment in (0, 31, 63):
        for speed in (belt.speed, -belt.speed):
            state = (circle + speed * int(times(64)[moment])) % belt.spacing
            assert np.array_equal(np.sort(state), circle)


def test_columns_are_drawn_evenly_from_the_circle():
    share = np.array([belt.column / belt.spacing for video in all_of("motion/train") for belt in video.belts])
    counts = np.bincount((8 * share).astype(int), minlength=8)
    assert ((counts - 60) ** 2 / 60).sum() < 24.3  # chi-squared, 7 degrees of freedom: once in 1000


@pytest.mark.parametrize("moment", [0, 20, 63])
def test_any_frame_could_be_that_of_any_class_even_if_its_place_is_known(moment):
    """For every video there is one of each other class, equally likely, with the very same frame at that place."""
    time = int(times(64)[moment])

    def turned(belt):
        return replace(belt, speed=-belt.speed, column=(belt.column + 2 * belt.speed * time) % belt.spacing)

    for video in all_of("motion/test")[:6]:
        upper, lower = video.belts
        pairs = [(turned(upper), lower), (upper, turned(lower)), (turned(upper), turned(lower))]
        others = [replace(video, belts=pair) for pair in pairs]
        assert {video.label, *labels_of(others).tolist()} == {0, 1, 2, 3}
        for other in others:
            assert np.array_equal(frame(other, moment), frame(video, moment))


# Every clip


@pytest.mark.parametrize("name", JUDGED)
def test_every_window_shows_the_way_of_both_belts(name):
    """A figure goes on by 24 pixels and more, always the same way, and never so far that the next one could be meant."""
    for video in all_of(name):
        for belt in video.belts:
            steps = belt.speed * np.diff(times(64))
            moved = np.convolve(steps, np.ones(CLIP.span - 1, int), "valid") / 16
            assert (np.sign(moved) == np.sign(belt.speed)).all()
            assert abs(moved).min() >= 24
            assert abs(moved).max() < belt.spacing / 16 / 2
            assert abs(steps).max() / 16 <= 2.25


@pytest.mark.parametrize("name", JUDGED)
def test_the_square_of_the_clips_shows_both_belts_in_every_frame(name):
    for video in all_of(name):
        swing = video.sway.path(64)
        (upper, lower), radius = [(belt.row + swing) / 16 for belt in video.belts], [b.radius / 16 for b in video.belts]
        assert (upper > TOP).all()
        assert (lower < BOTTOM).all()
        assert (upper + radius[0] < lower - radius[1]).all()
        for belt in video.belts:
            ends = [(c - belt.radius, c + belt.radius) for c in belt.columns(64)]
            widths = [np.minimum(right / 16, RIGHT) - np.maximum(left / 16, LEFT) for left, right in ends]
            assert np.max(widths, axis=0).min() >= 11


def test_on_the_screen_each_belt_covers_a_hundred_pixels_of_the_square():
    def recoloured(belt):
        return replace(belt, colours=tuple(tuple(255 - c for c in colour) for colour in belt.colours))

    inside = np.s_[int(TOP) + 1 : int(BOTTOM), int(LEFT) + 1 : int(RIGHT)]
    for video in all_of("motion/test")[::20]:
        other = replace(video, belts=tuple(recoloured(belt) for belt in video.belts))
        for moment in (0, 17, 40, 63):
            belts = (frame(video, moment) != frame(other, moment)).any(2)[inside]
            middle = len(belts) // 2
            assert min(belts[:middle].sum(), belts[middle:].sum()) > 100


def test_in_pretraining_each_belt_carries_one_figure_past_the_middle_near_the_middle_of_the_video():
    for name, num_frames in (("motion/pretrain", 64), ("motion/pretrain-long", 144)):
        for video in all_of(name):
            for belt in video.belts:
                (column,) = belt.columns(num_frames)
                assert abs(column[num_frames // 2] / 16 - WIDTH / 2) <= 12
                assert (column + belt.radius > 0).all()
                assert (column - belt.radius < 16 * WIDTH).all()


def test_the_square_is_that_of_the_suite():
    assert (TOP, BOTTOM) == crop(HEIGHT, 64) == (7.5, 112.5)
    assert pytest.approx(105.41, abs=0.01) == RIGHT - LEFT


# What classifiers make of it


@pytest.fixture(scope="module")
def first_frames():
    return [np.stack([thumbnail(frame(video, 0)) for video in all_of(f"motion/{s}")]) for s in ("train", "test")]


@pytest.mark.parametrize("guesses", [linear_guesses, nearest_guesses])
def test_a_classifier_of_the_first_frame_is_at_chance(first_frames, guesses):
    found = guesses(first_frames[0], labels_of(all_of("motion/train")), first_frames[1])
    right = (found == labels_of(all_of("motion/test"))).mean()
    assert abs(right - 0.25) < 3.3 * np.sqrt(0.25 * 0.75 / 240)


def test_a_classifier_of_the_unordered_frames_cannot_tell_twins():
    def unordered(video):
        seen = np.stack([thumbnail(frame(video, moment)) for moment in (4, 24, 39, 59)])  # the same set backwards
        return np.concatenate([seen.mean(0), seen.std(0)])

    video = all_of("motion/test")[0]
    np.testing.assert_allclose(unordered(video), unordered(video.reversed()))
    train, test = (
        [video for video in all_of(f"motion/{split}")[:88] if video.label in (0, 3)] for split in ("train", "test")
    )
    x, y = (np.stack([unordered(video) for video in chosen]) for chosen in (train, test))
    right = (3 * linear_guesses(x, labels_of(train) // 3, y) == labels_of(test)).mean()
    assert abs(right - 0.5) < 3.3 * np.sqrt(0.25 / len(test))


def test_two_frames_in_order_tell():
    """The controls are at chance for want of order, not of skill: gradients in time and space give the way away."""

    def smooth(picture, size=4):
        sums = np.pad(picture.sum(2, dtype=float), ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        return sums[size:, size:] - sums[:-size, size:] - sums[size:, :-size] + sums[:-size, :-size]

    def guess(video):
        drift_HW = 0.0
        for moment in (10, 30, 50):
            before, after = (smooth(frame(video, moment + k)) for k in range(2))
            drift_HW = drift_HW - np.gradient(before + after, axis=1) * (after - before)
        middle = len(drift_HW) // 2
        return 2 * (drift_HW[:middle].sum() > 0) + (drift_HW[middle:].sum() > 0)

    chosen = all_of("motion/test")[:40]
    assert np.mean([guess(video) == video.label for video in chosen]) > 0.9


def test_one_frame_is_drawn_as_in_the_whole_video():
    for video_id in ("motion/test/g003_c1", "motion/pretrain/g003_c1", "appearance/test/g003_c1"):
        whole = parameters(video_id).render()
        assert all(np.array_equal(frame(parameters(video_id), moment), whole[moment]) for moment in (0, 20, 63))
