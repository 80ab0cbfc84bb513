"""`mini-v1`: the whole protocol on two cores, on two generated data sets."""

import json
from importlib.resources import files

from bench.schema import ClipSpec
from bench.suites.protocol import (
    Cka,
    DatasetProtocol,
    Distillation,
    Explanation,
    Finetune,
    LinearProbe,
    Retrieval,
    Robustness,
    Suite,
    TrainingCard,
    Views,
)

PINNED = json.loads((files(__package__) / "mini_v1.json").read_text())
"""Hashes of manifests, frames and reference tables: made by `bench.suites.pin_mini_v1`, never by hand."""

NOISES = tuple(f"{family}/ucf101-p@source/v1" for family in ("gaussian", "impulse", "shot", "speckle"))

LOCAL_TEMPLATE = Suite(
    name="local",
    clip=ClipSpec(num_frames=16, stride=1, resize=(64, 85), size=56),
    precision="fp32",
    pixel_contract=1,
    views=Views(train=5, test=5),
    datasets=(),
    linear_probe=LinearProbe(strengths=(1e-3, 1e-2, 1e-1, 1.0, 10.0)),
    finetune=Finetune(
        card=TrainingCard(
            optimiser="adamw",
            learning_rates=(2e-3,),
            head_rate=0.1,
            weight_decay=0.05,
            epochs=8,
            batch_size=16,
            brightness=0.2,
            crop="random",
        ),
        seeds=(0,),
    ),
    retrieval=Retrieval(ks=(1, 5, 10)),
    robustness=Robustness(corruptions=NOISES, videos=120),
    distillation=Distillation(
        student="shufflenet_v1_x0_25",
        card=TrainingCard(
            optimiser="adamw",
            learning_rates=(3e-3,),
            head_rate=0.1,
            weight_decay=0.05,
            epochs=4,
            batch_size=16,
            brightness=0.2,
            crop="random",
        ),
        views=3,
        seeds=(0,),
    ),
    cka=Cka(videos=128, batch=64),
)
"""Mini's settings for somebody's own videos."""

ABOUT = Explanation(
    question="The whole protocol in minutes on two cores, on generated videos: in `appearance` one frame tells the class, in "
    "`motion` only the order of frames does. They stand in for Kinetics and UCF101, and for Something-Something and Diving48. Two rows "
    "that disagree on a fifth of the test videos are told apart four times in five from 10.2 (appearance) and 9.4 (motion) points on.",
    paper=(
        "the stages, and the four noises on test videos only",
        "retrieval by the cosine of pretrained features",
    ),
    ours=(
        "everything that makes it small; docs/lab_notes.md has the figures behind it",
        "clips of 16 consecutive frames, 56 x 56; five views of a video",
        "one training seed, so the spread of training is not in the intervals",
        "finetuning: AdamW at 2e-3, a tenth of that for the head behind a BatchNorm without affine, 8 epochs, random crops; no tenth "
        "epoch, so nothing is told of choosing the best of several",
        "noise constants of UCF101-P on the frames of the file, before resize and crop, five levels, 120 test videos",
        "distillation: a ShuffleNet a quarter wide, 4 epochs, T = 4, 0.3 cross-entropy + 0.7 T^2 KL; the reference teacher is a "
        "finetuned supervised network, kept as a table of logits",
        "CKA: 128 test videos in minibatches of 64",
        "float32 without TF32; frames are pinned by their digests",
    ),
    cost="Measured on two cores: about 5 minutes for a ShuffleNet half as wide as the common one, both data sets.",
)

MINI_V1 = LOCAL_TEMPLATE.model_copy(
    update={
        "name": "mini-v1",
        "status": "released",
        "about": ABOUT,
        "datasets": tuple(DatasetProtocol(**dataset) for dataset in PINNED["datasets"]),
        "distillation": LOCAL_TEMPLATE.distillation.model_copy(update={"reference_digest": PINNED["reference"]}),
    }
)
