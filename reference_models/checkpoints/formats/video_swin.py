"""Video Swin Transformer as its authors save it.

Source: SwinTransformer/Video-Swin-Transformer at db018fb.
"""

from reference_models.checkpoints.formats.format import IMAGENET, Format

VIDEO_SWIN = Format(
    name="video-swin",
    source="SwinTransformer/Video-Swin-Transformer",
    architectures=("swin3d_t", "swin3d_t_exact_bias"),
    marks=r"^(backbone\.)?layers\.0\.blocks\.0\.attn\.relative_position_bias_table$",
    normalisation=IMAGENET,
    drops=((r"^cls_head\.", "classifier"),),
    renames=(
        (r"^backbone\.", ""),
        (r"^layers\.(\d)\.blocks\.(\d+)\.", lambda m: f"features.{2 * int(m[1])}.{m[2]}."),
        (r"^layers\.(\d)\.downsample\.", lambda m: f"features.{2 * int(m[1]) + 1}."),
        (r"\.mlp\.fc1\.", ".mlp.0."),
        (r"\.mlp\.fc2\.", ".mlp.3."),
    ),
)
