"""torchvision's networks: as the library saves them, and inside somebody's pretext task, under a prefix.

Sources: torchvision; facebookresearch/GDT at 873e630 and selavi at 33d2b2d (the video side of two networks),
tinapan-pt/VideoMoCo at 42e069a and MoCo as SEVERE trains it (a momentum encoder beside),
BestJuly/Pretext-Contrastive-Learning at bc46d88.
"""

from dataclasses import replace

from reference_models.checkpoints.formats.format import GREY, IMAGENET, KINETICS, MOMENTUM, Format, Rename

TORCHVISION_RESNET = Format(
    name="torchvision",
    source="torchvision",
    architectures=("r2plus1d_18", "r3d_18"),
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
GDT = replace(
    TORCHVISION_RESNET,
    name="gdt",
    source="facebookresearch/GDT, facebookresearch/selavi",
    marks=r"^video_network\.base\.stem\.",
    drops=((r"^audio_network", "audio network"), (r"^(mlp_|video_network\.base\.fc\.)", "head of the pretext task")),
    renames=((r"^video_network\.base\.", ""),),
)
MOCO = replace(
    TORCHVISION_RESNET,
    name="moco",
    source="tinapan-pt/VideoMoCo, MoCo of fmthoker/SEVERE-BENCHMARK",
    marks=r"^encoder_q\.stem\.",
    drops=(*MOMENTUM, (r"^encoder_q\.fc\.", "head of the pretext task")),
    renames=((r"^encoder_q\.", ""),),
)


def numbered(prefix: str) -> tuple[Rename, ...]:
    """Stem and stages as the children 0 to 4 of a Sequential of that name."""
    return ((rf"^{prefix}0\.", "stem."), (rf"^{prefix}", "layer"))


PRETEXT_CONTRAST = replace(
    TORCHVISION_RESNET,
    name="pretext-contrast",
    source="BestJuly/Pretext-Contrastive-Learning",
    marks=r"^base_network\.0\.0\.",
    drops=((r"^(?!base_network\.)", "head of the pretext task"),),
    renames=numbered(r"base_network\."),
)
