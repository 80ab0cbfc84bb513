"""The reference teacher of a suite: a checkpoint, finetuned as the suite says; what it says of the fixed training clips, as a table.

    python -m reference_models.studies.reference_teacher --suite ucf101-v1 --root DIR --checkpoint DIR --out FOLDER

For whoever has the videos. `bench` reads the table where it lies in bench/suites/ under the name it is written with and its
digest stands in a suite's `reference_digest`; a released suite without one does not get one, so that is another suite.

Cost: finetuning with one seed, the search for its rate, and one reading of the fixed clips. The same call after a stop goes on.
"""

import argparse
import hashlib
import io
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import typer

from bench.activity import working
from bench.cache import Cache, write_atomically
from bench.data import open_suite, reference_table, suite_named
from bench.device import device_named
from bench.home import Home
from bench.run import cache_folder, open_case
from bench.stages import distillation, finetune
from bench.stages.case import Case
from reference_models.backbones import build
from reference_models.checkpoints.load import load


def table_of(case: Case) -> bytes:
    """A file with the logits [N, V, K] of the case's encoder, finetuned with the first seed, in half precision."""
    fitted = finetune.fit_and_tell(case, case.suite.finetune.seeds[0])
    logits_NVK = distillation.teacher_logits(case, fitted.model, fitted.key)
    content = io.BytesIO()
    np.savez_compressed(content, logits=logits_NVK.astype(np.float16))
    return content.getvalue()


def main(arguments: Sequence[str]) -> None:
    """Finetune, write, and say what to do with it."""
    parser = argparse.ArgumentParser(description="Write the table of logits of a suite's reference teacher.")
    parser.add_argument("--suite", required=True, help="the protocol: see `reelproof suites`")
    parser.add_argument("--root", type=Path, help="where the official videos of the suite lie")
    parser.add_argument("--checkpoint", required=True, type=Path, help="folder of the teacher's checkpoint")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the table")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto")
    settings = parser.parse_args(arguments)
    home, suite, where = Home.default(), suite_named(settings.suite), device_named(settings.device)
    loaded = load(settings.checkpoint)
    suite = suite.with_clip(loaded.config.clip)
    digests = {}
    with working(home, f"The reference teacher of {suite.name}") as report:
        videos = open_suite(suite, home, report, root=settings.root, say=report.say)
        for dataset in suite.datasets:
            case = open_case(
                loaded.encoder,
                suite,
                videos[dataset.name],
                Cache(cache_folder(home.cache, videos[dataset.name])),
                home.training,
                where,
                report,
                partial(build, suite.distillation.student),
            )
            content, path = table_of(case), settings.out / reference_table(suite.name, dataset.name).name
            write_atomically(path, content)
            digests[dataset.name] = hashlib.sha256(content).hexdigest()
            typer.echo(f"{path} holds the table of {dataset.name}.")
    typer.echo(
        f"{suite.name} is released and keeps its hash: a suite with this teacher is another one. Write it beside the others "
        f'(CONTRIBUTING.md, "Add a suite"), put the table into {reference_table(suite.name, "").parent} under its name, and give its '
        f"distillation reference_digest={digests}."
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as mistake:
        sys.exit(str(mistake))
