"""What holds for every backbone. Costs are counted on the meta device; the small networks also compute, on tiny clips."""

from functools import cache

import pytest
import torch
import torchvision
from timm.models.vision_transformer import Block, VisionTransformer
from torch import nn

from bench.encoder import layer_outputs
from reference_models.backbones import BACKBONES, build, parse
from reference_models.backbones.swin import ExactAttention, Swin
from reference_models.backbones.temporal_conv import TemporalConv
from reference_models.backbones.videomae import Block as VideoMAEBlock
from reference_models.backbones.videomae import axis_by_axis, counted_through
from reference_models.counts import TABLE_10, accepted_clips, count

PARAMETERS = {
    "shufflenet_v1_x2": 3_606_288,
    "shufflenet_v1_x1": 944_904,
    "shufflenet_v1_x0_5": 257_172,
    "shufflenet_v1_x0_25": 74_886,
    "squeezenet_1_1": 1_837_760,
    "mobilenet_v2_x1": 2_354_048,
    "c3d": 27_661_440,
    "r3d_10": 14_361_792,
    "r2plus1d_10": 14_365_303,
    "r3d_18": 33_166_272,
    "r3d_18_eps3": 33_166_272,
    "r2plus1d_18": 31_300_125,
    "r2plus1d_18_eps3": 31_300_125,
    "r2plus1d_18_vmz": 33_165_639,
    "swin3d_t": 27_850_470,
    "swin3d_t_exact_bias": 27_850_470,
    "mvit_v1_b": 36_077_280,
    "mvit_v2_s": 34_174_848,
    "timesformer_b": 121_152_000,
    "vivit_b": 86_539_008,
    "videomae_vit_mini": 842_112,
    "videomae_vit_s": 21_879_936,
    "videomae_vit_b": 86_227_200,
    "vjepa2_vit_l": 303_885_312,
}
GFLOPS = {
    "r3d_18": 81.39,
    "r2plus1d_18": 81.04,
    "swin3d_t": 22.73,
    "mvit_v1_b": 31.06,
    "mvit_v2_s": 27.83,
    "timesformer_b": 192.6,
    "vivit_b": 73.4,
    "videomae_vit_s": 19.94,
    "videomae_vit_b": 73.18,
    "vjepa2_vit_l": 253.2,
}
WITH_HEAD = {
    "shufflenet_v1_x2": 4_641_653,
    "squeezenet_1_1": 1_889_573,
    "mobilenet_v2_x1": 3_061_733,
    "c3d": 27_713_253,
    "r3d_10": 14_413_605,
    "r2plus1d_10": 14_417_116,
}
SMALL = ("shufflenet_v1_x2", "squeezenet_1_1", "mobilenet_v2_x1", "c3d", "r3d_10", "r2plus1d_10", "swin3d_t")
EIGHTEEN = ["stem", *(f"layer{stage}_{i}" for stage in (1, 2, 3, 4) for i in (0, 1))]
SWIN = ["stem", *(f"stage{s}_{i}" for s, depth in enumerate((2, 2, 6, 2), start=1) for i in range(depth))]
LAYERS = {
    "shufflenet_v1_x2": ["stem", *(f"stage{s}_{i}" for s, n in ((2, 4), (3, 8), (4, 4)) for i in range(n))],
    "squeezenet_1_1": ["stem", *(f"fire{i}" for i in range(1, 9))],
    "mobilenet_v2_x1": ["stem", *(f"block{i}" for i in range(1, 18)), "last"],
    "c3d": ["stem", "conv2", "conv3a", "conv3b", "conv4a", "conv4b", "conv5a", "conv5b"],
    "r3d_10": ["stem", "layer1_0", "layer2_0", "layer3_0", "layer4_0"],
    "r2plus1d_10": ["stem", "conv2", "conv3", "conv4", "conv5"],
    "r3d_18": EIGHTEEN,
    "r2plus1d_18": EIGHTEEN,
    "swin3d_t": SWIN,
    "mvit_v1_b": ["stem", *(f"block{i}" for i in range(16))],
    "timesformer_b": ["stem", *(f"block{i}" for i in range(12))],
}

every = pytest.mark.parametrize("name", BACKBONES)
small = pytest.mark.parametrize("name", SMALL)
others = pytest.mark.parametrize("name", [name for name in BACKBONES if name not in SMALL])


