"""torchvision's R(2+1)D-18 and R3D-18 inside somebody's pretext task, found under a prefix.

Sources: facebookresearch/GDT at 873e630 and selavi at 33d2b2d (the video side of two networks), tinapan-pt/VideoMoCo at
42e069a and MoCo as SEVERE trains it (a momentum encoder beside), BestJuly/Pretext-Contrastive-Learning at bc46d88.
"""

from reference_models.checkpoints.formats.format import KINETICS, Format

GDT = Format(
    name="gdt",
    source="facebookresearch/GDT, facebookresearch/selavi",
    architectures=("r2plus1d_18", "r3d_18"),
    marks=r"^video_network\.base\.stem\.",
    normalisation=KINETICS,
    drops=(
        (r"^audio_network", "audio network"),
        (r"^mlp_|^video_network\.base\.fc\.", "head of the pretext task"),
    ),
    renames=((r"^video_network\.base\.", ""),),
)
MOCO = Format(
    name="moco",
    source="tinapan-pt/VideoMoCo, MoCo of fmthoker/SEVERE-BENCHMARK",
    architectures=("r2plus1d_18", "r3d_18"),
    marks=r"^encoder_q\.stem\.",
    normalisation=KINETICS,
    drops=(
        (r"^queue", "queue of negatives"),
        (r"^encoder_k\.", "momentum encoder"),
        (r"^encoder_q\.fc\.", "head of the pretext task"),
    ),
    renames=((r"^encoder_q\.", ""),),
)
PRETEXT_CONTRAST = Format(
    name="pretext-contrast",
    source="BestJuly/Pretext-Contrastive-Learning",
    architectures=("r2plus1d_18", "r3d_18"),
    marks=r"^base_network\.0\.0\.",
    normalisation=KINETICS,
    drops=((r"^(?!base_network\.)", "head of the pretext task"),),
    renames=((r"^base_network\.0\.", "stem."), (r"^base_network\.", "layer")),
)
