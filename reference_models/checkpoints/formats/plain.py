"""A trunk's own keys: what torchvision saves, and what `state_dict()` of our backbones gives."""

from reference_models.backbones import BACKBONES
from reference_models.checkpoints.formats.format import GREY, IMAGENET, KINETICS, Format

TORCHVISION_RESNET = Format(
    name="torchvision",
    source="torchvision",
    architectures=("r3d_18", "r2plus1d_18"),
    marks=r"^stem\.0\.weight$",
    normalisation=KINETICS,
    drops=((r"^fc\.", "classifier"),),
)
TORCHVISION_SWIN = Format(
    name="torchvision",
    source="torchvision",
    architectures=("swin3d_t", "swin3d_t_exact_bias"),
    marks=r"^features\.0\.0\.attn\.relative_position_bias_table$",
    normalisation=IMAGENET,
    drops=((r"^head\.", "classifier"),),
)
TORCHVISION_MVIT = Format(
    name="torchvision",
    source="torchvision",
    architectures=("mvit_v1_b", "mvit_v2_s"),
    marks=r"^pos_encoding\.class_token$",
    normalisation=GREY,
    drops=((r"^head\.", "classifier"),),
)
OWN = Format(
    name="reelproof",
    source="Reelproof's own backbones",
    architectures=tuple(BACKBONES),
    marks="",
    normalisation=IMAGENET,
)
