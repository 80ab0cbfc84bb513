"""CVRL samples intervals as its equation says, and its loss is the paper's."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn
from torch.nn import functional

from bench.schema import ClipSpec
from reference_models.pretext.cvrl import InstanceContrast, interval_at, nt_xent

CLIP = ClipSpec(num_frames=16, stride=2, resize=(64, 85), size=56)


class Painted(nn.Module):
    """A trunk whose features are the colours painted on the clip."""

    feature_dim = 3

    def forward(self, clips):
        return clips.mean((2, 3, 4))


def bisected(share, places):
    """The source's search for the interval: whole numbers between which the distribution passes the share."""
    low, high = 0.0, float(places)
    middle = places // 2
    while abs(high - low) > 1:
        above = 2 * middle / places - middle**2 / places**2 > share
        low, high = (low, middle) if above else (middle, high)
        middle = (low + high) // 2
    return int(middle)


def slow_loss(first, second, temperature):
    """The source's two cross-entropies, one pair after the other, in float64."""
    first, second = np.float64(first), np.float64(second)
    total = 0.0
    for mine, other in ((first, second), (second, first)):
        losses = []
        for i in range(len(mine)):
            right = math.exp(mine[i] @ other[i] / temperature)
            across = sum(math.exp(mine[i] @ other[j] / temperature) for j in range(len(mine)))
            within = sum(math.exp(mine[i] @ mine[j] / temperature) for j in range(len(mine)) if j != i)
            losses.append(-math.log(right / (across + within)))
        total += sum(losses) / len(losses)
    return total


def test_the_defaults_are_the_papers():
    task = InstanceContrast()
    assert (task.hidden, task.hidden_layers, task.dim, task.temperature) == (2048, 3, 128, 0.1)


@pytest.mark.parametrize("places", [1, 2, 7, 40, 270])
def test_an_interval_is_the_one_that_the_sources_search_finds(places):
    for share in np.random.default_rng(0).random(300):
        assert interval_at(share, places) == bisected(share, places)


def test_intervals_follow_the_density():
    """P(k) is the density 2 (1 - k / M) / M between k and k + 1."""
    places, rng = 12, np.random.default_rng(1)
    drawn = Counter(interval_at(share, places) for share in rng.random(20_000))
    expected = [2 / places * (1 - (k + 0.5) / places) * 20_000 for k in range(places)]
    assert sum(expected) == pytest.approx(20_000)
    assert chisquare([drawn[k] for k in range(places)], expected).pvalue > 1e-3


def test_every_pair_of_starts_is_drawn_and_in_either_order():
    task, rng, num_frames = InstanceContrast(), np.random.default_rng(2), CLIP.span + 3
    seen = Counter(tuple(task.choose_frames(num_frames, CLIP, rng)[:, 0].tolist()) for _ in range(8000))
    assert set(seen) == {(a, b) for a in range(4) for b in range(4)}
    per_interval = [7 / 16, 5 / 16, 3 / 16, 1 / 16]
    expected = {(a, b): per_interval[abs(a - b)] / (4 - abs(a - b)) / (1 if a == b else 2) for a, b in seen}
    found, right = zip(*((seen[pair], 8000 * expected[pair]) for pair in expected), strict=True)
    assert chisquare(found, right).pvalue > 1e-3


def test_a_view_is_a_clip_of_the_recipes_stride():
    rows = InstanceContrast().choose_frames(100, CLIP, np.random.default_rng(3))
    assert rows.shape == (2, 16)
    assert (np.diff(rows, axis=1) == 2).all()


@pytest.mark.parametrize(("videos", "temperature"), [(2, 0.1), (5, 0.1), (9, 0.5)])
def test_the_loss_is_the_papers(videos, temperature):
    torch.manual_seed(0)
    views = functional.normalize(torch.randn(2 * videos, 6), dim=1)
    loss, _ = nt_xent(views, temperature)
    assert loss.item() == pytest.approx(
        slow_loss(views[:videos].numpy(), views[videos:].numpy(), temperature), abs=1e-5
    )


def test_views_that_are_all_alike_have_the_loss_of_chance():
    loss, numbers = nt_xent(functional.normalize(torch.ones(8, 3), dim=1), 0.1)
    assert loss.item() == pytest.approx(2 * math.log(7))
    assert numbers["ahead"].item() == pytest.approx(0.5)


def test_numbers_at_a_hand_made_point():
    """Two videos on a plane: the first finds its other view, the second is misled by the first's."""
    angles = torch.tensor([0.0, 50.0, 10.0, 150.0]).deg2rad()
    _, numbers = nt_xent(torch.stack([angles.cos(), angles.sin()], dim=1), 0.1)
    assert numbers["accuracy"].item() == pytest.approx(0.75)
    # Farther than the other view, of two: for 0 both, for 50 none, for 10 both, for 150 (other view at 100) both.
    assert numbers["ahead"].item() == pytest.approx((2 + 0 + 2 + 2) / 8)


def test_whoever_sees_the_video_in_both_views_solves_it():
    task, head = InstanceContrast(temperature=0.01), nn.Identity()
    colours_BC = torch.eye(3)
    clips = colours_BC[:, None, :, None, None, None].expand(3, 2, 3, 4, 2, 2)
    loss, numbers = task.loss(Painted(), head, {"clips": clips})
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert numbers["accuracy"].item() == numbers["ahead"].item() == 1


def test_views_of_noise_are_found_at_chance():
    """Nothing is shared by two views: what the head learns on some batches is chance on others."""
    torch.manual_seed(4)
    task = InstanceContrast(hidden=16, hidden_layers=1, dim=8)
    head = task.build_head(Painted(), CLIP)
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(40):
        loss, _ = task.loss(Painted(), head, {"clips": torch.randn(16, 2, 3, 2, 2, 2)})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        _, numbers = task.loss(Painted(), head.eval(), {"clips": torch.randn(400, 2, 3, 2, 2, 2)})
    assert abs(numbers["ahead"].item() - 0.5) < 0.05


def test_the_head_is_as_deep_and_wide_as_told():
    head = InstanceContrast().build_head(Painted(), CLIP)
    linear = [(layer.in_features, layer.out_features) for layer in head if isinstance(layer, nn.Linear)]
    assert linear == [(3, 2048), (2048, 2048), (2048, 2048), (2048, 128)]
    assert sum(isinstance(layer, nn.BatchNorm1d) for layer in head) == 3


def test_a_batch_of_one_video_is_refused():
    with pytest.raises(ValueError, match="nothing to be told from"):
        InstanceContrast().loss(Painted(), nn.Identity(), {"clips": torch.randn(1, 2, 3, 4, 2, 2)})
