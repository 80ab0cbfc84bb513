"""Appearance: one frame tells the class, and how the figure moves has nothing to do with it."""

from dataclasses import replace

import numpy as np
import pytest

from bench.video.embedded.appearance import CLASSES, FIGURES, draw_appearance
from bench.video.embedded.figures import PATTERNS, SHAPES, SIZE, figure
from bench.video.embedded.scene import HEIGHT, WIDTH
from bench.video.embedded.sets import EmbeddedSet, videos
from tests.bench.video.embedded.one_frame import BOTTOM, LEFT, RIGHT, TOP, all_of, frame, linear_guesses

SETS = tuple(f"appearance/{split}" for split in ("pretrain", "pretrain-long", "train", "validation", "test"))


def test_the_figure_is_the_class_of_every_video():
    for name in SETS:
        for video, item in zip(all_of(name), videos(EmbeddedSet(*name.split("/"))), strict=True):
            assert item.class_name == "_".join(video.figure) == CLASSES[item.label]
            assert video.label == item.label


def test_the_class_decides_nothing_but_the_figure():
    """So neither path nor colours nor size can tell it."""
    stage = all_of("appearance/test")[0].stage
    for name in ("one", "another", "a third"):
        drawn = [draw_appearance(name, label, stage) for label in range(6)]
        assert len({replace(video, figure=FIGURES[0]) for video in drawn}) == 1
        assert [video.figure for video in drawn] == list(FIGURES)


def test_the_figures_of_the_classes_differ_in_shape_and_in_pattern():
    assert len({shape for shape, _ in FIGURES}) == len({pattern for _, pattern in FIGURES}) == len(FIGURES)
    assert all(shape in SHAPES and pattern in PATTERNS for shape, pattern in FIGURES)


def test_the_square_of_the_clips_shows_most_of_the_figure_in_every_frame():
    for name in ("appearance/train", "appearance/validation", "appearance/test"):
        for video in all_of(name):
            down = (video.centre[0] + video.sways[0].path(64) + video.sways[1].path(64)) / 16
            across = (video.centre[1] + video.sways[2].path(64) + video.sways[3].path(64)) / 16
            radius = video.radius / 16
            tall = np.minimum(down + radius, BOTTOM) - np.maximum(down - radius, TOP)
            wide = np.minimum(across + radius, RIGHT) - np.maximum(across - radius, LEFT)
            assert (tall == 2 * radius).all()
            assert (wide > 1.7 * radius).all()


def spectrum(picture):
    """Logarithm of the amplitudes of the grey picture, by ring and direction: where the figure stands does not matter."""
    grey = picture.sum(2, dtype=float)
    amplitude = np.log(abs(np.fft.rfft2(grey - grey.mean())) + 100)
    down, across = np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None]
    ring = np.digitize(120 * np.hypot(down, across), [2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 19, 24, 30, 40])
    direction = ((np.arctan2(down, across) / np.pi + 0.5) * 8).astype(int).clip(0, 7)
    cell = (8 * ring + direction).ravel()
    return np.bincount(cell, amplitude.ravel(), 120) / np.maximum(np.bincount(cell, minlength=120), 1)


def test_a_classifier_of_one_frame_is_right_far_above_chance():
    train, test = all_of("appearance/train")[:180], all_of("appearance/test")[:120]
    x, y = np.stack([spectrum(frame(v, 0)) for v in train]), np.stack([spectrum(frame(v, 40)) for v in test])
    guesses = linear_guesses(x, np.array([video.label for video in train]), y)
    assert (guesses == [video.label for video in test]).mean() > 0.6  # chance is a sixth


@pytest.mark.parametrize("shape", SHAPES)
def test_figures_lie_inside_their_tables(shape):
    cover = figure(shape, "plain")[0].reshape(SIZE, SIZE)
    assert cover.max() == 255
    assert cover[0, 0] == 0  # what lies outside the table is read here
    assert max(cover[0].max(), cover[-1].max(), cover[:, 0].max(), cover[:, -1].max()) < 128
    assert 0.08 < (cover > 127).mean() < 0.8
