"""RSPNet: relative speed prediction, with a momentum encoder beside the one that is kept.

Sources: PeihaoChen/RSPNet at 2958779, whose R(2+1)D and C3D are those of clip order prediction; the re-trained
checkpoint of fmthoker/SEVERE-BENCHMARK at 2f99365, which is torchvision's R(2+1)D-18.
"""

from dataclasses import replace

from reference_models.checkpoints.formats.format import KINETICS, MOMENTUM, Format
from reference_models.checkpoints.formats.torchvision import numbered

RSPNET = Format(
    name="rspnet",
    source="PeihaoChen/RSPNet",
    architectures=("r2plus1d_10", "c3d"),
    marks=r"^encoder_q\.encoder\.(?!base_network)",
    normalisation=KINETICS,
    drops=(*MOMENTUM, (r"^(encoder_q\.)?(fc\d?|encoder\.(linear|fc))\.", "head of the pretext task")),
    renames=((r"^encoder_q\.encoder\.", ""),),
)
RSPNET_SEVERE = replace(
    RSPNET,
    name="rspnet-severe",
    source="RSPNet of fmthoker/SEVERE-BENCHMARK",
    architectures=("r2plus1d_18",),
    marks=r"^encoder_q\.encoder\.base_network\.",
    renames=numbered(r"encoder_q\.encoder\.base_network\."),
)
