"""Rotation prediction.

Source of the settings: 3DRotNet (LongLong-Jing at 32dcfcf) with what the paper changes: its augmentation, Kinetics-400.
Differs: weight decay leaves biases and norms alone; the source's frames come at a size of their own, here at that of the
other tasks. It divides its rate by ten every 24,000 of about 120,000 steps; with the paper's epochs that is every fifth.
"""

from dataclasses import replace

from bench.schema import Normalisation
from reference_models.augmentation import Augmentation
from reference_models.pretext.rotnet import LEVELS, Rotation
from reference_models.recipes.landing import Landing, Milestone
from reference_models.recipes.recipe import (
    MINI_CLIP,
    PAPER_AUGMENTATION,
    PAPER_CLIP,
    PAPER_MILESTONES,
    PAPER_VIDEOS,
    Recipe,
    steps_for,
)

KINETICS = Normalisation(mean=(0.4339, 0.4046, 0.3776), std=(0.1520, 0.1486, 0.1569))
"""The source's own colours."""


def mini_rotnet() -> Recipe:
    """Rotation prediction on videos whose figures stand upright.

    Loss: log(4) = 1.39 at the start. Quarter turns are told from half turns within 60 steps; up from down takes longer.
    The ranges are drawn about two runs.
    """
    return Recipe(
        name="mini-rotnet",
        title="Rotation (mini)",
        architecture="shufflenet_v1_x0_5",
        task=Rotation(),
        videos="appearance",
        clip=MINI_CLIP,
        batch_size=8,
        steps=250,
        learning_rate=3e-3,
        weight_decay=0.05,
        head_rate=0.1,
        warm_up=0.08,
        augmentation=Augmentation(flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
        landing=Landing(
            metric="accuracy",
            milestones=(Milestone(60, 0.32, 0.52), Milestone(125, 0.36, 0.56), Milestone(250, 0.40, 0.65)),
            downstream="linear_probe top1 on appearance",
            low=0.43,
            high=0.60,
        ),
    )


def paper_rotnet(rotations: int = 4) -> Recipe:
    """Rotation prediction as in the paper; 2 and 3 rotations are the levels of its Table 13.

    R(2+1)D-10 finetuned on UCF101 reaches 41.2 there, 48.3 / 58.3 / 41.2 by level.
    """
    return Recipe(
        name="paper-rotnet" if rotations == 4 else f"paper-rotnet-{rotations}",
        title="Rotation" if rotations == 4 else f"Rotation ({rotations} angles)",
        architecture="r2plus1d_10",
        task=Rotation(LEVELS[rotations]),
        videos=PAPER_VIDEOS,
        clip=PAPER_CLIP.model_copy(update={"stride": 2}),
        normalisation=KINETICS,
        batch_size=32,
        steps=steps_for(200, 32),
        milestones=tuple(steps_for(epochs, 32) for epochs in PAPER_MILESTONES),
        optimiser="sgd",
        learning_rate=0.1,
        schedule="step",
        drops=(0.2, 0.4, 0.6, 0.8),
        weight_decay=1e-3,
        warm_up=0.0,
        augmentation=PAPER_AUGMENTATION,
    )


def upstream_rotnet() -> Recipe:
    """Rotation prediction as its authors train it: all of Kinetics-400, about 120,000 steps, no colour jitter."""
    return replace(
        paper_rotnet(),
        name="upstream-rotnet",
        title="Rotation (upstream settings)",
        architecture="r3d_18",
        videos="the training videos of Kinetics-400",
        steps=120_000,
        milestones=(),
        augmentation=Augmentation(rotation=10, flip=0.5),
    )
