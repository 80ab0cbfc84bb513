"""Clip order prediction asks what the paper asks."""

import math
from collections import Counter
from itertools import permutations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from bench.schema import ClipSpec
from reference_models.pretext.vcop import ClipOrder, PairwiseHead

CLIP = ClipSpec(num_frames=16, stride=1, resize=(64, 85), size=56)


class PlaceInTime(nn.Module):
    """A trunk whose feature is the number painted on the clip."""

    feature_dim = 2

    def forward(self, clips):
        return clips.mean((1, 2, 3, 4))[:, None] * torch.tensor([1.0, -1.0])


def test_the_defaults_are_the_papers():
    task = ClipOrder()
    assert (task.num_clips, task.gap, task.hidden, task.dropout) == (3, 8, 512, 0.5)


@pytest.mark.parametrize(("num_clips", "frames"), [(3, 64), (4, 88), (5, 112)])
def test_a_tuple_needs_as_many_frames_as_in_the_source(num_clips, frames):
    assert ClipOrder(num_clips=num_clips).span(CLIP) == frames


def test_clips_follow_each_other_with_the_gap_between():
    numbers = ClipOrder(gap=4).choose_frames(100, CLIP, np.random.default_rng(0))
    assert numbers.shape == (3, 16)
    assert (np.diff(numbers, axis=1) == 1).all()
    assert (numbers[1:, 0] - numbers[:-1, -1] == 5).all()


def test_every_start_that_fits_is_drawn():
    rng = np.random.default_rng(0)
    starts = {int(ClipOrder(gap=4).choose_frames(59, CLIP, rng)[0, 0]) for _ in range(200)}
    assert starts == {0, 1, 2, 3}


def test_the_target_is_the_index_of_the_order_in_lexicographic_order():
    task, rng = ClipOrder(), np.random.default_rng(0)
    for _ in range(20):
        example = task.make_example(np.arange(3)[:, None], rng)
        shown = tuple(example["clips"].ravel().tolist())
        assert shown == list(permutations(range(3)))[int(example["target"])]


def test_all_orders_are_equally_likely():
    task, rng = ClipOrder(), np.random.default_rng(1)
    counts = Counter(int(task.make_example(np.arange(3)[:, None], rng)["target"]) for _ in range(6000))
    assert sorted(counts) == list(range(6))
    assert max(abs(count - 1000) for count in counts.values()) < 120  # four standard deviations


def test_the_same_generator_asks_the_same_question():
    task = ClipOrder()
    first, second = (
        (task.choose_frames(90, CLIP, rng), task.make_example(np.arange(3)[:, None], rng)["target"])
        for rng in (np.random.default_rng(7), np.random.default_rng(7))
    )
    assert (first[0] == second[0]).all()
    assert first[1] == second[1]


@pytest.mark.parametrize(("num_clips", "pairs"), [(3, 3), (4, 6), (5, 10)])
def test_the_head_compares_every_pair_with_one_layer(num_clips, pairs):
    head = ClipOrder(num_clips=num_clips).build_head(SimpleNamespace(feature_dim=480), CLIP)
    assert isinstance(head, PairwiseHead)
    assert head.compare[0].weight.shape == (512, 2 * 480)
    assert head.decide[1].weight.shape == (math.factorial(num_clips), 512 * pairs)
    assert head(torch.randn(2, num_clips, 480)).shape == (2, math.factorial(num_clips))


def test_a_head_that_knows_nothing_has_the_loss_of_chance():
    task = ClipOrder()
    head = task.build_head(PlaceInTime(), CLIP)
    nn.init.zeros_(head.decide[1].weight)
    nn.init.zeros_(head.decide[1].bias)
    batch = {"clips": torch.randn(6, 3, 3, 1, 1, 1), "target": torch.arange(6)}
    loss, numbers = task.loss(PlaceInTime(), head, batch)
    assert loss.item() == pytest.approx(math.log(6))
    assert numbers["accuracy"].item() == pytest.approx(1 / 6)


def test_the_order_is_learned_where_the_clips_tell_it():
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    task = ClipOrder(hidden=32, dropout=0.0)
    head = task.build_head(PlaceInTime(), CLIP)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(150):
        drawn = [task.make_example(np.arange(3)[:, None], rng) for _ in range(32)]
        places_BN1 = torch.from_numpy(np.stack([example["clips"] for example in drawn]))
        clips = places_BN1[..., None, None, None].float().expand(-1, 3, 3, 1, 1, 1)
        batch = {"clips": clips, "target": torch.tensor([int(example["target"]) for example in drawn])}
        loss, numbers = task.loss(PlaceInTime(), head, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert numbers["accuracy"].item() > 0.99


def test_an_oracle_that_sees_the_frame_numbers_knows_the_target():
    task, rng = ClipOrder(), np.random.default_rng(3)
    for _ in range(60):
        numbers_NT = task.choose_frames(144, CLIP, rng)
        example = task.make_example(numbers_NT, rng)
        place_N = example["clips"][:, 0].argsort().argsort()
        assert task.orders.index(tuple(place_N.tolist())) == int(example["target"])


def test_nobody_solves_it_on_noise():
    """Clips that are all alike in distribution: what is learned on one batch is chance on the next."""
    torch.manual_seed(0)
    rng = np.random.default_rng(4)
    task = ClipOrder(hidden=32, dropout=0.0)
    trunk = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4, 16), nn.ReLU())
    head = task.build_head(SimpleNamespace(feature_dim=16), CLIP)
    optimiser = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=1e-3)

    def batch(size):
        pixels = rng.normal(size=(size, 3, 2, 2, 3)).astype(np.float32)
        drawn = [task.make_example(np.arange(3)[:, None], rng) for _ in range(size)]
        shown = [noise[one["clips"]] for noise, one in zip(pixels, drawn, strict=True)]
        clips_BNCTHW = torch.from_numpy(np.stack(shown)).movedim(-1, 2)
        return {"clips": clips_BNCTHW, "target": torch.tensor([int(one["target"]) for one in drawn])}

    for _ in range(60):
        loss, _ = task.loss(trunk, head, batch(32))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        _, numbers = task.loss(trunk.eval(), head.eval(), batch(1200))
    assert abs(numbers["accuracy"].item() - 1 / 6) < 3.5 * math.sqrt(5 / 36 / 1200)
