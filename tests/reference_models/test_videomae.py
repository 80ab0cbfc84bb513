"""VideoMAE hides what the paper hides, shows nothing of it, and asks for what the paper asks for."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from bench.encoder import normalise
from bench.schema import ClipSpec, Normalisation
from reference_models.backbones import build
from reference_models.backbones.videomae import VideoMAE, axis_by_axis, counted_through
from reference_models.pretext.tubes import draw_mask, hidden_tubes, to_draw, tubelets
from reference_models.pretext.videomae import TubeMasking
from reference_models.pretext.videomae_map import TubePainting, painted_over

CLIP = ClipSpec(num_frames=8, resize=(40, 40), size=32)
TUBELET = (2, 8, 8)
GRID = (4, 4, 4)


def tiny():
    """A transformer of the family, of 64 channels."""
    torch.manual_seed(0)
    return VideoMAE(width=64, heads=2, depth=2, tubelet=TUBELET)


class TinyMap(nn.Module):
    """A trunk that halves frames and quarters rows and columns."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, 6, 3, stride=(2, 4, 4), padding=1)

    def forward_features(self, clips):
        return self.stem(clips)


def masks(count, seed=0):
    """Numbers as the examples carry them."""
    rng = np.random.default_rng(seed)
    return torch.tensor([int(draw_mask(rng)) for _ in range(count)])


def batch_of(count, seed=0):
    torch.manual_seed(seed)
    return {"clips": torch.randn(count, 1, 3, 8, 32, 32), "mask": masks(count)}


