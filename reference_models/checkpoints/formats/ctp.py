"""CtP and tubelet contrast: 3D residual networks with batch norms of eps 1e-3.

Sources: microsoft/CtP at 847b8fc, whose R(2+1)D has the channels of the original; fmthoker/tubelet-contrast at 5f9a715,
whose R(2+1)D has torchvision's. The shapes tell which.
"""

from reference_models.checkpoints.formats.format import IMAGENET, Format

CTP = Format(
    name="ctp",
    source="microsoft/CtP, fmthoker/tubelet-contrast",
    architectures=("r3d_18_eps3", "r2plus1d_18_eps3", "r2plus1d_18_vmz"),
    marks=r"^(backbone\.)?stem\.(conv|conv_s)\.",
    normalisation=IMAGENET,
    drops=((r"^(?!backbone\.|stem\.|layer\d\.)", "head of the pretext task"), (r"^(backbone\.)?fc\.", "classifier")),
    renames=(
        (r"^backbone\.", ""),
        (r"^stem\.conv(_s)?\.", "stem.0."),
        (r"^stem\.bn(_s)?\.", "stem.1."),
        (r"^stem\.conv_t\.", "stem.3."),
        (r"^stem\.bn_t\.", "stem.4."),
        (r"\.(conv\d)\.conv_s\.", r".\1.0.0."),
        (r"\.(conv\d)\.bn_s\.", r".\1.0.1."),
        (r"\.(conv\d)\.conv_t\.", r".\1.0.3."),
        (r"\.(conv\d)\.conv\.", r".\1.0."),
        (r"^(layer\d\.\d)\.bn(\d)\.", r"\1.conv\2.1."),
        (r"\.downsample\.(conv\.)?weight$", ".downsample.0.weight"),
        (r"\.downsample_bn\.", ".downsample.1."),
    ),
)
