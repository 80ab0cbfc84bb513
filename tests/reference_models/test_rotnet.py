"""Rotation prediction asks what the source asks."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.schema import ClipSpec
from reference_models.pretext.rotnet import LEVELS, Rotation

CLIP = ClipSpec(num_frames=4, resize=(20, 24), size=16)


class Pixels(nn.Module):
    """A trunk whose features are the clip itself."""

    feature_dim = 3 * 2 * 4 * 4

    def forward(self, clips):
        return clips.flatten(1)


class BrightSide(nn.Module):
    """An oracle for clips whose upper rows are bright: logits over counter-clockwise quarter turns."""

    def __init__(self, turns):
        super().__init__()
        self.turns = turns

    def forward(self, clips_BCTHW):
        top, left = clips_BCTHW[:, :, :, :4].mean((1, 2, 3, 4)), clips_BCTHW[..., :4].mean((1, 2, 3, 4))
        bottom, right = clips_BCTHW[:, :, :, -4:].mean((1, 2, 3, 4)), clips_BCTHW[..., -4:].mean((1, 2, 3, 4))
        sides = torch.stack([top, left, bottom, right], 1)  # where the upper edge is after 0, 1, 2, 3 turns
        return 50 * sides[:, list(self.turns)]


def test_the_defaults_are_the_sources_and_levels_are_the_papers():
    task = Rotation()
    assert (task.quarter_turns, task.hidden, task.clips_per_video) == ((0, 1, 2, 3), 64, 4)
    degrees_clockwise = {count: {-90 * turns % 360 for turns in LEVELS[count]} for count in LEVELS}
    assert degrees_clockwise == {2: {0, 90}, 3: {0, 90, 270}, 4: {0, 90, 180, 270}}
    assert Rotation(LEVELS[3]).chance == {"accuracy": 1 / 3}


def test_the_loss_is_that_of_a_slow_loop_over_rotated_frames():
    torch.manual_seed(0)
    task = Rotation(LEVELS[3], hidden=5)
    trunk = Pixels()
    head = task.build_head(trunk, CLIP).double()
    clips = np.random.default_rng(0).normal(size=(6, 1, 3, 2, 4, 4))
    found, numbers = task.loss(trunk, head.float(), {"clips": torch.from_numpy(clips).float()})

    rows, labels = [], []
    for label, turns in enumerate(task.quarter_turns):
        for clip in clips[:, 0]:
            turned = np.empty_like(clip)
            for colour in range(3):
                for frame in range(2):
                    turned[colour, frame] = np.rot90(clip[colour, frame], turns)
            rows.append(turned.ravel())
            labels.append(label)
    features = np.stack(rows)
    features = (features - features.mean(0)) / np.sqrt(features.var(0) + 1e-5)
    weights = [parameter.detach().numpy().astype(float) for parameter in head.parameters()]
    logits = np.maximum(features @ weights[0].T + weights[1], 0) @ weights[2].T + weights[3]
    losses = [math.log(np.exp(row - row[label]).sum()) for row, label in zip(logits, labels, strict=True)]
    assert found.item() == pytest.approx(np.mean(losses), abs=1e-5)
    assert numbers["accuracy"].item() == pytest.approx(np.mean(logits.argmax(1) == labels))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_an_oracle_that_sees_which_side_is_up_knows_every_label(count):
    task = Rotation(LEVELS[count])
    clips = torch.rand(3, 1, 3, 4, 16, 16) * 0.2
    clips[:, :, :, :, :4] += 1
    loss, numbers = task.loss(BrightSide(task.quarter_turns), nn.Identity(), {"clips": clips})
    assert numbers["accuracy"].item() == 1
    assert loss.item() < 1e-3


def test_a_head_that_knows_nothing_has_the_loss_of_chance():
    task = Rotation()
    head = task.build_head(Pixels(), CLIP)
    nn.init.zeros_(head[-1].weight)
    nn.init.zeros_(head[-1].bias)
    loss, numbers = task.loss(Pixels(), head, {"clips": torch.randn(5, 1, 3, 2, 4, 4)})
    assert loss.item() == pytest.approx(math.log(4))
    assert numbers["accuracy"].item() == pytest.approx(1 / 4)


def test_all_rotations_of_a_clip_are_in_the_batch_and_the_clip_is_drawn_once():
    seen = []

    class Watching(Pixels):
        def forward(self, clips):
            seen.append(clips)
            return super().forward(clips)

    task = Rotation()
    clips = torch.randn(2, 1, 3, 2, 4, 4)
    task.loss(Watching(), task.build_head(Pixels(), CLIP), {"clips": clips})
    assert seen[0].shape == (8, 3, 2, 4, 4)
    for turns in range(4):
        assert torch.equal(torch.rot90(seen[0][2 * turns : 2 * turns + 2], -turns, (3, 4)), clips[:, 0])
    rng = np.random.default_rng(0)
    assert task.choose_frames(50, CLIP, rng).shape == (1, 4)
    assert task.draws == (0,)
    assert task.span(CLIP) == 4


def test_an_upright_example_is_handed_on_as_it_is():
    places_NT = np.arange(4)[None]
    made = Rotation().make_example(places_NT, np.random.default_rng(0))
    assert set(made) == {"clips"}
    assert (made["clips"] == places_NT).all()
