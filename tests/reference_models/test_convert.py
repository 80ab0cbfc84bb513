"""Each layout is built from random tensors by the names its authors use, converted, and compared with the trunk itself."""

import io
import os
import re
import struct
import zipfile
from collections import OrderedDict
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench.schema import Normalisation
from reference_models.backbones import build
from reference_models.checkpoints.convert import convert, recognise
from reference_models.checkpoints.formats import FORMATS
from reference_models.checkpoints.load import load
from reference_models.checkpoints.weights_file import WeightsFile

State = dict[str, Tensor]


def random_trunk(name: str) -> nn.Module:
    """A backbone whose every number is its own, batch statistics included."""
    torch.manual_seed(0)
    trunk = build(name)
    for key, tensor in trunk.state_dict().items():
        if key.endswith(("running_mean", "bias", "_token", "_embed", "_pos")):
            tensor.normal_()
        elif key.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
    return trunk.eval()


@cache
def meta_state(name: str) -> State:
    with torch.device("meta"):
        return dict(build(name).state_dict())


def rename(state: State, *rules: tuple[str, object]) -> State:
    out = {}
    for key, tensor in state.items():
        for pattern, replacement in rules:
            key = re.sub(pattern, replacement, key)
        assert key not in out
        out[key] = tensor
    return out


def more(state: State, *keys: str) -> State:
    """With tensors beside the trunk's."""
    return {**state, **{key: torch.zeros(3) for key in keys}}


def vcop(state: State) -> State:
    return more(rename(state, (r"^", "base_network.")), "base_network.linear.weight", "fc7.weight", "fc8.bias")


def r3d_names(state: State) -> State:
    return rename(
        state,
        (r"^stem\.0\.", "conv1.temporal_spatial_conv."),
        (r"^stem\.1\.", "bn1."),
        (r"^(layer\d\.\d)\.conv(\d)\.0\.", r"\1.CONV\2.temporal_spatial_conv."),
        (r"^(layer\d\.\d)\.conv(\d)\.1\.", r"\1.bn\2."),
        ("CONV", "conv"),
        (r"\.downsample\.0\.", ".downsampleconv.temporal_spatial_conv."),
        (r"\.downsample\.1\.", ".downsamplebn."),
        (r"^layer(\d)\.0\.", lambda m: f"conv{int(m[1]) + 1}.block1."),
        (r"^layer(\d)\.(\d)\.", lambda m: f"conv{int(m[1]) + 1}.blocks.{int(m[2]) - 1}."),
    )


def prp_c3d(state: State) -> State:
    state = rename(
        state,
        (r"^(conv|bn)(\d)([ab])", lambda m: f"{m[1]}{m[2]}_{'ab'.index(m[3]) + 1}"),
        (r"^conv([\d_]+)\.", r"conv\1.conv3d.0."),
        (r"^bn([\d_]+)\.", r"conv\1.conv3d.1."),
    )
    return more(rename(state, (r"^", "module.base_network.")), "module.fc.weight")


def rspnet(state: State) -> State:
    kept = rename(state, (r"^", "encoder_q.encoder."))
    momentum = rename(state, (r"^", "encoder_k.encoder."))
    return more({**kept, **momentum}, "queue", "queue_ptr", "encoder_q.fc1.0.weight", "encoder_q.encoder.linear.bias")


def rspnet_severe(state: State) -> State:
    kept = rename(state, (r"^stem\.", "layer0."), (r"^layer", "encoder_q.encoder.base_network."))
    return more(kept, "queue", "encoder_k.encoder.base_network.0.0.weight", "encoder_q.fc2.weight")


def ctp_r3d(state: State) -> State:
    state = rename(
        state,
        (r"^stem\.0\.", "stem.conv."),
        (r"^stem\.1\.", "stem.bn."),
        (r"\.(conv\d)\.0\.", r".\1.conv."),
        (r"\.conv(\d)\.1\.", r".bn\1."),
        (r"\.downsample\.0\.", ".downsample.conv."),
        (r"\.downsample\.1\.", ".downsample_bn."),
    )
    return more(rename(state, (r"^", "backbone.")), "ctp_head.weight")


