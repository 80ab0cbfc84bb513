"""RSPNet pairs speeds as it should, its loss is the paper's, and looks alone do not solve it."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from bench.schema import ClipSpec
from reference_models.pretext.rspnet import RelativeSpeed
from tests.reference_models.linear_net import LinearNet, unit, weights

CLIP = ClipSpec(num_frames=16, stride=1, resize=(64, 85), size=56)
SHORT = ClipSpec(num_frames=4, stride=1, resize=(20, 24), size=16)


class Colours(nn.Module):
    """A trunk whose features are the clip's mean colours."""

    feature_dim = 3

    def forward(self, clips):
        return clips.mean((2, 3, 4))


class MiddleFrame(nn.Module):
    """A trunk that sees one frame."""

    feature_dim = 16

    def __init__(self):
        super().__init__()
        self.see = nn.Sequential(nn.Flatten(), nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 16))

    def forward(self, clips):
        return self.see(clips[:, :, clips.shape[2] // 2])


class Pace(nn.Module):
    """A trunk that sees how far the picture moves from frame to frame, as an angle."""

    feature_dim = 2

    def forward(self, clips):
        step = (clips[:, 0, 1:] - clips[:, 0, :-1]).mean((1, 2, 3))
        return torch.stack([step.cos(), step.sin()], dim=1)


def test_the_defaults_are_the_papers():
    task = RelativeSpeed()
    assert (task.queue, task.momentum, task.temperature, task.margin, task.dim) == (16384, 0.999, 0.07, 2.0, 128)
    assert task.span(CLIP) == 32


def test_chance_is_one_key_of_those_that_are_known():
    assert RelativeSpeed(queue=4).chance == {"accuracy": 1 / 5, "speed_accuracy": 0.5}
    assert RelativeSpeed(queue=4, within_batch=True).chance == {"speed_accuracy": 0.5}  # as many more as the batch has


def test_query_and_key_share_a_speed_and_the_key_is_seen_at_both():
    task, rng, fast = RelativeSpeed(), np.random.default_rng(0), []
    for _ in range(400):
        rows = task.choose_frames(50, CLIP, rng)
        query, key, other = (int(row[1] - row[0]) for row in rows)
        assert all((np.diff(row) == row[1] - row[0]).all() for row in rows)
        assert query == key
        assert {key, other} == {1, 2}
        assert rows[1, 0] == rows[2, 0]
        assert rows.min() >= 0
        assert rows.max() < 50
        fast.append(query == 2)
    assert abs(np.mean(fast) - 0.5) < 3.5 * 0.5 / math.sqrt(400)


def test_centred_speeds_share_the_middle_of_their_window():
    task, rng = RelativeSpeed(centred=True), np.random.default_rng(4)
    for _ in range(100):
        rows = task.choose_frames(40, CLIP, rng)
        assert abs(rows[1].mean() - rows[2].mean()) <= 0.5
        assert rows.min() >= 0
        assert rows.max() < 40
        assert sorted(np.diff(rows[1:], axis=1)[:, 0]) == [1, 2]


@pytest.mark.parametrize(("centred", "expected"), [(False, 0.6006), (True, 0.5)])
def test_place_in_time_tells_speed_in_short_videos_unless_speeds_are_centred(centred, expected):
    """Whoever dates the middle of a clip and takes the key of the nearer date, in videos of two windows."""
    task, rng, right = RelativeSpeed(centred=centred), np.random.default_rng(5), []
    for _ in range(4000):
        query, key, other = (int(2 * row.mean()) // 2 for row in task.choose_frames(64, CLIP, rng))
        near, far = abs(query - key), abs(query - other)
        right.append(0.5 if near == far else float(near < far))
    assert abs(np.mean(right) - expected) < 3.5 * 0.5 / math.sqrt(4000)


def test_windows_are_drawn_evenly_and_apart():
    task, rng = RelativeSpeed(), np.random.default_rng(1)
    starts = np.stack([task.choose_frames(35, CLIP, rng)[:2, 0] for _ in range(3200)])
    counts = np.zeros((4, 4))
    np.add.at(counts, (starts[:, 0], starts[:, 1]), 1)
    assert np.abs(counts - 200).max() < 4 * math.sqrt(200)


def test_the_keys_are_augmented_alike_and_the_query_is_not():
    query, key, other = RelativeSpeed().draws
    assert key == other != query


def test_a_clip_of_one_frame_is_refused():
    refusal = RelativeSpeed().refusal(Colours(), ClipSpec(num_frames=1, resize=(64, 85), size=56))
    assert refusal is not None
    assert "at least 2 frames" in refusal
    assert RelativeSpeed().refusal(Colours(), CLIP) is None


def test_the_loss_is_the_papers():
    """Slow copy followed; A-VID for both keys; margin ranking; one entry after the other, in float64."""
    torch.manual_seed(0)
    task, trunk = RelativeSpeed(queue=7, dim=5, momentum=0.6), LinearNet()
    head = task.build_head(trunk, SHORT)
    with torch.no_grad():
        for weight in (*trunk.parameters(), *head.projection.parameters()):
            weight.add_(torch.randn_like(weight) / 2)  # the copy is behind
    fast = weights(trunk.weigh), weights(head.projection)
    behind = weights(head.slow.trunk.weigh), weights(head.slow.projection)
    slow = [[0.6 * old + 0.4 * new for old, new in zip(*pair, strict=True)] for pair in zip(behind, fast, strict=True)]
    queue = head.queue.keys_KD.double().numpy().copy()
    clips = torch.randn(3, 3, 3, 4, 2, 2)
    loss, numbers = task.loss(trunk, head, {"clips": clips})

    def both(row, trunk, projection):
        features = clips[:, row].double().numpy().mean((3, 4)).reshape(3, -1) @ trunk[0].T + trunk[1]
        embedded = features @ projection[0].T + projection[1]
        return unit(embedded[:, :5]), unit(embedded[:, 5:])

    (q_a, q_m), (k_a, k_m), (n_a, n_m) = both(0, *fast), both(1, *slow), both(2, *slow)
    appearance, motion, first, nearer = 0.0, 0.0, 0, 0
    for i in range(3):
        for own in (k_a, n_a):
            entries = [q_a[i] @ own[i], *(q_a[i] @ key for key in queue)]
            appearance += (-entries[0] / 0.07 + math.log(sum(math.exp(entry / 0.07) for entry in entries))) / 3
            first += (own is k_a) and entries[0] == max(entries)
        gap = (q_m[i] @ k_m[i] - q_m[i] @ n_m[i]) / 0.07
        motion += max(0.0, 2.0 - gap) / 3
        nearer += gap > 0
    assert loss.item() == pytest.approx(appearance + motion, abs=1e-4)
    assert numbers["accuracy"].item() == pytest.approx(first / 3)
    assert numbers["speed_accuracy"].item() == pytest.approx(nearer / 3)
    np.testing.assert_allclose(head.queue.keys_KD[:3].numpy(), n_a, atol=1e-6)
    np.testing.assert_allclose(head.queue.keys_KD[3:].numpy(), queue[3:], atol=1e-7)


@pytest.mark.parametrize(
    ("near", "far", "expected"),
    [(1.0, 1.0, 2.0), (1.0, 0.86, 0.0), (1.0, 0.93, 1.0), (0.86, 1.0, 4.0), (1.0, 0.0, 0.0), (0.5, 0.5, 2.0)],
)
def test_the_margin_at_hand_made_points(near, far, expected):
    """Cosines of the query with both keys; two on logits are 0.14 on cosines."""
    task = RelativeSpeed(queue=4, dim=3, momentum=0.0)
    head = task.build_head(Colours(), SHORT)
    with torch.no_grad():
        head.projection.weight.copy_(torch.cat([torch.zeros(3, 3), torch.eye(3)]))  # appearance sees nothing
        head.projection.bias.zero_()
    rows = torch.tensor([[1.0, 0, 0], [near, math.sqrt(1 - near**2), 0], [far, 0, math.sqrt(1 - far**2)]])
    clips = rows[None, :, :, None, None, None].expand(2, 3, 3, 4, 1, 1)
    loss, _ = task.loss(Colours(), head, {"clips": clips})
    assert loss.item() - 2 * math.log(5) == pytest.approx(expected, abs=1e-4)


def trained(task, trunk, batch, steps):
    head = task.build_head(trunk, SHORT)
    weights = [weight for weight in (*trunk.parameters(), *head.parameters()) if weight.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=3e-3)
    for _ in range(steps):
        loss, _ = task.loss(trunk, head, batch())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return head


def noise(task, rng, num_videos, num_frames=300):
    """Clips of videos whose frames have nothing to do with each other."""
    made = []
    for _ in range(num_videos):
        video_THWC = rng.normal(size=(num_frames, 2, 2, 3)).astype(np.float32)
        made.append(video_THWC[task.choose_frames(num_frames, SHORT, rng)])
    return {"clips": torch.from_numpy(np.stack(made)).permute(0, 1, 5, 2, 3, 4)}


def test_whoever_sees_one_frame_does_not_tell_speeds_on_noise():
    torch.manual_seed(2)
    rng, task = np.random.default_rng(2), RelativeSpeed(queue=1200, dim=8, momentum=0.9)
    trunk = MiddleFrame()
    head = trained(task, trunk, lambda: noise(task, rng, 32), steps=50)
    with torch.inference_mode():
        _, numbers = task.loss(trunk, head, noise(task, rng, 1200))
    assert abs(numbers["speed_accuracy"].item() - 0.5) < 3.5 * 0.5 / math.sqrt(1200)


def test_whoever_sees_the_pace_tells_speeds():
    """A picture that brightens by 0.3 a frame: the angle of a step is the speed."""
    torch.manual_seed(3)
    rng, task = np.random.default_rng(3), RelativeSpeed(queue=64, dim=8, momentum=0.9)

    def batch():
        frames = np.stack([task.choose_frames(60, SHORT, rng) for _ in range(16)])
        return {"clips": torch.from_numpy(0.3 * frames).float()[:, :, None, :, None, None].expand(-1, -1, 3, -1, 2, 2)}

    trunk = Pace()
    head = trained(task, trunk, batch, steps=60)
    with torch.inference_mode():
        _, numbers = task.loss(trunk, head, batch())
    assert numbers["speed_accuracy"].item() == 1
