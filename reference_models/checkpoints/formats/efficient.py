"""The small networks of Kopuklu et al. as their authors save them.

Source: okankop/Efficient-3DCNNs at 9db09f6.
"""

from reference_models.checkpoints.formats.format import RAW, Format

PARTS = {
    "conv1": "squeeze",
    "bn1": "squeeze_norm",
    "conv2": "depthwise",
    "bn2": "depthwise_norm",
    "conv3": "expand",
    "bn3": "expand_norm",
}

EFFICIENT_SHUFFLENET = Format(
    name="efficient-3dcnns",
    source="okankop/Efficient-3DCNNs",
    architectures=("shufflenet_v1_x2", "shufflenet_v1_x1", "shufflenet_v1_x0_5"),
    marks=r"^layer3\.3\.bn3\.",
    normalisation=RAW,
    drops=((r"^classifier\.", "classifier"),),
    renames=(
        (r"^conv1\.0\.", "stem.conv."),
        (r"^conv1\.1\.", "stem.norm."),
        (
            r"^layer([1-3])\.(\d)\.((?:conv|bn)[1-3])\.",
            lambda m: f"units.stage{int(m[1]) + 1}_{m[2]}.{PARTS[m[3]]}.",
        ),
    ),
)
EFFICIENT = Format(
    name="efficient-3dcnns",
    source="okankop/Efficient-3DCNNs",
    architectures=("squeezenet_1_1", "mobilenet_v2_x1"),
    marks=r"^features\.(4\.squeeze_bn|1\.conv\.0)\.",
    normalisation=RAW,
    drops=((r"^classifier\.", "classifier"),),
)
