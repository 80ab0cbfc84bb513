"""Clip order prediction, and what descends from its code (PRP, video-pace).

Sources: xudejing/video-clip-order-prediction at 7a1710d, yuanyao366/PRP at a0e42ba. The trunk stands under
`base_network.`; everything beside it is the head. PRP names the layers of C3D otherwise. R3D's keys become torchvision's.
"""

from reference_models.checkpoints.formats.format import RAW, Format, Reason, Rename

DROPS: tuple[Reason, ...] = (
    (r"^(?!.*base_network\.)", "head of the pretext task"),
    (r"base_network\.(linear|fc)\.", "classifier"),
)
PREFIX: Rename = (r"^.*?base_network\.", "")

R3D: tuple[Rename, ...] = (
    (r"^conv1\.temporal_spatial_conv\.", "stem.0."),
    (r"^bn1\.", "stem.1."),
    (r"^conv([2-5])\.block1\.", lambda m: f"layer{int(m[1]) - 1}.0."),
    (r"^conv([2-5])\.blocks\.(\d)\.", lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) + 1}."),
    (r"^(layer\d\.\d\.conv[12])\.temporal_spatial_conv\.", r"\1.0."),
    (r"^(layer\d\.\d)\.bn([12])\.", r"\1.conv\2.1."),
    (r"\.downsampleconv\.temporal_spatial_conv\.", ".downsample.0."),
    (r"\.downsamplebn\.", ".downsample.1."),
)

VCOP = Format(
    name="vcop",
    source="xudejing/video-clip-order-prediction",
    architectures=("c3d", "r2plus1d_10"),
    marks=r"base_network\.(conv1\.weight|conv1\.spatial_conv)",
    normalisation=RAW,
    drops=DROPS,
    renames=(PREFIX,),
)
VCOP_R3D = Format(
    name="vcop",
    source="xudejing/video-clip-order-prediction",
    architectures=("r3d_10", "r3d_18"),
    marks=r"base_network\..*temporal_spatial_conv\.",
    normalisation=RAW,
    drops=DROPS,
    renames=(PREFIX, *R3D),
)
PRP = Format(
    name="prp",
    source="yuanyao366/PRP",
    architectures=("c3d", "r2plus1d_10"),
    marks=r"base_network\.conv1\.conv3d\.",
    normalisation=RAW,
    drops=DROPS,
    renames=(
        PREFIX,
        (r"^conv(\d)_(\d)\.conv3d\.", lambda m: f"conv{m[1]}{'ab'[int(m[2]) - 1]}.conv3d."),
        (r"^conv(\d[ab]?)\.conv3d\.0\.", r"conv\1."),
        (r"^conv(\d[ab]?)\.conv3d\.1\.", r"bn\1."),
    ),
)
