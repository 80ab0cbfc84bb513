"""`mini-v1`: the whole protocol on two cores, on two generated data sets.

What is the paper's: the stages, the four noises at five severities (table `ucf101-p`, at source), retrieval by cosine.
What is ours: everything that makes it small. The settings are those that worked at this scale; docs/lab_notes.md has the
figures. `appearance` stands in for Kinetics and UCF101, `motion` for Something-Something and Diving48.
"""

import json
from importlib.resources import files
from pathlib import Path

from bench.schema import ClipSpec
from bench.suites.protocol import (
    Cka,
    DatasetProtocol,
    Distillation,
    Finetune,
    LinearProbe,
    Retrieval,
    Robustness,
    Suite,
    TrainingCard,
    Views,
)

PINNED = json.loads((files(__package__) / "mini_v1.json").read_text())
"""Hashes of manifests, frames and reference tables: made by `benchmarks/pin_mini_v1.py`, never by hand."""

REFERENCE_TABLES = {
    name: Path(str(files(__package__) / f"mini_v1_reference_{name}.npz")) for name in PINNED["reference"]
}
"""Logits of the reference teacher on the fixed training clips."""

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

MINI_V1 = LOCAL_TEMPLATE.model_copy(
    update={
        "name": "mini-v1",
        "status": "draft",
        "datasets": tuple(DatasetProtocol(**dataset) for dataset in PINNED["datasets"]),
        "distillation": LOCAL_TEMPLATE.distillation.model_copy(update={"reference_digest": PINNED["reference"]}),
    }
)