@cache
def meta(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(name).eval()


counted = cache(count)


def small_clip(name: str) -> tuple[str, int, int]:
    """A name and a small clip that the network takes."""
    return (f"{name}@4x48", 4, 48) if BACKBONES[name].built_for_one_clip else (name, 16, 48)


@every
def test_a_clip_gives_a_feature_of_the_declared_width_and_layers_that_are_tensors_in_order(name: str) -> None:
    full_name, frames, size = small_clip(name)  # costs are counted at another size
    net = meta(full_name)
    assert net.accepts(frames, size, size) is None
    outputs = layer_outputs(net, torch.empty(2, 3, frames, size, size, device="meta"))
    assert list(outputs) == [*net.layers(), "pooled"]
    assert outputs["pooled"].shape == (2, net.feature_dim)
    assert all(output.shape[0] == 2 and output.ndim >= 3 for layer, output in outputs.items() if layer != "pooled")


@every
def test_parameters_are_those_of_the_source_and_costs_those_of_the_table(name: str) -> None:
    assert counted(name).parameters == PARAMETERS[name]
    if name in GFLOPS:
        assert counted(name).gflops == pytest.approx(GFLOPS[name], rel=1e-3)


@pytest.mark.parametrize("name", TABLE_10)
def test_the_papers_table_10_is_reproduced_by_its_conventions(name: str) -> None:
    table = counted(name).table_10
    assert table is not None
    assert table.our_parameters == WITH_HEAD[name]
    assert round(table.our_parameters / 1e6, 1) == table.parameters_millions
    assert table.our_gflops == pytest.approx(table.gflops, rel=0.07 if table.gflops < 10 else 0.006)
    assert table.our_gflops == pytest.approx(table.gflops, abs=0.12 if name == "c3d" else 0.05)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_names_are_stable(name: str) -> None:
    assert list(meta(name).layers()) == LAYERS[name]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("r3d_18", torchvision.models.video.r3d_18),
        ("r2plus1d_18", torchvision.models.video.r2plus1d_18),
        ("swin3d_t", torchvision.models.video.swin3d_t),
        ("mvit_v1_b@16x224", torchvision.models.video.mvit_v1_b),
        ("mvit_v2_s@16x224", torchvision.models.video.mvit_v2_s),
    ],
)
def test_state_dict_keys_and_shapes_are_torchvisions_without_its_head(name: str, theirs) -> None:
    with torch.device("meta"):
        expected = theirs().state_dict()
    expected = {key: tensor.shape for key, tensor in expected.items() if not key.startswith(("fc.", "head."))}
    assert {key: tensor.shape for key, tensor in meta(name).state_dict().items()} == expected


@pytest.mark.parametrize(
    ("name", "num_keys", "some"),
    [
        (
            "squeezenet_1_1",
            175,
            ["features.0.bias", "features.4.squeeze_bn.running_var", "features.14.expand3x3.weight"],
        ),
        ("mobilenet_v2_x1", 312, ["features.0.0.weight", "features.1.conv.4.bias", "features.17.conv.6.weight"]),
        ("c3d", 56, ["conv1.bias", "bn3a.running_mean", "conv5b.weight"]),
        (
            "r2plus1d_10",
            144,
            ["conv1.spatial_conv.weight", "bn1.bias", "conv3.block1.downsampleconv.temporal_conv.weight"],
        ),
        ("videomae_vit_b", 160, ["patch_embed.proj.bias", "blocks.11.attn.q_bias", "blocks.0.mlp.fc2.weight"]),
        ("timesformer_b", 247, ["time_embed", "blocks.3.temporal_fc.bias", "blocks.0.temporal_attn.qkv.weight"]),
    ],
)
def test_state_dict_keys_are_the_sources(name: str, num_keys: int, some: list[str]) -> None:
    keys = set(meta(name).state_dict())
    assert set(some) <= keys
    assert len(keys) == num_keys


def test_vivits_keys_are_those_of_timms_vision_transformer() -> None:
    with torch.device("meta"):
        expected = VisionTransformer(num_classes=0).state_dict()
    assert set(meta("vivit_b").state_dict()) == set(expected)


@small
def test_small_networks_learn_everywhere_and_judge_each_clip_alone(name: str) -> None:
    learns_everywhere_and_judges_each_clip_alone(name)


@pytest.mark.prove
@others
def test_large_networks_learn_everywhere_and_judge_each_clip_alone(name: str) -> None:
    learns_everywhere_and_judges_each_clip_alone(name)


def learns_everywhere_and_judges_each_clip_alone(name: str) -> None:
    torch.manual_seed(0)
    full_name, frames, size = small_clip(name)
    net = build(full_name)
    clips = torch.rand(2, 3, frames, size, size)
    (net.train()(clips) * torch.rand(2, net.feature_dim)).sum().backward()
    assert [key for key, weight in net.named_parameters() if weight.grad is None] == []
    net.eval()
    with torch.inference_mode():
        features = net(clips)
        assert features.isfinite().all()
        assert torch.equal(net(clips), features)
        torch.testing.assert_close(net(clips[1:]), features[1:], rtol=1e-4, atol=1e-5)