def ctp_r2plus1d(state: State) -> State:
    state = rename(
        state,
        *((rf"^stem\.{i}\.", f"stem.{part}.") for i, part in ((0, "conv_s"), (1, "bn_s"), (3, "conv_t"), (4, "bn_t"))),
        *((rf"\.(conv\d)\.0\.{i}\.", rf".\1.{part}.") for i, part in ((0, "conv_s"), (1, "bn_s"), (3, "conv_t"))),
        (r"\.conv(\d)\.1\.", r".bn\1."),
        (r"\.downsample\.0\.", ".downsample."),
        (r"\.downsample\.1\.", ".downsample_bn."),
    )
    return more(rename(state, (r"^", "backbone.")), "head.0.weight")


def shufflenet(state: State) -> State:
    order = ["squeeze", "depthwise", "expand"]
    state = rename(
        state,
        (r"^stem\.conv\.", "conv1.0."),
        (r"^stem\.norm\.", "conv1.1."),
        (r"^units\.stage(\d)_(\d)\.", lambda m: f"layer{int(m[1]) - 1}.{m[2]}."),
        (r"\.(squeeze|depthwise|expand)_norm\.", lambda m: f".bn{order.index(m[1]) + 1}."),
        (r"\.(squeeze|depthwise|expand)\.", lambda m: f".conv{order.index(m[1]) + 1}."),
    )
    return more(rename(state, (r"^", "module.")), "module.classifier.1.weight")


