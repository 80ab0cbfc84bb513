"""Temporal discrimination draws the moments it should, and its loss is the source's."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import nn

from bench.schema import ClipSpec
from reference_models.pretext.tdl import TemporalDiscrimination, blended
from tests.reference_models.linear_net import LinearNet, unit, weights

CLIP = ClipSpec(num_frames=4, stride=4, resize=(20, 24), size=16)


def forward(clips, trunk, projection):
    """A linear trunk and a linear projection, in float64."""
    features = clips.mean((3, 4)).reshape(len(clips), -1) @ trunk[0].T + trunk[1]
    return unit(features @ projection[0].T + projection[1])


def test_the_defaults_are_the_papers():
    task = TemporalDiscrimination()
    assert (task.queue, task.temperature, task.momentum, task.dim, task.mix) == (500, 0.07, 0.999, 128, 0.1)


def test_chance_is_one_key_of_those_that_are_known():
    assert TemporalDiscrimination(queue=4).chance == {"accuracy": 1 / 6, "moment_accuracy": 0.5}
    assert TemporalDiscrimination(queue=4, within_batch=True).chance == {
        "moment_accuracy": 0.5
    }  # as many more as the batch has


def test_anchor_and_positive_are_one_moment_and_the_negative_is_another():
    task, rng = TemporalDiscrimination(least_shift=5), np.random.default_rng(0)
    for _ in range(200):
        anchor, positive, negative = task.choose_frames(40, CLIP, rng)
        assert (anchor == positive).all()
        assert abs(negative[0] - anchor[0]) >= 5
        assert (np.diff([anchor, negative], axis=1) == 4).all()
        assert min(anchor[0], negative[0]) >= 0
        assert max(anchor[-1], negative[-1]) < 40


@pytest.mark.parametrize("least_shift", [0, 1, 4])
def test_every_pair_of_moments_far_enough_apart_is_drawn(least_shift):
    task, rng = TemporalDiscrimination(least_shift=least_shift), np.random.default_rng(1)
    num_frames = task.span(CLIP)
    starts = range(num_frames - CLIP.span + 1)
    possible = {a: [b for b in starts if abs(a - b) >= least_shift] for a in starts}
    assert all(possible.values()), "span leaves room for a negative wherever the anchor begins"
    expected = {(a, b): 1 / len(starts) / len(possible[a]) for a in starts for b in possible[a]}
    seen = Counter(tuple(task.choose_frames(num_frames, CLIP, rng)[[0, 2], 0].tolist()) for _ in range(6000))
    assert set(seen) == set(expected)
    if len(expected) > 1:
        found, right = zip(*((seen[pair], 6000 * share) for pair, share in expected.items()), strict=True)
        assert chisquare(found, right).pvalue > 1e-3


def test_a_frame_shorter_than_the_span_leaves_some_anchor_alone():
    task = TemporalDiscrimination(least_shift=4)
    starts = range(task.span(CLIP) - CLIP.span)
    assert any(all(abs(a - b) < 4 for b in starts) for a in starts)


def test_blending_is_the_sources_loop():
    rng = np.random.default_rng(2)
    clips, frames, share = rng.normal(size=(3, 2, 4, 2, 2)), [1, 3, 0], 0.07
    expected = clips.copy()
    for i in range(3):
        for j in range(4):
            expected[i, :, j] = (1 - share) * clips[i, :, j] + share * clips[i, :, frames[i]]
    found = blended(torch.from_numpy(clips), torch.tensor(frames), share)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_the_loss_is_the_sources():
    """Slow copy followed, then [q.k, q.queue, q.n] / 0.07 with answer 0, one entry after the other."""
    torch.manual_seed(0)
    task, trunk = TemporalDiscrimination(queue=7, dim=5, momentum=0.6, mix=0.0), LinearNet()
    head = task.build_head(trunk, CLIP)
    with torch.no_grad():
        for weight in (*trunk.parameters(), *head.projection.parameters()):
            weight.add_(torch.randn_like(weight) / 2)  # the copy is behind
    fast = weights(trunk.weigh), weights(head.projection)
    behind = weights(head.slow.trunk.weigh), weights(head.slow.projection)
    slow = [[0.6 * old + 0.4 * new for old, new in zip(*pair, strict=True)] for pair in zip(behind, fast, strict=True)]
    queue = head.queue.keys_KD.double().numpy().copy()
    clips = torch.randn(3, 3, 3, 4, 2, 2)
    loss, numbers = task.loss(trunk, head, {"clips": clips, "blended": torch.zeros(3, dtype=torch.int64)})

    anchor, positive, negative = (clips[:, row].double().numpy() for row in range(3))
    q, k, n = forward(anchor, *fast), forward(positive, *slow), forward(negative, *fast)
    losses, first, nearer = [], 0, 0
    for i in range(3):
        entries = [q[i] @ k[i], *(q[i] @ key for key in queue), q[i] @ n[i]]
        losses.append(-entries[0] / 0.07 + math.log(sum(math.exp(entry / 0.07) for entry in entries)))
        first += entries[0] == max(entries)
        nearer += entries[0] > entries[-1]
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-4)
    assert numbers["accuracy"].item() == pytest.approx(first / 3)
    assert numbers["moment_accuracy"].item() == pytest.approx(nearer / 3)
    np.testing.assert_allclose(head.queue.keys_KD[:3].numpy(), k, atol=1e-6)
    np.testing.assert_allclose(head.queue.keys_KD[3:].numpy(), queue[3:], atol=1e-7)


def test_the_negative_goes_through_the_trained_network():
    torch.manual_seed(1)
    task, trunk = TemporalDiscrimination(queue=7, dim=5), LinearNet()
    head = task.build_head(trunk, CLIP)
    clips = torch.randn(4, 3, 3, 4, 2, 2, requires_grad=True)
    loss, _ = task.loss(trunk, head, {"clips": clips, "blended": torch.zeros(4, dtype=torch.int64)})
    loss.backward()
    moved = clips.grad.abs().amax((0, 2, 3, 4, 5))
    assert moved[0] > 0
    assert moved[1] == 0
    assert moved[2] > 0


def test_an_encoder_that_gives_everyone_the_same_has_the_loss_of_chance():
    task, trunk = TemporalDiscrimination(queue=7, dim=5), LinearNet()
    head = task.build_head(trunk, CLIP)
    nn.init.zeros_(head.projection.weight)
    nn.init.zeros_(head.slow.projection.weight)
    with torch.no_grad():
        head.slow.projection.bias.copy_(head.projection.bias)
        head.queue.keys_KD.copy_(nn.functional.normalize(head.projection.bias, dim=0).expand(7, 5))
    batch = {"clips": torch.randn(4, 3, 3, 4, 2, 2), "blended": torch.zeros(4, dtype=torch.int64)}
    loss, numbers = task.loss(trunk, head, batch)
    assert loss.item() == pytest.approx(math.log(9), abs=1e-4)
    assert numbers["moment_accuracy"].item() == pytest.approx(0.5, abs=0.5)


def test_the_blended_frame_is_one_of_the_clips_own():
    task, rng = TemporalDiscrimination(), np.random.default_rng(3)
    places_NT = np.arange(12).reshape(3, 4)
    assert {int(task.make_example(places_NT, rng)["blended"]) for _ in range(100)} == {0, 1, 2, 3}
