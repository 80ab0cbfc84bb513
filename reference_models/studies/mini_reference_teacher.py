"""The reference teacher of `mini-v1`: the demo's network, trained with the labels of the pretraining set, then finetuned longer.

Run once when the data or the fixed training clips change; it writes the tables of logits beside the suite:

    python -m reference_models.studies.mini_reference_teacher && python -m bench.suites.pin_mini_v1

Cost: about 5 minutes on 2 cores. A new table is a new suite; say so in CHANGELOG.md.
"""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import bench.suites
from bench.activity import working
from bench.cache import Cache, write_atomically
from bench.data import open_suite
from bench.home import Home
from bench.run import open_case
from bench.stages import distillation, finetune
from bench.suites.mini_v1 import MINI_V1
from reference_models.backbones import build
from reference_models.checkpoints.load import load
from reference_models.pretrain import pretrain
from reference_models.recipes.supervised import mini_supervised

ARCHITECTURE = "shufflenet_v1_x0_5"
STEPS = 300
EPOCHS = 14


def main() -> None:
    """Train, finetune, write the tables."""
    home = Home.default()
    card = MINI_V1.finetune.card.model_copy(update={"epochs": EPOCHS})
    finetuned = MINI_V1.finetune.model_copy(update={"card": card})
    suite = MINI_V1.model_copy(update={"finetune": finetuned})
    with working(home, "Training the reference teacher") as report:
        videos = open_suite(suite, home, report)
        for name in videos:
            recipe = mini_supervised(ARCHITECTURE)
            recipe = replace(recipe, name=f"mini-reference-teacher-{name}", videos=name, steps=STEPS)
            folder = pretrain(recipe, home=home, folder=home.checkpoints / recipe.name, report=report)
            cache = Cache(home.cache / recipe.name)
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            case = open_case(
                load(folder).encoder,
                suite,
                videos[name],
                cache,
                cache.folder / "training",
                device,
                report,
                lambda: build(suite.distillation.student),
            )
            fitted = finetune.fit_and_tell(case, seed=0)
            logits = distillation.teacher_logits(case, fitted.model, fitted.key)
            content = io.BytesIO()
            np.savez_compressed(content, logits=logits.astype(np.float16))
            write_atomically(Path(bench.suites.__path__[0]) / f"mini_v1_reference_{name}.npz", content.getvalue())


if __name__ == "__main__":
    main()
