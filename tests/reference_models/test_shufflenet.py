"""The network equals the source's arithmetic, and its fast operations equal PyTorch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from reference_models.backbones import build
from reference_models.backbones.shufflenet import (
    DepthwiseConv,
    ShuffleNet,
    pool_stem,
    shuffle,
    shufflenet_v1_x0_5,
    shufflenet_v1_x0_25,
    shufflenet_v1_x1,
    shufflenet_v1_x2,
)


def slow_unit(unit: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """A unit as the source has it, from plain operations."""
    y = functional.relu(unit.squeeze_norm(unit.squeeze(x)))
    num_clips, channels, *size = y.shape
    y = y.view(num_clips, 3, channels // 3, *size).permute(0, 2, 1, 3, 4, 5).reshape(num_clips, channels, *size)
    y = functional.conv3d(y, unit.depthwise.weight, stride=unit.stride, padding=1, groups=channels)
    y = unit.expand_norm(unit.expand(unit.depthwise_norm(y)))
    if unit.stride == 1:
        return functional.relu(y + x)
    return functional.relu(torch.cat([y, functional.avg_pool3d(x, (2, 3, 3), 2, (0, 1, 1))], 1))


def slow_forward(net: ShuffleNet, clips: torch.Tensor) -> torch.Tensor:
    """The whole network from plain operations, the ReLU before the pooling as in the source."""
    x = functional.max_pool3d(functional.relu(net.stem.norm(net.stem.conv(clips))), 3, 2, 1)
    for unit in net.units.values():
        x = slow_unit(unit, x)
    return x.mean((2, 3, 4))


def gradients(net: nn.Module, features: torch.Tensor) -> list[torch.Tensor]:
    net.zero_grad()
    (features * torch.linspace(-1, 1, features.numel()).view_as(features)).sum().backward()
    return [parameter.grad.clone() for parameter in net.parameters()]


def test_width_two_has_the_parameters_of_the_source():
    assert sum(p.numel() for p in shufflenet_v1_x2().parameters()) == 3_606_288
    assert sum(p.numel() for p in shufflenet_v1_x2().units["stage2_0"].parameters()) == 23_784


@pytest.mark.parametrize(
    ("factory", "feature_dim"),
    [(shufflenet_v1_x0_25, 240), (shufflenet_v1_x0_5, 480), (shufflenet_v1_x1, 960), (shufflenet_v1_x2, 1920)],
)
def test_every_width_says_its_feature_dimension(factory, feature_dim):
    net = factory().eval()
    with torch.inference_mode():
        clips = torch.zeros(1, 3, 16, 40, 40)
        assert net.feature_dim == feature_dim
        assert net(clips).shape == (1, feature_dim)
        assert net.forward_features(clips).shape == (1, feature_dim, 1, 2, 2)


def test_only_at_width_one_the_first_squeeze_is_not_grouped():
    groups = {
        name: net.units["stage2_0"].squeeze.groups
        for name, net in {"0.5": shufflenet_v1_x0_5(), "1": shufflenet_v1_x1(), "2": shufflenet_v1_x2()}.items()
    }
    assert groups == {"0.5": 3, "1": 1, "2": 3}


def test_features_equal_those_of_plain_operations():
    torch.manual_seed(0)
    net = shufflenet_v1_x0_5()
    clips = torch.randn(3, 3, 16, 40, 40)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.weight.uniform_(-1, 1)  # a negative scale would show a pooling in the wrong place
                module.bias.uniform_(-1, 1)
        net.eval()
        torch.testing.assert_close(net(clips), slow_forward(net, clips), rtol=1e-4, atol=1e-5)


def test_gradients_equal_those_of_plain_operations():
    torch.manual_seed(1)
    net = shufflenet_v1_x0_5().double().eval()
    clips = torch.randn(2, 3, 16, 40, 40, dtype=torch.float64)
    slow = gradients(net, slow_forward(net, clips))
    fast = gradients(net.float(), net(clips.float()))
    for (name, _), ours, theirs in zip(net.named_parameters(), fast, slow, strict=True):
        error = (ours - theirs).norm() / (theirs.norm() + 1e-6)
        assert error < 1e-3, f"{name}: {error}"


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(8, 14, 14), (4, 7, 7), (2, 4, 4), (1, 2, 2), (2, 5, 3)])
def test_depthwise_gradients_equal_pytorchs(stride, size):
    torch.manual_seed(2)
    conv = DepthwiseConv(6, stride)
    x = torch.randn(3, 6, *size, requires_grad=True)
    fast = conv(x)
    slow = nn.Conv3d.forward(conv, x)
    torch.testing.assert_close(fast, slow)
    pull = torch.randn_like(slow)
    fast_x, fast_weight = torch.autograd.grad(fast, (x, conv.weight), pull)
    slow_x, slow_weight = torch.autograd.grad(slow, (x, conv.weight), pull)
    torch.testing.assert_close(fast_x, slow_x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(fast_weight, slow_weight, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(16, 28, 28), (16, 7, 9), (3, 5, 5)])
def test_pooling_by_planes_equals_pooling_in_3d(size):
    x = torch.randn(2, 5, *size, requires_grad=True)
    fast, slow = pool_stem(x), functional.max_pool3d(x, 3, 2, 1)
    assert torch.equal(fast, slow)
    pull = torch.randn_like(slow)
    torch.testing.assert_close(*(torch.autograd.grad(y, x, pull, retain_graph=True)[0] for y in (fast, slow)))


def test_shuffle_deals_channels_round_the_groups():
    x = torch.arange(6.0).view(1, 6, 1, 1, 1)
    assert shuffle(x).flatten().tolist() == [0, 2, 4, 1, 3, 5]


def test_layers_run_in_the_order_in_which_they_are_listed():
    net = shufflenet_v1_x0_5().eval()
    seen = []
    for name, module in net.layers().items():
        module.register_forward_hook(lambda _m, _i, _o, name=name: seen.append(name))
    with torch.inference_mode():
        net(torch.zeros(1, 3, 16, 40, 40))
    assert seen == list(net.layers())
    assert len(seen) == 17


def test_clips_of_another_length_are_refused_in_a_sentence():
    net = shufflenet_v1_x0_5()
    assert net.accepts(16, 56, 56) is None
    assert net.accepts(32, 112, 112) is None
    assert "multiple of 16, not 8" in (net.accepts(8, 112, 112) or "")
    assert "at least 33 x 33 pixels, not 32 x 56" in (net.accepts(16, 32, 56) or "")


def test_the_smallest_clip_it_accepts_goes_through():
    net = shufflenet_v1_x0_5().eval()
    assert net.accepts(16, 33, 33) is None
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 16, 33, 33)).shape == (1, 480)


@pytest.mark.parametrize(("name", "stays"), [("shufflenet_v1_x0_25", True), ("shufflenet_v1_x1", False)])
def test_narrow_ones_stay_in_float32_where_bf16_costs_more_than_it_saves(name, stays):
    torch.manual_seed(0)
    net, clips = build(name).eval(), torch.randn(1, 3, 16, 48, 48)
    with torch.inference_mode():
        plain = net(clips)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(net(clips), plain) == stays