@small
def test_the_feature_of_a_convolutional_network_is_the_mean_of_its_last_map(name: str) -> None:
    net = build(name).eval()
    clips = torch.rand(1, 3, 16, 48, 48)
    with torch.inference_mode():
        last = net.forward_features(clips)
        assert last.shape[:2] == (1, net.feature_dim)
        torch.testing.assert_close(last.mean((2, 3, 4)), net(clips))


LIGHT = ("shufflenet_v1_x0_25", "mobilenet_v2_x1", "timesformer_b@2x16", "vivit_b@2x16", "videomae_vit_s")


@pytest.mark.parametrize("name", LIGHT)
def test_from_pooling_on_a_light_network_computes_in_float32(name: str) -> None:
    computes_in_float32_from_pooling_on(name)


@pytest.mark.prove
@every
def test_from_pooling_on_everything_is_float32(name: str) -> None:
    computes_in_float32_from_pooling_on(small_clip(name)[0])


def computes_in_float32_from_pooling_on(name: str) -> None:
    torch.manual_seed(0)
    net = build(name).eval()
    frames, size = next((t, s) for t, s in ((2, 16), (4, 48), (8, 48), (16, 48)) if net.accepts(t, s, s) is None)
    clips = torch.rand(1, 3, frames, size, size)
    kept = []
    net.forward_features, forward_features = (
        (lambda clips: kept.append(forward_features(clips)) or kept[0]),
        net.forward_features,
    )
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        features = net(clips)
    last = kept[0].float()
    pooled = last.mean((2, 3, 4)) if last.ndim == 5 else last.mean(1) if "vid" in name or "vj" in name else last[:, 0]
    assert features.dtype == torch.float32
    if "videomae" in name:
        with torch.inference_mode():
            pooled = net.fc_norm(pooled)
    assert torch.equal(features, pooled)


