"""One frame of a generated video without drawing the others, and what a cheap classifier sees of it."""

from dataclasses import replace
from functools import cache

import numpy as np

from bench.suites.mini_v1 import LOCAL_TEMPLATE
from bench.video.embedded.motion import MotionVideo
from bench.video.embedded.scene import HEIGHT, WIDTH, times
from bench.video.embedded.sets import EmbeddedSet, parameters, videos

CLIP = LOCAL_TEMPLATE.clip


def crop(length, resized):
    """Where the square of the suite's clips begins and ends, in pixels of the file."""
    edge = length * (resized - CLIP.size) / 2 / resized
    return edge, length - edge


TOP, BOTTOM = crop(HEIGHT, CLIP.resize[0])
LEFT, RIGHT = crop(WIDTH, CLIP.resize[1])


@cache
def all_of(name):
    """Parameters of all videos of a set, in the order of their ids."""
    return [parameters(item.video_id) for item in videos(EmbeddedSet(*name.split("/")))]


def instant(video, moment):
    """A video of one frame: that one of this video."""
    stage = video.stage
    time = int(times(len(stage.grain_offsets))[moment])

    def held(sway):
        return replace(sway, phase=sway.phase + sway.speed * time)

    camera = tuple(held(sway) for sway in stage.camera)
    still = replace(stage, camera=camera, grain_offsets=stage.grain_offsets[moment : moment + 1])
    if isinstance(video, MotionVideo):
        belts = tuple(replace(belt, column=belt.column + belt.speed * time) for belt in video.belts)
        return replace(video, stage=still, belts=belts, sway=held(video.sway))
    return replace(video, stage=still, sways=tuple(held(sway) for sway in video.sways), wobble=held(video.wobble))


def frame(video, moment):
    """That frame [HEIGHT, WIDTH, 3]."""
    return instant(video, moment).render()[0]


def thumbnail(picture, cell=8):
    """Means over squares, as one row."""
    return picture.reshape(HEIGHT // cell, cell, WIDTH // cell, cell, 3).mean((1, 3)).ravel()


def linear_guesses(train_ND, labels_N, test_MD, *, penalty=0.1):
    """Ridge regression on the labels' indicators, standardised by the training rows."""
    mean, std = train_ND.mean(0), train_ND.std(0) + 1e-6
    x_ND, y_MD = (train_ND - mean) / std, (test_MD - mean) / std
    targets_NK = np.eye(labels_N.max() + 1)[labels_N]
    kernel_NN = x_ND @ x_ND.T / x_ND.shape[1]
    weights_NK = np.linalg.solve(kernel_NN + penalty * np.eye(len(x_ND)), targets_NK - targets_NK.mean(0))
    return (y_MD @ x_ND.T / x_ND.shape[1] @ weights_NK).argmax(1)


def nearest_guesses(train_ND, labels_N, test_MD):
    """The label of the nearest training row."""
    distance_MN = (test_MD**2).sum(1)[:, None] + (train_ND**2).sum(1)[None] - 2 * test_MD @ train_ND.T
    return labels_N[distance_MN.argmin(1)]
