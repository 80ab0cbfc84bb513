"""What the suites on real videos have in common: the paper's protocol, and our choices where it gives none.

The paper is Kumar et al., arXiv 2504.06153, with its supplement. It states the clip (16 frames of 112 x 112), 100 epochs of finetuning
(for one study), resize and centre crop as the only augmentation of finetuning, retrieval by the cosine of pretrained
features, and top-1 as the measure. Optimisers, rates, batches, stride, views of a test video and every setting of the
probe, of distillation and of CKA are nowhere in what could be read; those here come from the code bases that it builds upon.
"""

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

OFFICIAL = {
    row["name"]: DatasetProtocol(**row, official=True)
    for row in json.loads((files(__package__) / "official.json").read_text())
}
"""The data sets, by name: manifest hashes made by `bench.suites.pin_official` from the official lists, never by hand."""

NOISES = tuple(f"{family}/ucf101-p@source/v1" for family in ("gaussian", "impulse", "shot", "speckle"))

CONVOLUTIONAL = TrainingCard(
    optimiser="sgd",
    learning_rates=(0.005, 0.02, 0.08),
    weight_decay=5e-4,
    momentum=0.9,
    epochs=100,
    search_epochs=10,
    batch_size=32,
    warm_up=0.05,
    head_norm=True,
    dropout=0.5,
    crop="centre",
    clip_gradient=40.0,
)
"""Weight decay, dropout and the gradient's norm: microsoft/CtP, downstream configs; weight decay also xudejing/
video-clip-order-prediction and yuanyao366/PRP. A video's share of the rate in these and in PeihaoChen/RSPNet spans
1e-4 to 6e-3; the list covers the middle of it at a batch of 32."""

TRANSFORMER = TrainingCard(
    optimiser="adamw",
    learning_rates=(5e-5, 1.5e-4, 5e-4),
    weight_decay=0.05,
    epochs=100,
    search_epochs=10,
    batch_size=32,
    warm_up=0.05,
    head_norm=False,
    dropout=0.5,
    crop="centre",
    label_smoothing=0.1,
    layer_decay=0.7,
    drop_path=0.2,
)
"""MCG-NJU/VideoMAE, finetuning on UCF101: 5e-4 a batch of 256 (6e-5 at 32), layer decay .7, drop path .2, dropout .5,
smoothing .1, 100 epochs. Its mixing, erasing and repeated augmentation are left out: one augmentation for everyone."""

STUDENT = TrainingCard(
    optimiser="sgd",
    learning_rates=(0.05,),
    weight_decay=5e-4,
    momentum=0.9,
    epochs=100,
    batch_size=32,
    warm_up=0.05,
    head_norm=True,
    crop="centre",
    clip_gradient=40.0,
)

FROM_THE_PAPER = (
    "clips of 16 frames, 112 x 112, for every network",
    "finetuning for 100 epochs on clips that are resized and cropped in the centre, without other augmentation",
    "retrieval by the cosine of pretrained features, R@1, 5, 10, 20, 50",
    "noise on test videos only, shown to models that were trained on clean ones: Gaussian, shot, impulse, speckle",
    "teachers of distillation are finetuned models; the student is a ShuffleNet that was not pretrained",
)
OURS = (
    "consecutive frames (stride 1), resized to 128 x 171: as the clip order, playback rate and RSPNet code bases",
    "ten views of a video, evenly spaced, centre crop, features or logits averaged: likewise",
    "validation is a tenth of the training videos, whole sources; test labels choose nothing",
    "linear probe: standardised features of the fixed trunk, L2 strength from five by validation, solved to a gradient of 1e-5",
    "finetuning: two cards. Convolutional: SGD .9, cosine, batch 32, weight decay 5e-4, dropout .5 behind a BatchNorm "
    "without affine, rate .005, .02 or .08. Transformer (most weights lie in matrices): AdamW, layer decay .7, drop path "
    ".2 where the network has it, dropout .5, smoothing .1, rate 5e-5, 1.5e-4 or 5e-4. The rate is chosen by 10 epochs on "
    "train, read on validation, with the first seed; seeds 0, 1, 2; the last epoch counts",
    "one clip a training video and epoch, its start drawn from (stage, seed, epoch, video)",
    "noise constants of UCF101-P on the frames of the file, before resize and crop: five levels, all test videos, one centre clip; "
    "clean accuracy on the same videos. The paper shows levels 1 to 3, on other videos for each noise",
    "distillation: student half as wide as the paper's, three fixed clips a video, T = 4, 0.3 cross-entropy + 0.7 T^2 KL to the "
    "mean of the teachers. There is no reference teacher, so the arms are alone and submission, and every result says so; `python -m "
    "reference_models.studies.reference_teacher` makes its table from a checkpoint, and a suite with it is another suite",
    "CKA: unbiased, minibatches of 64, 1024 test videos, before against after finetuning",
    "bf16 autocast inside the trunk, float32 from pooling on, in training and testing",
    "frames are not pinned: manifest and golden clip are, and a result says which frames it saw",
)


def paper_suite(name: str, dataset: str, *, about: Explanation, open: bool = False) -> Suite:
    """The paper's protocol on one data set."""
    return Suite(
        name=name,
        status="released",
        about=about,
        clip=ClipSpec(num_frames=16, stride=1, resize=(128, 171), size=112),
        open=open,
        precision="bf16",
        pixel_contract=1,
        views=Views(train=10, test=10),
        datasets=(OFFICIAL[dataset],),
        linear_probe=LinearProbe(strengths=(1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
        finetune=Finetune(card=CONVOLUTIONAL, transformer_card=TRANSFORMER, seeds=(0, 1, 2)),
        retrieval=Retrieval(ks=(1, 5, 10, 20, 50)),
        robustness=Robustness(corruptions=NOISES, severities=(1, 2, 3, 4, 5), views=1),
        distillation=Distillation(
            student="shufflenet_v1_x1", card=STUDENT, temperature=4.0, teacher_weight=0.7, views=3, seeds=(0, 1, 2)
        ),
        cka=Cka(videos=1024, batch=64, permutations=20),
    )