@pytest.mark.parametrize("name", ["r2plus1d_10", "r2plus1d_18", "r2plus1d_18_vmz"])
def test_every_convolution_over_frames_alone_is_the_fast_one(name: str) -> None:
    over_frames = [part for part in meta(name).modules() if isinstance(part, nn.Conv3d) and part.kernel_size[1] == 1]
    assert {type(part) for part in over_frames if part.kernel_size[0] == 3} == {TemporalConv}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_a_convolution_over_frames_has_pytorchs_values_and_gradients(stride: int, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    fast = TemporalConv(5, 7, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=stride == 1)
    clips = torch.randn(2, 5, 6, 4, 3).contiguous(memory_format=layout).requires_grad_()
    ours, theirs = fast(clips), nn.Conv3d.forward(fast, clips)
    torch.testing.assert_close(ours, theirs)
    pull = torch.randn_like(ours)
    for one, other in zip(*(torch.autograd.grad(y, (clips, fast.weight), pull) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", [name for name in BACKBONES if PARAMETERS[name] < 10_000_000])
def test_the_same_seed_gives_the_same_network(name: str) -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build(name).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize(
    ("name", "clip", "words"),
    [
        ("shufflenet_v1_x2", (8, 112, 112), "multiple of 16, not 8"),
        ("c3d", (4, 112, 112), "at least 8 frames, not 4"),
        ("c3d", (16, 112, 8), "at least 16 x 16 pixels, not 112 x 8"),
        ("videomae_vit_s", (16, 112, 100), "multiples of 16 pixels, not 112 x 100"),
        ("videomae_vit_s", (3, 112, 112), "multiple of 2, not 3"),
        ("timesformer_b", (8, 112, 112), "built for clips of 16 x 112 x 112, not 8 x 112 x 112"),
        ("mvit_v2_s", (16, 224, 224), "built for clips of 16 x 112 x 112"),
        ("r3d_18", (0, 112, 112), "at least 1 frames"),
    ],
)
def test_a_clip_that_does_not_fit_is_refused_in_a_sentence(name: str, clip: tuple[int, int, int], words: str) -> None:
    assert words in meta(name).accepts(*clip)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("r3d_81", "Did you mean r3d_18"),
        ("timesformer_b@8", "frames x size"),
        ("timesformer_b@0x224", "frames x size"),
        ("r3d_18@8x112", "not built for one clip"),
        ("vivit_b@7x112", "even number of frames"),
        ("timesformer_b@8x100", "size in sixteens"),
        ("mvit_v1_b@16x100", "size in sixteens"),
    ],
)
def test_a_wrong_name_is_refused_in_a_sentence(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        meta(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shufflenet_v1_x2", "16n x "),
        ("r3d_18", "any x any"),
        ("c3d", "8+ x 16+"),
        ("videomae_vit_s", "2n x 16n"),
        ("mvit_v1_b", "16 x 112"),
    ],
)
def test_the_clips_that_a_backbone_takes_are_told_in_short(name: str, words: str) -> None:
    assert accepted_clips(meta(name)).startswith(words)


def test_a_name_with_a_clip_is_read() -> None:
    assert parse("vivit_b@32x224") == ("vivit_b", (32, 224))
    assert parse("vivit_b") == ("vivit_b", None)


def test_the_two_eighteen_layer_networks_differ_in_the_second_convolution_of_the_first_block_of_a_stage() -> None:
    ours = [meta(name).layer2[0].conv2[0][0].out_channels for name in ("r2plus1d_18", "r2plus1d_18_vmz")]
    assert ours == [230, 288]
    assert {norm.eps for norm in meta("r3d_18_eps3").modules() if isinstance(norm, nn.BatchNorm3d)} == {1e-3}


def test_positions_are_the_sines_of_the_definition() -> None:
    table = counted_through((1, 1, 5), 6)
    for position in range(5):
        for channel in range(6):
            angle = torch.tensor(position / 10000 ** (2 * (channel // 2) / 6), dtype=torch.float64)
            assert table[position, channel] == (angle.sin() if channel % 2 == 0 else angle.cos())
    assert torch.equal(counted_through((2, 3, 4), 6)[5:10], counted_through((1, 1, 10), 6)[5:])


def test_positions_axis_by_axis_tell_frame_row_and_column_in_channels_of_their_own() -> None:
    table = axis_by_axis((2, 3, 5), 16).view(2, 3, 5, 16)
    frame, row, column = table.split((4, 6, 6), dim=3)
    assert torch.equal(frame, frame[:, :1, :1].expand_as(frame))
    assert torch.equal(row, row[:1, :, :1].expand_as(row))
    assert torch.equal(column, column[:1, :1].expand_as(column))
    for axis, part in ((1, row), (2, column)):
        line = part.movedim(axis, 0)[:, 0, 0]
        for position in range(len(line)):
            for channel in range(6):
                angle = torch.tensor(position / 100 ** (2 * (channel // 2) / 6), dtype=torch.float64)
                assert line[position, channel] == (angle.sin() if channel % 2 == 0 else angle.cos())
    assert len(table.flatten(0, 2).unique(dim=0)) == 30


def test_a_videomae_block_is_timms_block_with_zero_key_bias() -> None:
    torch.manual_seed(0)
    ours = VideoMAEBlock(48, 4)
    theirs = Block(48, 4, qkv_bias=True, norm_layer=lambda width, **_: nn.LayerNorm(width, eps=1e-6))
    nn.init.normal_(ours.attn.q_bias)
    nn.init.normal_(ours.attn.v_bias)
    state = dict(ours.state_dict())
    query, value = state.pop("attn.q_bias"), state.pop("attn.v_bias")
    theirs.load_state_dict({**state, "attn.qkv.bias": torch.cat([query, torch.zeros(48), value])})
    tokens = torch.randn(2, 7, 48)
    torch.testing.assert_close(ours(tokens), theirs(tokens))


def test_the_exact_bias_of_a_small_window_is_that_of_the_same_distances() -> None:
    attention = ExactAttention(8, [4, 3, 3], [0, 0, 0], num_heads=2)
    window = [2, 2, 3]
    bias = attention.get_relative_position_bias(window)[0]
    places = [(t, h, w) for t in range(2) for h in range(2) for w in range(3)]
    for i, here in enumerate(places):
        for j, there in enumerate(places):
            dt, dh, dw = (a - b for a, b in zip(here, there, strict=True))
            row = ((dt + 3) * 5 + (dh + 2)) * 5 + (dw + 2)
            assert torch.equal(bias[:, i, j], attention.relative_position_bias_table[row])


def test_exact_and_sliced_bias_agree_where_windows_are_full_in_space_only() -> None:
    torch.manual_seed(0)
    sliced, exact = Swin().eval(), Swin(exact_bias=True).eval()
    exact.load_state_dict(sliced.state_dict())
    for net in (sliced, exact):
        for part in net.modules():
            if hasattr(part, "relative_position_bias_table"):
                nn.init.normal_(part.relative_position_bias_table, generator=torch.Generator().manual_seed(1))
    tokens = torch.randn(1, 4, 7, 7, 96)
    few_pixels = torch.randn(1, 4, 4, 4, 96)
    with torch.inference_mode():
        first, second = sliced.features[0][0], exact.features[0][0]
        torch.testing.assert_close(first(tokens), second(tokens))
        assert not torch.allclose(first(few_pixels), second(few_pixels), atol=1e-3)