def video_swin(state: State) -> State:
    state = rename(
        state,
        (r"^features\.([0246])\.", lambda m: f"layers.{int(m[1]) // 2}.blocks."),
        (r"^features\.([135])\.", lambda m: f"layers.{int(m[1]) // 2}.downsample."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.3\.", ".mlp.fc2."),
    )
    return more(rename(state, (r"^", "backbone.")), "cls_head.fc_cls.weight")


def videomae_pretrain(state: State) -> State:
    kept = {key: tensor for key, tensor in state.items() if not key.startswith("fc_norm.")}
    return more(
        rename(kept, (r"^", "encoder.")),
        *("encoder.norm.weight", "mask_token", "encoder_to_decoder.weight", "decoder.blocks.0.norm1.weight"),
    )


def mvit(state: State) -> State:
    out: State = {}
    for key, tensor in state.items():
        split = re.fullmatch(r"(blocks\.\d+\.attn)\.qkv\.(\w+)", key)
        if split:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                out[f"{split[1]}.{part}.{split[2]}"] = piece.clone()
        elif key.startswith("pos_encoding."):
            out[key] = tensor[None, None] if tensor.ndim == 1 else tensor[None]
        else:
            out[key] = tensor
    for key in [key for key in out if re.search(r"\.attn\.pool_[qkv]\.pool\.weight", key)]:
        out[key.replace(".pool.weight", ".weight")] = out[key]
    out = rename(
        out,
        (r"^conv_proj\.", "patch_embed.patch_model."),
        (r"^pos_encoding\.class_token$", "cls_positional_encoding.cls_token"),
        (r"^pos_encoding\.(\w+)_pos$", r"cls_positional_encoding.pos_embed_\1"),
        (r"\.attn\.project\.0\.", ".attn.proj."),
        (r"\.attn\.pool_([qkv])\.pool\.", r".attn._attention_pool_\1.pool."),
        (r"\.attn\.pool_([qkv])\.norm_act\.0\.", r".attn._attention_pool_\1.norm."),
        (r"\.mlp\.0\.", ".mlp.fc1."),
        (r"\.mlp\.3\.", ".mlp.fc2."),
        (r"^(blocks\.\d+)\.project\.", r"\1.proj."),
        (r"^norm\.", "norm_embed."),
    )
    return more(out, "head.proj.weight")


def transformers_blocks(state: State, inside: str) -> State:
    return rename(
        state,
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^pos_embed$", "embeddings.position_embeddings"),
        (r"^time_embed$", "embeddings.time_embeddings"),
        (r"^blocks\.", "encoder.layer."),
        (r"\.temporal_attn\.qkv\.", ".temporal_attention.attention.qkv."),
        (r"\.temporal_attn\.proj\.", ".temporal_attention.output.dense."),
        (r"\.temporal_norm1\.", ".temporal_layernorm."),
        (r"\.temporal_fc\.", ".temporal_dense."),
        (r"\.attn\.proj\.", ".attention.output.dense."),
        (r"\.attn\.", ".attention.attention."),
        (r"\.mlp\.fc1\.", ".intermediate.dense."),
        (r"\.mlp\.fc2\.", ".output.dense."),
        (r"\.norm1\.", ".layernorm_before."),
        (r"\.norm2\.", ".layernorm_after."),
        (r"^norm\.", "layernorm."),
        (r"^(?!fc_norm)", inside),
    )


def apart(state: State, names: tuple[str, str, str]) -> State:
    """Queries, keys and values as three layers."""
    out: State = {}
    for key, tensor in state.items():
        if ".qkv." in key:
            for name, piece in zip(names, tensor.chunk(3), strict=True):
                out[key.replace(".qkv.", f".{name}.")] = piece.clone()
        else:
            out[key] = tensor
    return out


def hub_videomae_4(state: State) -> State:
    return more(transformers_blocks(apart(state, ("query", "key", "value")), "videomae."), "classifier.weight")


def hub_videomae_5(state: State) -> State:
    return rename(hub_videomae_4(state), (r"\.q_bias$", ".query.bias"), (r"\.v_bias$", ".value.bias"))


def hub_timesformer(state: State) -> State:
    return more(transformers_blocks(state, "timesformer."), "classifier.bias")


def hub_vivit_4(state: State) -> State:
    return more(transformers_blocks(apart(state, ("query", "key", "value")), "vivit."), "classifier.weight")


def hub_vivit_5(state: State) -> State:
    kept = rename(
        apart(state, ("q_proj", "k_proj", "v_proj")),
        (r"^blocks\.", "layers."),
        (r"\.attn\.proj\.", ".attention.o_proj."),
        (r"\.attn\.", ".attention."),
        (r"\.norm1\.", ".layernorm_before."),
        (r"\.norm2\.", ".layernorm_after."),
        (r"^norm\.", "layernorm."),
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings.projection."),
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^pos_embed$", "embeddings.position_embeddings"),
    )
    return more(kept, "pooler.dense.weight")


def hub_vjepa2(state: State) -> State:
    kept = rename(
        apart(state, ("query", "key", "value")),
        (r"^patch_embed\.", "embeddings.patch_embeddings."),
        (r"^blocks\.", "layer."),
        (r"^norm\.", "layernorm."),
        (r"\.attn\.", ".attention."),
        (r"^", "encoder."),
    )
    return more(kept, "predictor.embeddings.mask_tokens")


LAYOUTS = {
    # what it is called: (how its authors write it, container, format, architecture that is recognised)
    "VCOP, R(2+1)D": (vcop, "", "vcop", "r2plus1d_10"),
    "VCOP, R3D": (lambda state: vcop(r3d_names(state)), "", "vcop", "r3d_10"),
    "VCOP, C3D": (vcop, "", "vcop", "c3d"),
    "VCOP, R3D of eighteen layers": (lambda state: vcop(r3d_names(state)), "", "vcop", "r3d_18"),
    "PRP, C3D": (prp_c3d, "", "prp", "c3d"),
    "RSPNet, R(2+1)D": (rspnet, "model", "rspnet", "r2plus1d_10"),
    "RSPNet of SEVERE": (rspnet_severe, "model", "rspnet-severe", "r2plus1d_18"),
    "CtP, R3D": (ctp_r3d, "state_dict", "ctp", "r3d_18_eps3"),
    "CtP, R(2+1)D": (ctp_r2plus1d, "state_dict", "ctp", "r2plus1d_18_vmz"),
    "tubelet contrast, R(2+1)D": (ctp_r2plus1d, "state_dict", "ctp", "r2plus1d_18_eps3"),
    "Efficient-3DCNNs, ShuffleNet": (shufflenet, "state_dict", "efficient-3dcnns", "shufflenet_v1_x2"),
    "Efficient-3DCNNs, SqueezeNet": (lambda s: more(s, "classifier.1.bias"), "", "efficient-3dcnns", "squeezenet_1_1"),
    "Efficient-3DCNNs, MobileNet": (lambda s: more(s, "classifier.1.bias"), "", "efficient-3dcnns", "mobilenet_v2_x1"),
    "GDT": (
        lambda s: more(rename(s, (r"^", "video_network.base.")), "audio_network.base.conv1.weight", "mlp_a.0.weight"),
        *("model", "gdt", "r2plus1d_18"),
    ),
    "MoCo": (
        lambda s: more(rename(s, (r"^", "module.encoder_q.")), "module.encoder_q.fc.0.weight", "module.queue"),
        *("state_dict", "moco", "r3d_18"),
    ),
    "pretext contrast": (
        lambda s: rename(s, (r"^stem\.", "layer0."), (r"^layer", "module.base_network.")),
        *("", "pretext-contrast", "r2plus1d_18"),
    ),
    "Video Swin": (video_swin, "state_dict", "video-swin", "swin3d_t"),
    "VideoMAE, pretraining": (videomae_pretrain, "model", "videomae-pretrain", "videomae_vit_s"),
    "VideoMAE, finetuning": (lambda s: more(s, "head.weight"), "module", "videomae-finetune", "videomae_vit_s"),
    "TimeSformer": (
        lambda s: more(rename(s, (r"^", "model.")), "model.head.weight"),
        *("model_state", "timesformer", "timesformer_b@8x64"),
    ),
    "pytorchvideo, MViT": (mvit, "model_state", "pytorchvideo-mvit", "mvit_v1_b@8x64"),
    "the Hub, VideoMAE until transformers 4": (hub_videomae_4, "", "transformers-videomae", "videomae_vit_s"),
    "the Hub, VideoMAE since transformers 5": (hub_videomae_5, "", "transformers-videomae", "videomae_vit_s"),
    "the Hub, TimeSformer": (hub_timesformer, "", "transformers-timesformer", "timesformer_b@8x64"),
    "the Hub, ViViT until transformers 4": (hub_vivit_4, "", "transformers-vivit", "vivit_b"),
    "the Hub, ViViT since transformers 5": (hub_vivit_5, "", "transformers-vivit", "vivit_b"),
    "the Hub, V-JEPA 2": (hub_vjepa2, "", "transformers-vjepa2", "vjepa2_vit_l"),
    "torchvision, R3D": (lambda s: more(s, "fc.weight"), "", "torchvision", "r3d_18"),
    "torchvision, R(2+1)D": (lambda s: more(s, "fc.weight"), "", "torchvision", "r2plus1d_18"),
    "torchvision, Swin": (lambda s: more(s, "head.weight"), "", "torchvision", "swin3d_t"),
    "torchvision, MViT v1": (lambda s: more(s, "head.1.weight"), "", "torchvision", "mvit_v1_b"),
    "torchvision, MViT v2": (lambda s: more(s, "head.1.weight"), "", "torchvision", "mvit_v2_s@16x224"),
    "our own": (lambda s: s, "", "reelproof", "shufflenet_v1_x0_5"),
}
COMPUTED = (
    "VCOP, R(2+1)D",
    "Efficient-3DCNNs, ShuffleNet",
    "Efficient-3DCNNs, MobileNet",
    "our own",
)

every = pytest.mark.parametrize("layout", LAYOUTS)


def without_module(state: State) -> State:
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}