def slow_target(clip_CTHW, place, tubelet):
    """What is to be drawn of one tubelet, pixel by pixel: [V, C] of float64."""
    grid = [whole // part for whole, part in zip(clip_CTHW.shape[1:], tubelet, strict=True)]
    t, h, w = np.unravel_index(place, grid)
    found = []
    for colour in clip_CTHW.astype(np.float64):
        values = [
            colour[t * tubelet[0] + dt, h * tubelet[1] + dh, w * tubelet[2] + dw]
            for dt in range(tubelet[0])
            for dh in range(tubelet[1])
            for dw in range(tubelet[2])
        ]
        middle = sum(values) / len(values)
        variance = sum((value - middle) ** 2 for value in values) / (len(values) - 1)
        found.append([(value - middle) / (variance**0.5 + 1e-6) for value in values])
    return np.array(found).T


@pytest.mark.parametrize(
    ("grid", "ratio", "hidden", "visible"),
    [
        ((8, 14, 14), 0.9, 176, 160),  # 224 pixels in patches of 16
        ((8, 7, 7), 0.9, 44, 40),  # 112 in patches of 16, 56 in patches of 8
        ((8, 14, 14), 0.75, 147, 392),
        (GRID, 0.6, 9, 28),
    ],
)
def test_the_ratio_is_exact_and_tubes_are_constant_over_time(grid, ratio, hidden, visible):
    hidden_BN = hidden_tubes(masks(50), grid, ratio)
    assert set((~hidden_BN).sum(1).tolist()) == {visible}
    over_time = hidden_BN.view(50, grid[0], grid[1] * grid[2])
    assert set(over_time.sum(2).flatten().tolist()) == {hidden}
    assert torch.equal(over_time, over_time[:, :1].expand_as(over_time))


def test_every_position_is_hidden_as_often_as_any_other():
    hidden_BP = hidden_tubes(masks(2000), (1, 4, 4), 0.75)
    share_P = hidden_BP.float().mean(0)
    assert (share_P - 0.75).abs().max() < 4 * (0.75 * 0.25 / 2000) ** 0.5


def test_a_clips_mask_follows_from_its_number_alone():
    drawn = masks(6)
    together = hidden_tubes(drawn, GRID, 0.75)
    torch.manual_seed(5)
    alone = torch.cat([hidden_tubes(drawn[at : at + 1], GRID, 0.75) for at in range(6)])
    assert torch.equal(together, alone)
    assert len({tuple(row) for row in together.tolist()}) == 6


def test_tubelets_are_counted_as_tokens_are():
    """A network whose tokens are a tubelet's sum has the sums of the cut clip, in the same order."""
    net = tiny()
    nn.init.ones_(net.patch_embed.proj.weight)
    nn.init.zeros_(net.patch_embed.proj.bias)
    clips = torch.randn(2, 3, 8, 32, 32)
    cut = tubelets(clips, TUBELET)
    assert cut.shape == (2, 64, 128, 3)
    torch.testing.assert_close(net.patch_embed(clips)[:, :, 0], cut.sum((2, 3)), atol=1e-4, rtol=1e-4)


def test_targets_are_those_of_a_loop_over_the_video_as_it_was_before_its_colours_were_normalised():
    rng = np.random.default_rng(0)
    video_CTHW = rng.integers(0, 256, (3, 8, 32, 32)) / 255
    video_CTHW[:, :2, :8, :8] = 0.3  # a tubelet of one colour
    clips_BTHWC = torch.from_numpy(video_CTHW * 255).movedim(0, -1)[None]
    normal = normalise(clips_BTHWC, Normalisation())
    found = to_draw(normal, TUBELET, "tubelet")[0].view(64, 128, 3).numpy()
    for place in (1, 5, 37, 63):
        np.testing.assert_allclose(found[place], slow_target(video_CTHW, place, TUBELET), atol=1e-4)
    assert np.abs(found[0]).max() < 0.5  # nothing to draw but rounding
    assert found.var(axis=1, ddof=1)[1:] == pytest.approx(1, abs=1e-3)


def test_over_the_clip_a_tubelet_counts_by_how_far_it_stands_out():
    """Of a still ground with weak grain and one bright place."""
    clip_BCTHW = 0.01 * torch.randn(1, 3, 8, 32, 32)
    clip_BCTHW[:, :, :, :8, :8] += 1
    over_tubelets, over_clip = (to_draw(clip_BCTHW, TUBELET, over).square().mean(2)[0] for over in ("tubelet", "clip"))
    torch.testing.assert_close(over_tubelets, torch.full((64,), 127 / 128), atol=1e-3, rtol=0)
    assert over_clip[::16].min() > 10
    assert over_clip[1:16].max() < 0.1
    expected = (clip_BCTHW[0, 1] - clip_BCTHW[0, 1].mean()) / clip_BCTHW[0, 1].std()
    torch.testing.assert_close(
        to_draw(clip_BCTHW, TUBELET, "clip")[0].view(64, 128, 3)[5, :, 1], expected[:2, 8:16, 8:16].flatten()
    )


def test_over_nothing_the_networks_own_colours_are_asked_for():
    clip_BCTHW = torch.randn(1, 3, 8, 32, 32)
    asked = to_draw(clip_BCTHW, TUBELET, "nothing").view(64, 128, 3)
    torch.testing.assert_close(asked[21, :, 2], clip_BCTHW[0, 2, 2:4, 8:16, 8:16].flatten())


def test_over_time_what_stands_still_asks_for_nothing():
    still = torch.randn(1, 3, 1, 32, 32).expand(1, 3, 8, 32, 32).clone()
    still[:, :, :4, 8:16, :8] += 1  # the place of tubelets 4 and 20, and later of 36 and 52
    asked = to_draw(still, TUBELET, "time").square().mean(2)[0]
    places = torch.zeros(64, dtype=torch.bool)
    places[4::16] = True
    torch.testing.assert_close(asked[~places], torch.zeros(60), atol=1e-8, rtol=0)
    torch.testing.assert_close(asked[places], torch.full((4,), 16.0), atol=0.01, rtol=0)  # all variance in 1 of 16


def test_the_loss_is_that_of_a_slow_loop_over_the_hidden_tubelets():
    task, net = TubeMasking(ratio=0.75), tiny()
    head = task.build_head(net, CLIP)
    batch = batch_of(3)
    found, numbers = task.loss(net, head, batch)

    hidden_BN = hidden_tubes(batch["mask"], GRID, 0.75)
    visible = torch.stack([(~row).nonzero()[:, 0] for row in hidden_BN])
    hidden = torch.stack([row.nonzero()[:, 0] for row in hidden_BN])
    clips = batch["clips"][:, 0]
    drawn = head(net.forward_visible(clips, visible), visible, hidden).detach().double().numpy()
    errors, energies = [], []
    for video in range(3):
        for at, place in enumerate(hidden[video].tolist()):
            target = slow_target(clips[video].numpy(), place, TUBELET).ravel()
            errors += [(a - b) ** 2 for a, b in zip(drawn[video, at], target, strict=True)]
            energies += [b**2 for b in target]
    assert len(errors) == 3 * 12 * 4 * 2 * 8 * 8 * 3
    assert found.item() == pytest.approx(np.mean(errors), rel=1e-4)
    assert numbers["explained"].item() == pytest.approx(1 - np.sum(errors) / np.sum(energies), abs=1e-4)


def test_a_smaller_drawing_asks_for_means_of_squares_in_the_networks_own_colours():
    task, net, batch = TubeMasking(ratio=0.75, over="nothing", shrink=4), tiny(), batch_of(2)
    head = task.build_head(net, CLIP)
    found, _ = task.loss(net, head, batch)

    clips, hidden_BN = batch["clips"][:, 0], hidden_tubes(batch["mask"], GRID, 0.75)
    visible, hidden = (where.nonzero()[:, 1].view(2, -1) for where in (~hidden_BN, hidden_BN))
    drawn = head(net.forward_visible(clips, visible), visible, hidden).detach().double().numpy()
    assert drawn.shape == (2, 48, 2 * 2 * 2 * 3)
    errors = []
    for video in range(2):
        means = clips[video].double().numpy().reshape(3, 8, 8, 4, 8, 4).mean((3, 5))
        for at, place in enumerate(hidden[video].tolist()):
            t, h, w = (2 * (place // 16), 2 * (place // 4 % 4), 2 * (place % 4))
            target = means[:, t : t + 2, h : h + 2, w : w + 2].transpose(1, 2, 3, 0).ravel()
            errors.append(((drawn[video, at] - target) ** 2).mean())
    assert found.item() == pytest.approx(sum(errors) / len(errors), rel=1e-4)
    assert "cannot be drawn 3 times smaller" in TubeMasking(shrink=3).refusal(net, CLIP)


def test_a_decoder_tells_places_apart_as_its_trunk_does():
    for table in (counted_through, axis_by_axis):
        net = VideoMAE(width=64, heads=2, depth=1, tubelet=TUBELET, table=table)
        head = TubeMasking().build_head(net, CLIP)
        torch.testing.assert_close(head.places_NC, table(GRID, 32).float())
        assert "places_NC" not in head.state_dict()


@pytest.mark.parametrize("kind", ["transformer", "map"])
def test_a_grey_drawing_has_the_loss_that_is_named_as_chance(kind):
    net = tiny() if kind == "transformer" else TinyMap()
    task = TubeMasking() if kind == "transformer" else TubePainting(tubelet=TUBELET, width=4)
    head = task.build_head(net, CLIP)
    nn.init.zeros_(head.draw.weight)
    nn.init.zeros_(head.draw.bias)
    loss, numbers = task.loss(net, head, batch_of(2))
    assert loss.item() == pytest.approx(127 / 128, abs=1e-4)
    assert numbers["explained"].item() == pytest.approx(task.chance["explained"], abs=1e-6)


def test_hidden_pixels_change_nothing_that_the_encoder_or_the_decoder_says():
    task, net = TubeMasking(), tiny().eval()
    head = task.build_head(net, CLIP).eval()
    batch = batch_of(2)
    hidden_BN = hidden_tubes(batch["mask"], GRID, task.ratio)
    visible = (~hidden_BN).nonzero()[:, 1].view(2, -1)
    hidden = hidden_BN.nonzero()[:, 1].view(2, -1)
    clips = batch["clips"][:, 0]
    others = torch.where(painted_over(torch.ones_like(clips), hidden_BN, GRID) == 0, torch.randn_like(clips), clips)
    assert (others != clips).float().mean().item() == pytest.approx(14 / 16, abs=0.01)
    with torch.inference_mode():
        tokens = [net.forward_visible(one, visible) for one in (clips, others)]
        assert torch.equal(*tokens)
        assert torch.equal(*(head(one, visible, hidden) for one in tokens))
        seen = clips.clone()
        seen[:, :, :2, :8, :8] += 1  # tubelet 0 of both clips
        shown = (~hidden_BN[:, 0]).tolist()
        for video in range(2):
            assert torch.equal(tokens[0][video], net.forward_visible(seen, visible)[video]) is not shown[video]


def test_whoever_is_shown_all_tokens_gives_what_the_whole_network_gives():
    net, clips = tiny().eval(), torch.randn(2, 3, 8, 32, 32)
    with torch.inference_mode():
        shown = net.forward_visible(clips, torch.arange(64).expand(2, -1))
        torch.testing.assert_close(shown, net.forward_features(clips))


@pytest.mark.parametrize("table", [counted_through, axis_by_axis])
def test_tokens_keep_the_places_that_they_have_in_the_whole_clip(table):
    net = VideoMAE(width=64, heads=2, depth=0, tubelet=TUBELET, table=table)
    clips, visible = torch.randn(1, 3, 4, 24, 40), torch.tensor([[3, 17, 29]])  # 2 x 3 x 5 tokens
    expected = net.patch_embed(clips)[:, visible[0]] + table((2, 3, 5), 64)[visible[0]]
    torch.testing.assert_close(net.forward_visible(clips, visible), expected, check_dtype=False)


def test_networks_that_differ_in_their_positions_alone_are_not_taken_for_each_other():
    ours, sources = (VideoMAE(64, 2, 1, TUBELET, table=table).state_dict() for table in (axis_by_axis, counted_through))
    assert set(ours) - set(sources) == {"channels_of_axes"}
    assert ours["channels_of_axes"].tolist() == [16, 24, 24]


@pytest.mark.parametrize(("name", "width", "heads"), [("videomae_vit_s", 192, 3), ("videomae_vit_b", 384, 6)])
def test_the_decoder_is_the_sources(name, width, heads):
    with torch.device("meta"):
        net = build(name)
        head = TubeMasking().build_head(net, ClipSpec(size=224))
    assert (head.narrow.out_features, len(head.blocks), head.blocks[0].attn.heads) == (width, 4, heads)
    assert head.narrow.bias is None
    assert head.draw.out_features == 2 * 16 * 16 * 3
    assert TubeMasking().ratio == 0.9
    if name == "videomae_vit_b":  # 94.211 M in the source, with a norm behind the encoder and none behind pooling
        both = sum(weight.numel() for part in (net, head) for weight in part.parameters())
        assert both - sum(weight.numel() for weight in net.fc_norm.parameters()) == pytest.approx(94.211e6, abs=500)


def test_everything_but_the_norm_behind_pooling_learns():
    task, net = TubeMasking(), tiny()
    head = task.build_head(net, CLIP)
    task.loss(net, head, batch_of(2))[0].backward()
    without = [name for name, weight in net.named_parameters() if weight.grad is None]
    assert without == ["fc_norm.weight", "fc_norm.bias"]
    assert not any(weight.requires_grad for weight in net.fc_norm.parameters())
    assert [name for name, weight in head.named_parameters() if weight.grad is None] == []


def explained_after(task, trunk, clips_of_step, steps):
    """Train trunk and decoder; what they explain in the last ten steps."""
    torch.manual_seed(0)
    head = task.build_head(trunk, CLIP)
    weights = [weight for part in (trunk, head) for weight in part.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=3e-3)
    explained = []
    for step in range(steps):
        loss, numbers = task.loss(trunk, head, {"clips": clips_of_step(), "mask": masks(2, seed=step)})
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        explained.append(numbers["explained"].item())
    return np.mean(explained[-10:])


@pytest.mark.parametrize("kind", ["transformer", "map"])
def test_a_clip_is_learnt_by_heart_and_noise_stays_at_chance(kind):
    """Noise is new in every step: nothing of what is hidden may reach the drawing."""
    task, trunk = (
        (TubeMasking(ratio=0.75), tiny) if kind == "transformer" else (TubePainting(tubelet=TUBELET, width=32), TinyMap)
    )
    always = torch.sin(torch.arange(32.0)).expand(2, 1, 3, 8, 32, 32)
    assert explained_after(task, trunk(), lambda: always, 120) > 0.8
    assert abs(explained_after(task, trunk(), lambda: torch.randn(2, 1, 3, 8, 32, 32), 60)) < 0.02


def test_what_the_task_cannot_do_is_refused_in_a_sentence():
    task = TubeMasking()
    assert task.refusal(tiny(), CLIP) is None
    assert "Take videomae_vit_b" in task.refusal(TinyMap(), CLIP)
    assert "of 1 positions over space, 0 would be hidden" in task.refusal(tiny(), CLIP.model_copy(update={"size": 8}))
    assert "do not divide into tubelets of 2 x 8 x 8" in task.refusal(tiny(), CLIP.model_copy(update={"size": 36}))
    assert "4 would be hidden" in TubeMasking(1.0).refusal(tiny(), CLIP.model_copy(update={"size": 16}))


def test_examples_carry_one_clip_and_a_number_of_their_own():
    task, seen = TubeMasking(), Counter()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        frames_NR = task.choose_frames(30, CLIP, rng)
        assert frames_NR.shape == (1, 8)
        example = task.make_example(frames_NR, rng)
        assert example["mask"].dtype == np.int64
        seen[int(example["mask"])] += 1
    assert len(seen) == 20
