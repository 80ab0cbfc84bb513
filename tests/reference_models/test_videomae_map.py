"""VideoMAE on maps: what is hidden is painted over, what was there is asked for."""

import numpy as np
import pytest
import torch
from torch import nn

from bench.schema import ClipSpec
from reference_models.backbones import build
from reference_models.pretext.tubes import draw_mask, hidden_tubes, to_draw
from reference_models.pretext.videomae_map import Enlarged, MapDecoder, TubePainting, painted_over

CLIP = ClipSpec(num_frames=8, resize=(40, 40), size=32)
TUBELET = (2, 8, 8)
GRID = (4, 4, 4)


class TinyMap(nn.Module):
    """A trunk that halves frames and quarters rows and columns."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, 6, 3, stride=(2, 4, 4), padding=1)

    def forward_features(self, clips):
        return self.stem(clips)


def batch_of(count):
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    drawn = torch.tensor([int(draw_mask(rng)) for _ in range(count)])
    return {"clips": torch.randn(count, 1, 3, 8, 32, 32), "mask": drawn}


def test_hidden_tubes_are_painted_and_all_else_is_left():
    hidden_BN = hidden_tubes(batch_of(2)["mask"], GRID, 0.6)
    clips = torch.rand(2, 3, 8, 32, 32) + 1
    painted = painted_over(clips, hidden_BN, GRID)
    for video in range(2):
        for place in range(64):
            t, h, w = (2 * (place // 16), 8 * (place // 4 % 4), 8 * (place % 4))
            area = (video, slice(None), slice(t, t + 2), slice(h, h + 8), slice(w, w + 8))
            expected = torch.zeros_like(clips[area]) if hidden_BN[video, place] else clips[area]
            assert torch.equal(painted[area], expected)


def test_the_loss_is_the_mean_over_hidden_tubelets_and_hidden_pixels_reach_the_trunk_nowhere():
    torch.manual_seed(1)
    task, trunk, batch = TubePainting(tubelet=TUBELET, width=5), TinyMap(), batch_of(3)
    head = task.build_head(trunk, CLIP)
    found, numbers = task.loss(trunk, head, batch)

    clips, hidden_BN = batch["clips"][:, 0], hidden_tubes(batch["mask"], GRID, task.ratio)
    drawn = head(trunk.stem(painted_over(clips, hidden_BN, GRID))).detach().double().numpy()
    target = to_draw(clips, TUBELET, "tubelet").double().numpy()
    pairs = [
        (drawn[video, place], target[video, place])
        for video in range(3)
        for place in range(64)
        if hidden_BN[video, place]
    ]
    assert len(pairs) == 3 * 9 * 4
    error, grey = sum(((a - b) ** 2).sum() for a, b in pairs), sum((b**2).sum() for _, b in pairs)
    assert found.item() == pytest.approx(error / (len(pairs) * 384), rel=1e-4)
    assert numbers["explained"].item() == pytest.approx(1 - error / grey, abs=1e-4)

    others = torch.where(painted_over(torch.ones_like(clips), hidden_BN, GRID) == 0, torch.randn_like(clips), clips)
    assert torch.equal(painted_over(others, hidden_BN, GRID), painted_over(clips, hidden_BN, GRID))


def test_a_smaller_drawing_over_the_clip_is_that_of_a_slow_loop():
    torch.manual_seed(2)
    task, trunk, batch = TubePainting(tubelet=TUBELET, width=5, over="clip", shrink=4), TinyMap(), batch_of(2)
    head = task.build_head(trunk, CLIP)
    found, _ = task.loss(trunk, head, batch)

    clips, hidden_BN = batch["clips"][:, 0], hidden_tubes(batch["mask"], GRID, task.ratio)
    drawn = head(trunk.stem(painted_over(clips, hidden_BN, GRID))).detach().double().numpy()
    assert drawn.shape == (2, 64, 2 * 2 * 2 * 3)
    errors = []
    for video in range(2):
        means = clips[video].double().numpy().reshape(3, 8, 8, 4, 8, 4).mean((3, 5))
        spread = means.std((1, 2, 3), ddof=1, keepdims=True)
        means = (means - means.mean((1, 2, 3), keepdims=True)) / spread
        for place in hidden_BN[video].nonzero()[:, 0].tolist():
            t, h, w = (2 * (place // 16), 2 * (place // 4 % 4), 2 * (place % 4))
            target = means[:, t : t + 2, h : h + 2, w : w + 2].transpose(1, 2, 3, 0).ravel()
            errors.append(((drawn[video, place] - target) ** 2).mean())
    assert found.item() == pytest.approx(sum(errors) / len(errors), rel=1e-4)
    assert "cannot be drawn 3 times smaller" in TubePainting(tubelet=TUBELET, shrink=3).refusal(trunk, CLIP)


def test_painted_clips_lie_in_memory_as_they_did():
    """Whoever reads them then need not turn them."""
    hidden_BN = hidden_tubes(batch_of(2)["mask"], GRID, 0.6)
    for clips in (torch.rand(2, 3, 8, 32, 32), torch.rand(2, 8, 32, 32, 3).permute(0, 4, 1, 2, 3)):
        assert painted_over(clips, hidden_BN, GRID).stride() == clips.stride()


@pytest.mark.parametrize("factor", [(8, 4, 4), (4, 1, 1), (1, 2, 3)])
def test_enlarging_is_the_transposed_convolution_values_and_gradients(factor):
    torch.manual_seed(3)
    enlarged, source = Enlarged(5, 3, factor), nn.ConvTranspose3d(5, 3, factor, factor)
    source.load_state_dict(enlarged.state_dict())
    maps = [torch.randn(2, 5, 1, 2, 3).requires_grad_()]
    maps.append(maps[0].detach().clone().requires_grad_())
    found, expected = enlarged(maps[0]), source(maps[1])
    torch.testing.assert_close(found, expected)
    for value in (found, expected):
        value.square().sum().backward()
    torch.testing.assert_close(maps[0].grad, maps[1].grad)
    for ours, theirs in zip(enlarged.parameters(), source.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize(
    ("shape", "grid"),
    [((512, 2, 7, 7), (8, 7, 7)), ((480, 1, 2, 2), (8, 7, 7)), ((6, 16, 14, 14), (8, 7, 7)), ((6, 1, 4, 4), (4, 4, 4))],
)
def test_every_map_reaches_the_grid(shape, grid):
    drawn = MapDecoder(shape, grid, 8, 12)(torch.rand(2, *shape))
    assert drawn.shape == (2, grid[0] * grid[1] * grid[2], 12)


def test_a_drawing_stands_where_its_tubelet_is():
    """The decoder's cells come in the order of the tubelets."""
    head = MapDecoder((1, 4, 4, 4), GRID, 1, 1)
    for part in (head.up, head.around, head.draw):
        nn.init.zeros_(part.weight)
        nn.init.zeros_(part.bias)
        part.weight.data[(0, 0, *(size // 2 for size in part.weight.shape[2:]))] = 1
    numbers = torch.arange(64.0).view(1, 1, *GRID) + 10  # where GELU is the identity
    torch.testing.assert_close(head(numbers)[0, :, 0], torch.arange(64.0) + 10)


@pytest.mark.parametrize("name", ["r2plus1d_10", "shufflenet_v1_x0_5", "c3d", "swin3d_t"])
def test_backbones_with_a_map_are_taken(name):
    clip = ClipSpec(num_frames=16, size=112)
    with torch.device("meta"):
        trunk = build(name)
        assert TubePainting().refusal(trunk, clip) is None
        head = TubePainting().build_head(trunk, clip)
    assert head.draw.out_channels == 1536
    assert head.grid == (8, 7, 7)


def test_tokens_and_odd_clips_are_refused_in_a_sentence():
    task = TubePainting(tubelet=TUBELET)
    tokens = TinyMap()
    tokens.forward_features = lambda clips: clips.flatten(2).transpose(1, 2)
    assert "gives tokens" in task.refusal(tokens, CLIP)
    assert "do not divide" in task.refusal(TinyMap(), CLIP.model_copy(update={"num_frames": 7}))
    assert task.refusal(TinyMap(), CLIP) is None


def test_trunk_and_head_learn_everywhere():
    task, trunk = TubePainting(tubelet=TUBELET, width=5), TinyMap()
    head = task.build_head(trunk, CLIP)
    task.loss(trunk, head, batch_of(2))[0].backward()
    assert all(weight.grad is not None for part in (trunk, head) for weight in part.parameters())
