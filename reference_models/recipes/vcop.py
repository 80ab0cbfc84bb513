"""Clip order prediction.

Source of the settings: VCOP's train_vcop.py (xudejing at 7a1710d) with what the paper changes: 3 clips, its augmentation,
Kinetics. The rate is constant, as there. Differs: weight decay leaves biases and norms alone.
"""

from dataclasses import replace

from reference_models.augmentation import Augmentation
from reference_models.pretext.vcop import ClipOrder
from reference_models.recipes.landing import Landing, Milestone
from reference_models.recipes.recipe import (
    MINI_CLIP,
    PAPER_AUGMENTATION,
    PAPER_CLIP,
    PAPER_MILESTONES,
    PAPER_VIDEOS,
    UNIT,
    WINDOW,
    Recipe,
    steps_for,
)


def mini_vcop() -> Recipe:
    """Clip order prediction, the demo's model.

    Loss: log(6) = 1.79 at the start. It leaves its plateau in 60 to 80 steps.
    """
    return Recipe(
        name="mini-vcop",
        title="Clip order (mini)",
        architecture="shufflenet_v1_x0_5",
        task=ClipOrder(num_clips=3, gap=6, dropout=0.0),
        videos="motion",
        clip=MINI_CLIP,
        batch_size=8,
        steps=200,
        learning_rate=3e-3,
        weight_decay=0.05,
        head_rate=0.1,
        warm_up=0.08,
        augmentation=Augmentation(brightness=0.2, contrast=0.2, saturation=0.2),
        landing=Landing(
            metric="accuracy",
            milestones=(Milestone(40, 0.08, 0.50), Milestone(100, 0.45, 0.95), Milestone(200, 0.80, 1.0)),
            downstream="linear_probe top1 on motion",
            low=0.55,
            high=0.80,
        ),
    )


def paper_vcop(num_clips: int = 3) -> Recipe:
    """Clip order prediction as in the paper; 4 and 5 clips are the levels of its Table 13.

    R(2+1)D-10 finetuned on UCF101 reaches 51.5 there, 56.8 / 54.8 / 55.6 by level in Table 13. Five clips have half the
    batch, as there; they need videos of 112 frames.
    """
    batch_size = 4 if num_clips == 5 else 8
    return Recipe(
        name="paper-vcop" if num_clips == 3 else f"paper-vcop-{num_clips}",
        title="Clip order" if num_clips == 3 else f"Clip order ({num_clips} clips)",
        architecture="r2plus1d_10",
        task=ClipOrder(num_clips),
        videos=PAPER_VIDEOS,
        clip=PAPER_CLIP,
        normalisation=UNIT,
        batch_size=batch_size,
        steps=steps_for(200, batch_size),
        milestones=tuple(steps_for(epochs, batch_size) for epochs in PAPER_MILESTONES),
        optimiser="sgd",
        learning_rate=1e-3,
        schedule="constant",
        weight_decay=5e-4,
        warm_up=0.0,
        augmentation=PAPER_AUGMENTATION,
    )


def upstream_vcop() -> Recipe:
    """Clip order prediction as its authors train it: UCF101, 300 epochs, random crops and nothing else."""
    return replace(
        paper_vcop(),
        name="upstream-vcop",
        title="Clip order (upstream settings)",
        videos="the training videos of UCF101 split 1",
        steps=steps_for(300, 8, videos=8737),
        milestones=(),
        augmentation=WINDOW,
    )