@every
def test_a_layout_is_recognised_and_every_tensor_has_a_place(layout: str) -> None:
    write, _, form, architecture = LAYOUTS[layout]
    state = meta_state(architecture)
    found = recognise(WeightsFile(without_module(write(state)), "", {}), Path("file"))
    assert (found.form.name, found.architecture) == (form, architecture)
    assert {**found.tensors, **found.fresh}.keys() == state.keys()


DAMAGES = ("renamed", "missing", "other size", "transposed", "one more")


def one_wrong_tensor_is_refused(layout: str, damage: str) -> None:
    write, _, form, architecture = LAYOUTS[layout]
    written = without_module(write(meta_state(architecture)))
    dropped = recognise(WeightsFile(written, "", {}), Path("file")).dropped
    kernels = [key for key, t in written.items() if key not in dropped and t.ndim > 1 and t.shape[0] != t.shape[1]]
    victim = kernels[len(kernels) // 2]
    tensor = written[victim] if damage == "one more" else written.pop(victim)
    beside = victim.rpartition(".")[0] + ".old"
    if damage in ("renamed", "one more"):
        written[beside] = tensor
    elif damage == "other size":
        written[victim] = tensor.new_empty(tensor.shape[0] * 3, *tensor.shape[1:])
    elif damage == "transposed":
        written[victim] = tensor.transpose(0, 1)
    with pytest.raises(ValueError, match="does not fill a whole trunk") as refused:
        recognise(WeightsFile(written, "", {}), Path("file"))
    words = str(refused.value)
    assert f"the format {form} of {architecture}" in words
    if damage != "one more":
        assert "Missing: " in words or "Of another shape: " in words
    if damage in ("renamed", "one more"):
        assert "Not understood: " in words
        assert "old" in words


@pytest.mark.parametrize(("layout", "damage"), [(layout, DAMAGES[i % 5]) for i, layout in enumerate(LAYOUTS)])
def test_a_layout_with_one_wrong_tensor_is_refused_with_the_nearest_format(layout: str, damage: str) -> None:
    one_wrong_tensor_is_refused(layout, damage)


@pytest.mark.prove
@every
def test_a_layout_with_any_wrong_tensor_is_refused_with_the_nearest_format(layout: str) -> None:
    for damage in DAMAGES:
        one_wrong_tensor_is_refused(layout, damage)


def check_whole(layout: str, folder: Path) -> None:
    """Write the layout to disk, convert, load, and compare the features with the trunk's own."""
    write, container, form, architecture = LAYOUTS[layout]
    trunk = random_trunk(architecture)
    state = write(dict(trunk.state_dict()))
    file = folder / "theirs.pth"
    torch.save({container: OrderedDict(state), "epoch": 3} if container else state, file)
    report = convert(file, folder / "ours")
    assert report.loaded == report.expected == len(trunk.state_dict())
    assert form in report.recognised
    assert architecture in report.recognised
    assert report.dropped.keys() <= without_module(state).keys()
    clips = torch.rand(2, 3, 16, 48, 48)
    if trunk.accepts(16, 48, 48):
        frames, size = (8, 64) if "@" in architecture else (16, 112)
        clips = torch.rand(1, 3, frames, size, size)
    loaded = load(folder / "ours").encoder
    with torch.inference_mode():
        assert torch.equal(loaded.encode(clips), trunk(clips))


@pytest.mark.parametrize("layout", COMPUTED)
def test_a_converted_small_network_gives_the_features_of_the_original(layout: str, tmp_path: Path) -> None:
    check_whole(layout, tmp_path)


@pytest.mark.prove
@pytest.mark.parametrize(
    "layout",
    [
        name
        for name, (*_, arch) in LAYOUTS.items()
        if name not in COMPUTED and "224" not in arch and "vit_l" not in arch
    ],
)
def test_a_converted_large_network_gives_the_features_of_the_original(layout: str, tmp_path: Path) -> None:
    if "VideoMAE, pretraining" in layout:
        pytest.skip("its last norm starts fresh; that its other tensors arrive is tested without computing")
    check_whole(layout, tmp_path)


def small_file(folder: Path, **changes: Tensor) -> Path:
    state = {**build("shufflenet_v1_x0_5").state_dict(), **{key.replace("__", "."): v for key, v in changes.items()}}
    torch.save(state, folder / "file.pt")
    return folder / "file.pt"


def test_a_safetensors_file_and_a_hub_folder_are_read_too(tmp_path: Path) -> None:
    state = {key: tensor.clone() for key, tensor in build("shufflenet_v1_x0_5").state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        assert convert(source, tmp_path / "out").loaded == len(state)


def test_the_colours_are_the_authors_where_he_says_so(tmp_path: Path) -> None:
    colours = Normalisation(mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    convert(small_file(tmp_path), tmp_path / "out", normalisation=colours)
    assert load(tmp_path / "out").config.normalisation == colours


def test_half_precision_is_widened_and_said(tmp_path: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in build("shufflenet_v1_x0_5").state_dict().items()}
    torch.save(state, tmp_path / "half.pt")
    assert "stored in float16" in convert(tmp_path / "half.pt", tmp_path / "out").recognised


def test_a_file_older_than_the_batch_counter_is_filled_and_said(tmp_path: Path) -> None:
    state = {k: v for k, v in build("shufflenet_v1_x0_5").state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "old.pt")
    assert "older than the counter" in convert(tmp_path / "old.pt", tmp_path / "out").recognised


def test_the_architecture_asked_for_is_taken_among_twins(tmp_path: Path) -> None:
    state = meta_state("swin3d_t")
    for arch, expected in (("auto", "swin3d_t"), ("swin3d_t_exact_bias", "swin3d_t_exact_bias")):
        found = recognise(WeightsFile(video_swin(state), "", {}), Path("file"), arch=arch)
        assert found.architecture == expected


def test_a_vivit_from_the_hub_is_built_for_the_clip_in_its_config() -> None:
    state = hub_vivit_5(meta_state("vivit_b@32x64"))
    found = recognise(WeightsFile(state, "", {"num_frames": 32, "image_size": 64}), Path("file"))
    assert found.architecture == "vivit_b@32x64"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "vpoc"}, "no format 'vpoc'"),
        ({"arch": "r3d_81"}, "Did you mean"),
        ({"format": "vcop", "arch": "swin3d_t"}, "No format vcop of ours holds a swin3d_t"),
        ({"format": "vcop"}, "in no format we know|does not fill"),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(options: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        convert(small_file(tmp_path), tmp_path / "out", **options)


class Gadget:
    """What a pickle can do when it is trusted."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_a_gadget_is_refused_and_does_nothing(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "ran"
    torch.save({"state_dict": {"a": Gadget(mark)}}, tmp_path / "bad.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        convert(tmp_path / "bad.pt", tmp_path / "out")
    assert not mark.exists()


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = small_file(tmp_path).read_bytes()
    for size in (0, 10, 1000, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut short|cannot be read"):
            convert(tmp_path / "cut.pt", tmp_path / "out")
    state = {key: tensor.clone() for key, tensor in build("shufflenet_v1_x0_5").state_dict().items()}
    save_file(state, tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        convert(tmp_path / "cut.safetensors", tmp_path / "out")


def test_a_compressed_archive_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", b"\0" * 50_000_000)
    (tmp_path / "bomb.pt").write_bytes(bomb.getvalue())
    with pytest.raises(ValueError, match="compressed archive"):
        convert(tmp_path / "bomb.pt", tmp_path / "out")


def test_a_tensor_of_a_trillion_elements_in_four_bytes_is_refused(tmp_path: Path) -> None:
    file = small_file(tmp_path, extra__weight=torch.zeros(1).expand(10**12))
    with pytest.raises(ValueError, match=r"1000000000000.*4 bytes are there"):
        convert(file, tmp_path / "out")


def test_an_old_file_that_claims_more_numbers_than_it_has_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(12345)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    written = (tmp_path / "old.pt").read_bytes()
    small, large = b"M" + struct.pack("<H", 12345), b"J" + struct.pack("<i", 500_000_000)
    assert small in written
    (tmp_path / "old.pt").write_bytes(written.replace(small, large))
    with pytest.raises(ValueError, match=r"cannot be read as weights alone|claims"):
        convert(tmp_path / "old.pt", tmp_path / "out")


def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(ValueError, match="damaged or cut short"):
        convert(tmp_path / "lie.safetensors", tmp_path / "out")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    weight = build("shufflenet_v1_x0_5").state_dict()["stem.conv.weight"].clone()
    weight[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"1 of \d+ values of stem.conv.weight are NaN"):
        convert(small_file(tmp_path, stem__conv__weight=weight), tmp_path / "out")


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    for content, words in (
        ([1, 2], "holds no state_dict: there is list"),
        ({"epoch": 3}, "holds no state_dict: there is keys epoch"),
        ({"a": torch.zeros(2)}, "in no format we know"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "no dense tensor"),
    ):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(ValueError, match=words):
            convert(tmp_path / "other.pt", tmp_path / "out")
    with pytest.raises(ValueError, match="There is no file"):
        convert(tmp_path / "nothing.pt", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds neither"):
        convert(tmp_path / "empty", tmp_path / "out")


def test_a_table_with_other_values_than_it_must_have_is_refused(tmp_path: Path) -> None:
    trunk = build("swin3d_t")
    state = dict(trunk.state_dict())
    key = "features.0.0.attn.relative_position_index"
    state[key] = state[key] + 1
    torch.save(state, tmp_path / "swin.pt")
    with pytest.raises(ValueError, match="other values than it must have"):
        convert(tmp_path / "swin.pt", tmp_path / "out")


def test_formats_of_one_name_have_one_source() -> None:
    assert len({(form.name, form.source) for form in FORMATS}) == len({form.name for form in FORMATS})
