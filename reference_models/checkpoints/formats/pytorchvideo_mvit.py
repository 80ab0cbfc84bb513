"""MViT as pytorchvideo saves it.

Source: facebookresearch/pytorchvideo at f3142bb. Queries, keys and values stand apart; every pooling is stored twice.
"""

from reference_models.checkpoints.formats.format import GREY, Format

POSITIONS = {
    "cls_token": "class_token",
    "pos_embed_spatial": "spatial_pos",
    "pos_embed_temporal": "temporal_pos",
    "pos_embed_class": "class_pos",
}

PYTORCHVIDEO_MVIT = Format(
    name="pytorchvideo-mvit",
    source="facebookresearch/pytorchvideo",
    architectures=("mvit_v1_b",),
    marks=r"^cls_positional_encoding\.",
    normalisation=GREY,
    drops=((r"^head\.", "classifier"), (r"\.attn\.(pool|norm)_[qkv]\.", "stored twice")),
    renames=(
        (r"^patch_embed\.patch_model\.", "conv_proj."),
        (r"^cls_positional_encoding\.(\w+)$", lambda m: f"pos_encoding.{POSITIONS.get(m[1], m[1])}"),
        (r"\.attn\.proj\.", ".attn.project.0."),
        (r"\.attn\._attention_pool_([qkv])\.pool\.", r".attn.pool_\1.pool."),
        (r"\.attn\._attention_pool_([qkv])\.norm\.", r".attn.pool_\1.norm_act.0."),
        (r"\.mlp\.fc1\.", ".mlp.0."),
        (r"\.mlp\.fc2\.", ".mlp.3."),
        (r"^(blocks\.\d+)\.proj\.", r"\1.project."),
        (r"^norm_embed\.", "norm."),
    ),
    joins_qkv=True,
    squeezes=r"^pos_encoding\.",
)
