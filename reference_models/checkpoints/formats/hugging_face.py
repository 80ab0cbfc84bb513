"""VideoMAE, TimeSformer, ViViT and V-JEPA 2 as the Hub has them: the layout of transformers, in its version 4 and since 5.

Source: transformers 5.23.0, whose keys these are; the values go into our own networks, so that the library is not
needed. VideoMAE's biases of queries and values are `q_bias` and `v_bias` in files of version 4, `query.bias` and
`value.bias` since; both arrive.
"""

from bench.schema import Normalisation
from reference_models.checkpoints.formats.format import GREY, IMAGENET, Format, Rename
from reference_models.checkpoints.formats.videomae import NO_FC_NORM

HALF = Normalisation(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

BLOCKS: tuple[Rename, ...] = (
    (r"^embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"^embeddings\.cls_token$", "cls_token"),
    (r"^embeddings\.position_embeddings$", "pos_embed"),
    (r"^embeddings\.time_embeddings$", "time_embed"),
    (r"^encoder\.layer\.", "blocks."),
    (r"\.attention\.output\.dense\.", ".attn.proj."),
    (r"\.attention\.attention\.", ".attn."),
    (r"\.intermediate\.dense\.", ".mlp.fc1."),
    (r"\.output\.dense\.", ".mlp.fc2."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"^layernorm\.", "norm."),
)

HF_VIDEOMAE = Format(
    name="transformers-videomae",
    source="transformers, VideoMAE",
    architectures=("videomae_vit_b", "videomae_vit_s"),
    marks=r"^(videomae\.)?encoder\.layer\.0\.attention\.attention\.(q_bias|query\.bias)$",
    normalisation=IMAGENET,
    drops=(
        (r"^(decoder\.|encoder_to_decoder\.|mask_token$)", "decoder of pretraining"),
        (r"^(videomae\.)?layernorm\.", "norm over tokens, left away by mean pooling"),
        (r"^classifier\.", "classifier"),
    ),
    renames=(
        (r"^videomae\.", ""),
        *BLOCKS,
        (r"\.attn\.(query\.bias|q_bias)$", ".attn.q_bias"),
        (r"\.attn\.(value\.bias|v_bias)$", ".attn.v_bias"),
        (r"\.attn\.(q|k|v)(uery|ey|alue)\.weight$", r".attn.\1.weight"),
    ),
    joins_qkv=True,
    fresh=NO_FC_NORM,
)
HF_TIMESFORMER = Format(
    name="transformers-timesformer",
    source="transformers, TimeSformer",
    architectures=("timesformer_b",),
    marks=r"^(timesformer\.)?encoder\.layer\.0\.temporal_dense\.",
    normalisation=GREY,
    drops=((r"^classifier\.", "classifier"),),
    renames=(
        (r"^timesformer\.", ""),
        (r"\.temporal_attention\.attention\.", ".temporal_attn."),
        (r"\.temporal_attention\.output\.dense\.", ".temporal_attn.proj."),
        (r"\.temporal_layernorm\.", ".temporal_norm1."),
        (r"\.temporal_dense\.", ".temporal_fc."),
        *BLOCKS,
    ),
)
HF_VIVIT = Format(
    name="transformers-vivit",
    source="transformers, ViViT",
    architectures=("vivit_b",),
    marks=r"^(vivit\.)?(encoder\.layer\.0\.attention\.attention\.key|layers\.0\.attention\.k_proj)\.bias$",
    normalisation=HALF,
    drops=((r"^classifier\.", "classifier"), (r"^(vivit\.)?pooler\.", "pooler, which its own classifier skips")),
    renames=(
        (r"^vivit\.", ""),
        (r"^layers\.", "blocks."),
        (r"\.attention\.([qkv])_proj\.", r".attn.\1."),
        (r"\.attention\.o_proj\.", ".attn.proj."),
        *BLOCKS,
        (r"\.attn\.(q|k|v)(uery|ey|alue)\.", r".attn.\1."),
    ),
    joins_qkv=True,
)
HF_VJEPA2 = Format(
    name="transformers-vjepa2",
    source="transformers, V-JEPA 2",
    architectures=("vjepa2_vit_l",),
    marks=r"^(vjepa2\.)?encoder\.layer\.0\.attention\.query\.weight$",
    normalisation=IMAGENET,
    drops=(
        (r"^(vjepa2\.)?predictor\.", "predictor of pretraining"),
        (r"^(pooler|classifier)\.", "classifier and its attentive pooler"),
    ),
    renames=(
        (r"^(vjepa2\.)?encoder\.", ""),
        (r"^embeddings\.patch_embeddings\.proj\.", "patch_embed.proj."),
        (r"^layer\.", "blocks."),
        (r"^layernorm\.", "norm."),
        (r"\.attention\.(q|k|v)(uery|ey|alue)\.", r".attn.\1."),
        (r"\.attention\.proj\.", ".attn.proj."),
    ),
    joins_qkv=True,
)
