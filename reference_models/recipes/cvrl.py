"""CVRL: two clips of a video find each other. Negatives and batch statistics are those of one process's batch.

Source of the settings: tensorflow/models, official/projects/video_ssl (configs/experiments/cvrl_pretrain_k600_200ep.yaml)
with what the paper changes: its augmentation, Kinetics-400, frames of 112. How the paper ran CVRL, and with what batch, it
does not say.
"""

from dataclasses import replace

from bench.schema import ClipSpec
from reference_models.augmentation import Augmentation
from reference_models.pretext.cvrl import InstanceContrast
from reference_models.recipes.landing import Landing, Milestone
from reference_models.recipes.recipe import (
    MINI_CLIP,
    PAPER_AUGMENTATION,
    PAPER_CLIP,
    PAPER_MILESTONES,
    PAPER_VIDEOS,
    UNIT,
    Recipe,
    steps_for,
)


def mini_cvrl() -> Recipe:
    """CVRL on the embedded appearance videos: four minutes on one core.

    Loss: 2 log(23) = 6.3 at the start. Batches are whole sources and colours are turned at will, so neither background nor
    colour tells whose clip it is; of 23 views it finds the right one in 29 to 43 % after 300 steps and in 73 to 86 % at the end.
    The probe of appearance gains in both seeds, by 15 and 37 points, R@1 with one of them (docs/lab_notes.md). A source of
    these videos holds one of each class, so the negatives from a video's own source are all of other classes.
    """
    return Recipe(
        name="mini-cvrl",
        title="CVRL (mini)",
        architecture="shufflenet_v1_x0_5",
        task=InstanceContrast(hidden=512, hidden_layers=2),
        videos="appearance",
        clip=MINI_CLIP,
        batch_size=12,
        batches="by_source",
        steps=1200,
        learning_rate=3e-3,
        weight_decay=0.05,
        augmentation=Augmentation(brightness=0.2, contrast=0.2, saturation=0.3, hue=0.5),
        landing=Landing(
            metric="accuracy",
            milestones=(Milestone(300, 0.20, 0.60), Milestone(600, 0.42, 0.78), Milestone(1200, 0.64, 0.92)),
            downstream="linear_probe top1 on appearance",
            low=0.46,
            high=0.85,
        ),
    )


def paper_cvrl(batch_size: int = 1024) -> Recipe:
    """CVRL as in the paper: its list with grayscale and gamma, of which TCLR's loader tells the magnitudes.

    R(2+1)D-10 finetuned on UCF101 reaches 61.2 there. Another batch takes its share of the rate, which is the source's for
    1024; 2 log(2 B - 1) = 15.2 is the loss at the start.
    """
    return Recipe(
        name="paper-cvrl" if batch_size == 1024 else f"paper-cvrl-batch-{batch_size}",
        title="CVRL" if batch_size == 1024 else f"CVRL (batches of {batch_size})",
        architecture="r2plus1d_10",
        task=InstanceContrast(),
        videos=PAPER_VIDEOS,
        clip=PAPER_CLIP.model_copy(update={"stride": 2}),
        normalisation=UNIT,
        batch_size=batch_size,
        steps=steps_for(200, batch_size),
        milestones=tuple(steps_for(epochs, batch_size) for epochs in PAPER_MILESTONES),
        optimiser="sgd",
        learning_rate=0.32 * batch_size / 1024,
        weight_decay=1e-6,
        warm_up=5 / 200,
        augmentation=replace(PAPER_AUGMENTATION, grayscale=0.175, gamma=(0.75, 1.25), gamma_probability=0.75),
    )


def upstream_cvrl() -> Recipe:
    """CVRL as its authors train it: Kinetics-600, frames of 224, their augmentation."""
    return replace(
        paper_cvrl(),
        name="upstream-cvrl",
        title="CVRL (upstream settings)",
        videos="the training videos of Kinetics-600",
        clip=ClipSpec(num_frames=16, stride=2, resize=(256, 342), size=224),
        steps=71_488,
        milestones=(),
        augmentation=Augmentation(
            crop="resized",
            area=(0.3, 1.0),
            aspect=(0.5, 2.0),
            flip=0.5,
            brightness=0.8,
            contrast=0.8,
            saturation=0.8,
            hue=0.2,
            jitter_probability=0.8,
            grayscale=0.2,
            blur=(1.0, 0.1),
            solarise=(0.0, 0.2),
        ),
    )
