"""Playback rate perception.

Source of the settings: PRP's train_predict.py (yuanyao366 at a0e42ba) with what the paper changes: its augmentation,
Kinetics-400. Differs: the source waits for a plateau to lower its rate, here it falls on a cosine; the source's last
layer alone learns ten times as fast; weight decay leaves biases and norms alone.
"""

from dataclasses import replace

from reference_models.augmentation import Augmentation
from reference_models.pretext.prp import PlaybackRate
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

LEVELS: dict[int, tuple[int, ...]] = {2: (1, 2), 3: (1, 2, 4), 4: (1, 2, 4, 8)}
"""Rates by their number; the middle one is read into the paper's text."""


def mini_prp() -> Recipe:
    """Playback rates 1, 2 and 4 of long videos, with narrow branches; drawn at a seventh of the size.

    320 steps take 1.6 minutes of one core. Accuracy: a third at the start, half by step 80, nine tenths at the end. The probe
    on appearance ends 17 and 25 points above random initialisation (two seeds), intervals apart; on motion 10 and 20, apart
    in one of the two.
    """
    return Recipe(
        name="mini-prp",
        title="Playback rate (mini)",
        architecture="shufflenet_v1_x0_5",
        task=PlaybackRate(LEVELS[3], width=48, narrowest=4, shrink=7),
        videos="motion-long",
        clip=MINI_CLIP,
        normalisation=UNIT,
        batch_size=24,
        steps=320,
        learning_rate=3e-3,
        weight_decay=0.05,
        head_rate=0.3,
        warm_up=0.08,
        augmentation=Augmentation(flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
        landing=Landing(
            metric="accuracy",
            milestones=(Milestone(80, 0.36, 0.64), Milestone(160, 0.66, 0.90), Milestone(320, 0.80, 1.0)),
            downstream="linear_probe top1 on appearance",
            low=0.48,
            high=0.69,
        ),
    )


def paper_prp(rates: int = 4) -> Recipe:
    """Playback rate perception as in the paper; 2 and 3 rates are the levels of its Table 13.

    R(2+1)D-10 finetuned on UCF101 reaches 46.2 there, 38.9 / 44.4 / 46.2 by level. Eightfold speed needs videos of 128
    frames.
    """
    return Recipe(
        name="paper-prp" if rates == 4 else f"paper-prp-{rates}",
        title="Playback rate" if rates == 4 else f"Playback rate ({rates} rates)",
        architecture="r2plus1d_10",
        task=PlaybackRate(LEVELS[rates]),
        videos=PAPER_VIDEOS,
        clip=PAPER_CLIP,
        normalisation=UNIT,
        batch_size=8,
        steps=steps_for(200, 8),
        milestones=tuple(steps_for(epochs, 8) for epochs in PAPER_MILESTONES),
        optimiser="sgd",
        learning_rate=0.01,
        weight_decay=5e-4,
        warm_up=0.0,
        augmentation=PAPER_AUGMENTATION,
    )


def upstream_prp() -> Recipe:
    """Playback rate perception as its authors train it: UCF101, 300 epochs, the square in the middle."""
    return replace(
        paper_prp(),
        name="upstream-prp",
        title="Playback rate (upstream settings)",
        videos="the training videos of UCF101 split 1",
        steps=steps_for(300, 8, videos=8737),
        milestones=(),
        augmentation=Augmentation(crop="centre"),
    )
