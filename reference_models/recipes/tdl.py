"""Temporal discrimination. The queue is that of one process; batch statistics are those of `parts` of its batch.

Source of the settings: VTDL's src/train_temporal_dis.py and src/data/config.py (FingerRec at 3f2b782) with what the paper
changes: a queue of 500, frames of 112, 200 epochs. Differs: weight decay leaves biases and norms alone.
"""

from dataclasses import replace

from bench.schema import ClipSpec
from reference_models.augmentation import Augmentation
from reference_models.pretext.tdl import TemporalDiscrimination
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


def mini_tdl() -> Recipe:
    """Temporal discrimination on the embedded motion videos: four minutes on one core.

    Loss: log(253) = 5.53 if all were alike. Whose clip it is and at what moment are learnt together; motion gains in probe and
    R@1 (docs/lab_notes.md). Batches are whole sources, whose videos are each other's negatives beside the queue. A source of
    these videos holds one of each class, so the negatives from a video's own source are all of other classes. With any videos
    together motion gains less, and still more than random initialisation has (one run).

    The slow copy keeps 0.9 of itself. At 0.99 it lags so far behind that the anchor lies nearer to its negative, which the
    trained network makes, than to its positive.
    """
    return Recipe(
        name="mini-tdl",
        title="TDL (mini)",
        architecture="shufflenet_v1_x0_5",
        task=TemporalDiscrimination(queue=240, momentum=0.9, least_shift=16, normalise=True, within_batch=True),
        videos="motion",
        clip=MINI_CLIP,
        batch_size=12,
        batches="by_source",
        steps=800,
        learning_rate=3e-3,
        weight_decay=0.05,
        augmentation=Augmentation(brightness=0.2, contrast=0.2, saturation=0.2),
        landing=Landing(
            metric="moment_accuracy",
            milestones=(Milestone(200, 0.65, 0.88), Milestone(400, 0.73, 0.93), Milestone(800, 0.78, 0.95)),
            downstream="linear_probe top1 on motion",
            low=0.68,
            high=0.90,
        ),
    )


def paper_tdl() -> Recipe:
    """Temporal discrimination as in the paper, which prints the queue alone; a batch on two GPUs as in the source.

    R(2+1)D-10 finetuned on UCF101 reaches 30.2 there.
    """
    return Recipe(
        name="paper-tdl",
        title="TDL",
        architecture="r2plus1d_10",
        task=TemporalDiscrimination(parts=2),
        videos=PAPER_VIDEOS,
        clip=PAPER_CLIP.model_copy(update={"stride": 4}),
        batch_size=16,
        steps=steps_for(200, 16),
        milestones=tuple(steps_for(epochs, 16) for epochs in PAPER_MILESTONES),
        optimiser="sgd",
        learning_rate=3e-3,
        schedule="step",
        drops=(120 / 240, 160 / 240, 200 / 240),
        weight_decay=1e-4,
        warm_up=0.0,
        augmentation=replace(PAPER_AUGMENTATION, flip=0.0),
    )


def upstream_tdl() -> Recipe:
    """Temporal discrimination as its authors train it on Kinetics: a tenth of the videos, their queue, frames of 224."""
    return replace(
        paper_tdl(),
        name="upstream-tdl",
        title="TDL (upstream settings)",
        task=TemporalDiscrimination(queue=12_500),
        videos="23,464 training videos of Kinetics-400",
        clip=ClipSpec(num_frames=16, stride=4, resize=(256, 342), size=224),
        batch_size=10,
        steps=steps_for(240, 10, videos=23_464),
        milestones=(),
    )
