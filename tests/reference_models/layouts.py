"""The layouts in which people have checkpoints, written from a trunk's tensors by the names that their authors use."""

import re
from functools import cache

import torch
from torch import Tensor

from reference_models.backbones import build

State = dict[str, Tensor]


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
"""Name: how it is written, under which key of the file, what it is recognised as, which architecture it holds."""


def without_module(state: State) -> State:
    """As a file is read: what data-parallel training puts before every key is taken away."""
    return {key.removeprefix("module."): tensor for key, tensor in state.items()}
