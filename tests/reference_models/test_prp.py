"""Playback rate perception asks what the paper asks."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from bench.schema import ClipSpec
from reference_models.backbones import build
from reference_models.pretext.prp import LOOKS, PlaybackRate, TwoBranches

CLIP = ClipSpec(num_frames=16, resize=(40, 40), size=32)


class TinyMap(nn.Module):
    """A trunk that halves frames and quarters rows and columns."""

    feature_dim = 4

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, 4, 3, stride=(2, 4, 4), padding=1)

    def forward_features(self, clips):
        return self.stem(clips)


def test_the_defaults_are_the_papers():
    task = PlaybackRate()
    assert (task.rates, task.classification, task.width, task.narrowest) == ((1, 2, 4, 8), 0.1, 512, 64)
    assert [PlaybackRate(rates).span(CLIP) for rates in ((1, 2), (1, 2, 4), (1, 2, 4, 8))] == [32, 64, 128]


@pytest.mark.parametrize("rate", [1, 2, 4, 8])
def test_frames_are_those_of_a_brute_force_construction(rate):
    task = PlaybackRate()
    places = task.places(rate, 16)
    window = list(range(16 * rate))
    shown = [window[n] for n in range(0, 16 * rate, rate)]
    assert places[:32:2].tolist() == shown
    if rate > 1:
        assert places[:32].tolist() == [window[n] for n in range(0, 16 * rate, rate // 2)]
    looks = [16 * segment + frame for segment in range(rate) for frame in (0, 5, 10, 15)]
    assert places[32 : 32 + LOOKS * rate].tolist() == looks
    assert len(places) == 32 + LOOKS * 8


def test_an_oracle_that_sees_the_frame_numbers_knows_the_rate():
    task, seen = PlaybackRate(), Counter()
    for seed in range(400):
        rng = np.random.default_rng(seed)
        frames_NR = task.choose_frames(144, CLIP, rng)
        assert frames_NR.shape == (1, 128)
        assert 0 <= frames_NR.min() <= frames_NR.max() < 144
        example = task.make_example(frames_NR, rng)
        shown = example["clips"][0, :32:2]
        assert set(np.diff(shown)) == {task.rates[int(example["target"])]}
        seen[int(example["target"])] += 1
    assert sorted(seen) == [0, 1, 2, 3]
    assert max(abs(count - 100) for count in seen.values()) < 35  # four standard deviations


def test_every_rate_begins_at_the_same_places():
    """The stretch is drawn before the rate, and every clip begins where its stretch does."""
    task = PlaybackRate()
    starts = {int(task.choose_frames(144, CLIP, np.random.default_rng(seed))[0, 0]) for seed in range(200)}
    assert starts == set(range(17))
    assert {int(task.places(rate, 16)[0]) for rate in task.rates} == {0}


def slow_weights(looks, rate, num_drawn):
    """The motion attention mask of one video by loops, [C, S, H, W] from [C, 4 x rate, H, W]."""
    channels, _, height, width = looks.shape
    kernel, stride = height // 4, height // 16
    steps = (height - kernel) // stride + 1
    found = np.zeros((channels, num_drawn, height, width))
    for segment in range(rate):
        frames = looks[:, 4 * segment : 4 * segment + 4]
        for colour in range(channels):
            pooled = np.zeros((steps, steps))
            for row in range(steps):
                for column in range(steps):
                    area = frames[
                        colour, :, row * stride : row * stride + kernel, column * stride : column * stride + kernel
                    ]
                    pooled[row, column] = np.mean([(area[n + 1] - area[n]) ** 2 for n in range(3)])
            pooled = 0.8 + 1.2 * (pooled - pooled.min()) / (pooled.max() - pooled.min())
            centres = np.clip((np.arange(height) + 0.5) * steps / height - 0.5, 0, None)
            low = np.minimum(centres.astype(int), steps - 1)
            high, share = np.minimum(low + 1, steps - 1), centres - low
            rows = (1 - share)[:, None] * pooled[low] + share[:, None] * pooled[high]
            large = (1 - share) * rows[:, low] + share * rows[:, high]
            each = num_drawn // rate
            found[colour, segment * each : (segment + 1) * each] = large
    if rate == 1:
        found[:, 1::2] = 0
    return found


def slow_means(frames, times):
    """Of [C, S, H, W], every square of so many rows and columns by its mean."""
    channels, number, height, width = frames.shape
    return frames.reshape(channels, number, height // times, times, width // times, times).mean((3, 5))


@pytest.mark.parametrize("shrink", [1, 4])
def test_the_loss_is_that_of_a_slow_loop_over_the_papers_formula(shrink):
    torch.manual_seed(0)
    task, trunk = PlaybackRate((1, 2, 4), width=8, narrowest=4, shrink=shrink), TinyMap()
    head = task.build_head(trunk, CLIP)
    target = torch.tensor([2, 0, 1, 0])
    clips = torch.rand(4, 1, 3, 32 + LOOKS * 4, 32, 32)
    found, numbers = task.loss(trunk, head, {"clips": clips, "target": target})

    logits, drawn = (part.detach().numpy().astype(float) for part in head(trunk.stem(clips[:, 0, :, :32:2])))
    errors, classified = [], []
    for video, label in enumerate(target.tolist()):
        row, rate = clips[video, 0].numpy().astype(float), task.rates[label]
        weights = slow_means(slow_weights(row[:, 32:], rate, 32), shrink)
        errors.append(np.mean(weights * (drawn[video] - slow_means(row[:, :32], shrink)) ** 2))
        classified.append(math.log(np.exp(logits[video] - logits[video, label]).sum()))
    assert numbers["reconstruction"].item() == pytest.approx(np.mean(errors), rel=1e-4)
    assert found.item() == pytest.approx(np.mean(errors) + 0.1 * np.mean(classified), rel=1e-4)
    assert numbers["accuracy"].item() == np.mean(logits.argmax(1) == target.numpy())


def test_what_moves_weighs_most_and_what_stands_still_least():
    task = PlaybackRate((2,))
    looks = torch.zeros(2, 3, 8, 32, 32)
    looks[0, :, 0:8:2, :8, :8] = 1.0  # a corner that blinks, in the first video only
    weights = task.weights(looks, torch.zeros(2, dtype=torch.long), 32)
    assert weights[0, :, :, 0, 0] == pytest.approx(2.0)
    assert weights[0, :, :, -4:, -4:].max() == pytest.approx(0.8)
    assert weights[1] == pytest.approx(0.8)


def test_frames_that_the_video_does_not_have_weigh_nothing():
    task = PlaybackRate((1, 2))
    weights = task.weights(torch.rand(2, 3, 8, 32, 32), torch.tensor([0, 1]), 32)
    assert weights[0, :, 1::2].max() == 0
    assert weights[0, :, ::2].min() >= 0.8 - 1e-6
    assert weights[1].min() >= 0.8 - 1e-6
    assert weights.max() <= 2 + 1e-6


def test_the_decoder_is_the_sources_on_its_map_and_reaches_the_clip_from_others():
    head = TwoBranches((512, 2, 7, 7), (32, 112, 112), 4, 512, 64)
    turned = [part for part in head.up if isinstance(part, nn.ConvTranspose3d)]
    assert [part.in_channels for part in turned] == [512, 256, 128, 64]
    assert [part[0].out_channels for part in head.up if isinstance(part, nn.Sequential)] == [256, 128, 64, 3]
    assert {part.stride for part in turned} == {(2, 2, 2)}
    for shape, size in (((6, 1, 2, 2), 56), ((6, 8, 4, 4), 48), ((6, 16, 7, 7), 56), ((6, 1, 4, 4), 64)):
        drawn = (32, size, size)
        logits, frames = TwoBranches(shape, drawn, 3, 8, 4)(torch.rand(2, *shape))
        assert (logits.shape, frames.shape) == ((2, 3), (2, 3, *drawn))
        assert frames.min() >= 0


def test_backbones_of_tokens_and_odd_clips_are_refused_in_a_sentence():
    task = PlaybackRate()
    tokens = TinyMap()
    tokens.forward_features = lambda clips: clips.flatten(2).transpose(1, 2)
    assert "gives tokens" in task.refusal(tokens, CLIP)
    assert "do not divide" in task.refusal(TinyMap(), CLIP.model_copy(update={"num_frames": 10}))
    assert "cannot be drawn 5 times smaller" in PlaybackRate(shrink=5).refusal(TinyMap(), CLIP)
    assert task.refusal(TinyMap(), CLIP) is None
    with pytest.raises(ValueError, match="1 or even"):
        PlaybackRate((1, 3))


def test_asking_for_the_maps_shape_leaves_the_trunk_as_it_was():
    trunk = build("shufflenet_v1_x0_25")
    before = {name: tensor.clone() for name, tensor in trunk.state_dict().items()}
    PlaybackRate().build_head(trunk, ClipSpec(size=56))
    assert all(torch.equal(tensor, before[name]) for name, tensor in trunk.state_dict().items())
    assert next(trunk.parameters()).device.type == "cpu"


def accuracy_on_noise(see, seed):
    """Train a small encoder on noise videos, then ask it on fresh ones: its accuracy on 800."""
    torch.manual_seed(seed)
    rng, task = np.random.default_rng(seed), PlaybackRate((1, 2, 4), width=8, narrowest=4)

    class Sees(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv3d(3, 8, 1), nn.ReLU(), nn.Conv3d(8, 8, 1))

        def forward_features(self, clips):
            return self.layers(see(clips))

    small = CLIP.model_copy(update={"size": 16})
    trunk, whole = Sees(), lambda: {"clips": [], "target": []}
    head = task.build_head(trunk, small)
    head.drawn, head.up = (2, 1, 1), nn.Sequential(nn.AdaptiveAvgPool3d((2, 1, 1)), nn.Conv3d(8, 3, 1))
    optimiser = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=3e-3)

    def batch(size):
        found = whole()
        for _ in range(size):
            video = np.cumsum(rng.normal(size=(80, 2, 2, 3)), axis=0)  # each frame is near the one before
            video += rng.normal(size=3) * 20
            example = task.make_example(task.choose_frames(80, small, rng), rng)
            found["clips"].append(video[example["clips"]])
            found["target"].append(int(example["target"]))
        clips_BNRHWC = torch.from_numpy(np.stack(found["clips"])).float()
        return {"clips": clips_BNRHWC.movedim(-1, 2), "target": torch.tensor(found["target"])}

    def loss_of(one):
        clips_BCTHW = one["clips"][:, 0, :, :32:2]
        logits, _ = head(trunk.forward_features(clips_BCTHW))
        return nn.functional.cross_entropy(logits, one["target"]), logits

    for _ in range(80):
        loss, _ = loss_of(batch(32))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.inference_mode():
        asked = batch(800)
        trunk.eval(), head.eval()
        return (loss_of(asked)[1].argmax(1) == asked["target"]).float().mean().item()


def test_who_sees_one_frame_stays_at_chance_and_who_sees_two_does_not():
    """Videos in which nothing but the distance between frames tells the rate."""
    spread = 3.5 * math.sqrt(2 / 9 / 800)
    assert abs(accuracy_on_noise(lambda clips: clips[:, :, :1], 0) - 1 / 3) < spread
    assert accuracy_on_noise(lambda clips: (clips[:, :, 1:2] - clips[:, :, :1]).abs(), 0) > 1 / 3 + 2 * spread
