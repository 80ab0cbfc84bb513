"""VideoMAE, TimeSformer, ViViT and V-JEPA 2 as the Hub has them: the layout of transformers, version 4 and since 5.

Source: transformers 5.23.0 (conversion_mapping.py for VideoMAE; ViViT's blocks were renamed between the versions).
`BY_MODEL_TYPE` gives the keys of the library's own classes, for repositories whose config.json names one of the four; the
formats after it go on from there to our own networks, for which the library is not needed. VideoMAE's biases of queries
and values, `q_bias` and `v_bias` until version 4 and lost by the library for a while since, arrive from either.
"""

from dataclasses import replace

from bench.schema import Normalisation
from reference_models.checkpoints.formats.format import GREY, IMAGENET, Format, Rename
from reference_models.checkpoints.formats.videomae import NO_FC_NORM, NORM_OVER_TOKENS, PRETRAINING_DECODER

HALF = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

BY_MODEL_TYPE: dict[str, Format] = {
    "videomae": Format(
        name="hub-videomae",
        source="a repository of the Hub, VideoMAE of transformers",
        normalisation=IMAGENET,
        drops=(PRETRAINING_DECODER, (r"^classifier\.", "classifier")),
        renames=((r"^videomae\.", ""), (r"\.q_bias$", ".query.bias"), (r"\.v_bias$", ".value.bias")),
    ),
    "timesformer": Format(
        name="hub-timesformer",
        source="a repository of the Hub, TimeSformer of transformers",
        normalisation=GREY,
        drops=((r"^classifier\.", "classifier"),),
        renames=((r"^timesformer\.", ""),),
    ),
    "vivit": Format(
        name="hub-vivit",
        source="a repository of the Hub, ViViT of transformers",
        normalisation=HALF,
        drops=((r"^classifier\.", "classifier"), (r"^(vivit\.)?pooler\.", "pooler, which its own classifier skips")),
        renames=(
            (r"^vivit\.", ""),
            (r"^(encoder\.layer|layers)\.", "blocks."),
            (r"\.attention\.attention\.([qkv])(uery|ey|alue)\.", r".attention.\1_proj."),
            (r"\.attention\.output\.dense\.", ".attention.o_proj."),
            (r"\.intermediate\.dense\.", ".mlp.fc1."),
            (r"\.output\.dense\.", ".mlp.fc2."),
        ),
    ),
    "vjepa2": Format(
        name="hub-vjepa2",
        source="a repository of the Hub, V-JEPA 2 of transformers",
        normalisation=IMAGENET,
        drops=(
            (r"^(vjepa2\.)?predictor\.", "predictor of pretraining"),
            (r"^(pooler|classifier)\.", "classifier and its attentive pooler"),
        ),
        renames=((r"^vjepa2\.", ""),),
    ),
}

BLOCKS: tuple[Rename, ...] = (
    (r"^(encoder\.)?embeddings\.patch_embeddings\.proj(ection)?\.", "patch_embed.proj."),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.time_embeddings$", "time_embed"),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.temporal_attention\.attention\.", ".temporal_attn."),
    (r"\.temporal_attention\.output\.dense\.", ".temporal_attn.proj."),
    (r"\.temporal_layernorm\.", ".temporal_norm1."),
    (r"\.temporal_dense\.", ".temporal_fc."),
    (r"\.attention\.(output\.dense|o_proj|proj)\.", ".attn.proj."),
    (r"\.attention\.(attention\.)?", ".attn."),
    (r"\.attn\.([qkv])(uery|ey|alue|_proj)\.", r".attn.\1."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"^(encoder\.)?layernorm\.", "norm."),
)
"""From the library's keys to those of our networks."""


def _for_ours(model_type: str, architectures: tuple[str, ...], marks: str, renames: tuple[Rename, ...] = ()) -> Format:
    """The format of a model type, gone on from the library's keys to those of our own networks."""
    theirs = BY_MODEL_TYPE[model_type]
    return replace(
        theirs,
        name=f"transformers-{model_type}",
        source=theirs.source.removeprefix("a repository of the Hub, "),
        architectures=architectures,
        marks=marks,
        renames=(*theirs.renames, *BLOCKS, *renames),
        joins_qkv=True,
    )


HF_VIDEOMAE = replace(
    _for_ours(
        "videomae",
        ("videomae_vit_b", "videomae_vit_s"),
        r"^(videomae\.)?encoder\.layer\.0\.attention\.attention\.(q_bias|query\.bias)$",
        ((r"\.attn\.([qv])\.bias$", r".attn.\1_bias"),),
    ),
    drops=(*BY_MODEL_TYPE["videomae"].drops, NORM_OVER_TOKENS),
    fresh=NO_FC_NORM,
)
HF_TIMESFORMER = _for_ours("timesformer", ("timesformer_b",), r"^(timesformer\.)?encoder\.layer\.0\.temporal_dense\.")
HF_VIVIT = _for_ours(
    "vivit",
    ("vivit_b",),
    r"^(vivit\.)?(encoder\.layer\.0\.attention\.attention\.key|layers\.0\.attention\.k_proj)\.bias$",
)
HF_VJEPA2 = _for_ours("vjepa2", ("vjepa2_vit_l",), r"^(vjepa2\.)?encoder\.layer\.0\.attention\.query\.weight$")
