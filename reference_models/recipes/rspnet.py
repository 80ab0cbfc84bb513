"""RSPNet. The queue is that of one process; batch statistics are those of `parts` of its batch, the source's GPUs.

Source of the settings: PeihaoChen/RSPNet at 2958779, for R(2+1)D on four GPUs; the paper changes the videos. Differs: weight
decay leaves biases and norms alone.
"""

from dataclasses import replace

from reference_models.augmentation import Augmentation
from reference_models.pretext.rspnet import RelativeSpeed
from reference_models.recipes.landing import Landing, Milestone
from reference_models.recipes.recipe import MINI_CLIP, PAPER_CLIP, PAPER_MILESTONES, PAPER_VIDEOS, Recipe, steps_for


def mini_rspnet() -> Recipe:
    """RSPNet on the embedded motion videos: two to three minutes on one core.

    Loss: 2 log(280) + 2 = 13.3 if all were alike. It learns whose video a clip is and, from step 100 on, at what speed it is
    played; motion gains in probe and R@1 (docs/lab_notes.md). Batches are whole sources, whose videos are each other's negatives
    beside the queue; both speeds share the middle of a window, so that place in time tells nothing; the slow copy keeps 0.9 of
    itself. A source of these videos holds one of each class, so the negatives from a video's own source are all of other classes;
    one run with any videos together and the queue alone separated from random initialisation as well, and so did, in probe or
    R@1, one each with 0.99, without the shared middle, with fewer clips a step and with fewer steps.
    """
    return Recipe(
        name="mini-rspnet",
        title="RSPNet (mini)",
        architecture="shufflenet_v1_x0_5",
        task=RelativeSpeed(queue=256, momentum=0.9, centred=True, normalise=True, within_batch=True),
        videos="motion",
        clip=MINI_CLIP,
        batch_size=24,
        batches="by_source",
        steps=300,
        learning_rate=3e-3,
        weight_decay=0.05,
        augmentation=Augmentation(brightness=0.2, contrast=0.2, saturation=0.2),
        landing=Landing(
            metric="speed_accuracy",
            milestones=(Milestone(75, 0.50, 0.72), Milestone(150, 0.56, 0.82), Milestone(300, 0.75, 0.95)),
            downstream="linear_probe top1 on motion",
            low=0.65,
            high=0.92,
        ),
    )


def paper_rspnet() -> Recipe:
    """RSPNet as in the paper, which trains it as its authors do: 0.05 for every 64 videos of a batch.

    R(2+1)D-10 finetuned on UCF101 reaches 78.0 there. Loss: 2 log(16385) + 2 = 21.4 if all keys were alike.
    """
    batch_size = 128
    return Recipe(
        name="paper-rspnet",
        title="RSPNet",
        architecture="r2plus1d_10",
        task=RelativeSpeed(parts=4),
        videos=PAPER_VIDEOS,
        clip=PAPER_CLIP,
        batch_size=batch_size,
        steps=steps_for(200, batch_size),
        milestones=tuple(steps_for(epochs, batch_size) for epochs in PAPER_MILESTONES),
        optimiser="sgd",
        learning_rate=0.05 * batch_size / 64,
        floor=1e-3,
        weight_decay=1e-4,
        warm_up=0.0,
        augmentation=Augmentation(
            crop="resized",
            area=(0.4, 1.0),
            flip=0.5,
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.4,
            grayscale=0.2,
        ),
    )


def upstream_rspnet() -> Recipe:
    """RSPNet on all of Kinetics-400."""
    return replace(
        paper_rspnet(),
        name="upstream-rspnet",
        title="RSPNet (upstream settings)",
        videos="the training videos of Kinetics-400",
        steps=steps_for(200, 128, videos=240_000),
        milestones=(),
    )
