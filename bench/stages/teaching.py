"""Several teachers, one student: the paper's distillation study, over checkpoints or over stored logits.

Source: Kumar et al., arXiv 2504.06153, section on knowledge distillation and supplement, Tables 13 to 15. Four questions:
models of one task at three levels of its complexity, of one task pretrained on two source data sets, of two tasks, and of
one task at each size of the pretraining set (two architectures). Teachers are finetuned models; the student was not
pretrained. The paper gives no loss, so the suite's stage is used as it is: every teacher is a table of logits on the fixed
training clips, and several speak with the mean of their softened probabilities.

A study's guesses are joined and scored by `bench.scoring.taught_scores`. The paper's own students, 94.6 and 97.3 on UCF101,
are no target: how they arise is not written down anywhere.

Shapes: N training and validation videos, V views, K classes.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TypeVar

from bench.encoder import StudentFactory
from bench.forward import logits
from bench.guesses import Guesses, rank_labels
from bench.schema import CLEAN
from bench.stages import finetune
from bench.stages.case import Case
from bench.stages.classifier import share_of
from bench.stages.distillation import Table, checked_table, guesses_of, submission_logits, teach

One = TypeVar("One")

ALONE = "alone"


@dataclass(frozen=True)
class Ensemble:
    """Teachers that are heard together."""

    name: str
    teachers: tuple[str, ...]
    student: str = ""
    """Name of the student's architecture; the suite's where it is empty."""


CONTEXT_TASKS = ("rotnet", "vcop", "prp")
SOURCE_TASKS = ("rotnet", "vcop", "cvrl", "rspnet")
SIZES = ("10k", "30k", "50k", "100k")

PAPER: Mapping[str, tuple[Ensemble, ...]] = MappingProxyType(
    {
        "complexity": tuple(
            Ensemble(f"{task} at three levels", tuple(f"{task}-c{level}" for level in (1, 2, 3)))
            for task in CONTEXT_TASKS
        ),
        "sources": tuple(
            Ensemble(f"{task} from two sources", (f"{task}-k400", f"{task}-ssv2"), "r2plus1d_10")
            for task in SOURCE_TASKS
        ),
        "tasks": (
            Ensemble("two that are not contrastive", ("rotnet", "vcop")),
            Ensemble("two that are contrastive", ("cvrl", "tdl")),
        ),
        "sizes": tuple(
            Ensemble(f"rspnet, {size}", (f"rspnet-shufflenet-{size}", f"rspnet-r2plus1d-{size}")) for size in SIZES
        ),
    }
)
"""The paper's pairs, by question. Teachers are named by task, then what tells them apart; give a checkpoint for each."""


@dataclass(frozen=True)
class Teacher:
    """What a teacher says, for each seed of the students: of the fixed training clips, and of the test videos."""

    tables: tuple[Table, ...]
    """Logits [N, V, K]; one, or one a seed."""

    guesses: tuple[Guesses, ...]
    """Of the test videos, in the same order of seeds; none where only the tables were kept."""


def teacher_from(case: Case) -> Teacher:
    """The encoder of the case, finetuned as the suite says. Fits and logits come from the cache where they are there."""
    tables, guesses = [], []
    for place, seed in enumerate(case.suite.distillation.seeds):
        tables.append(submission_logits(case, seed))
        finetuned_seed = case.suite.finetune.seeds[place % len(case.suite.finetune.seeds)]
        model, key = finetune.fit(case, finetuned_seed), finetune.model_key(case, finetuned_seed)
        said_NK = logits(case, model, key, "test", case.suite.views.test)[CLEAN]
        guesses.append(
            Guesses("distillation", case.dataset.name, case.dataset.test.ids, rank_labels(said_NK), seed=seed)
        )
    return Teacher(tuple(tables), tuple(guesses))


def study(
    case: Case,
    ensembles: Sequence[Ensemble],
    teachers: Mapping[str, Teacher],
    students: Mapping[str, StudentFactory] | None = None,
) -> tuple[Guesses, ...]:
    """Guesses of the student alone, of every ensemble's student, and of the teachers: the model is named by each.

    Args:
        case: Whose suite, data set, cache and student are used; its encoder plays no part.
        ensembles: Who teaches together.
        teachers: By name; `teacher_from` makes one from a checkpoint.
        students: Factories of the students that ensembles name.

    Raises:
        ValueError: If an ensemble names a teacher or a student that is not given, or a table has another shape.
    """
    known = {"": case.student, **(students or {})}
    for ensemble in ensembles:
        if absent := [name for name in ensemble.teachers if name not in teachers]:
            raise ValueError(f"{ensemble.name} needs the teachers {', '.join(absent)}, which were not given.")
        if ensemble.student not in known:
            raise ValueError(f"{ensemble.name} needs a factory of the student {ensemble.student}, which was not given.")
    for name, teacher in teachers.items():
        for table in teacher.tables:
            checked_table(case, table, f"The logits of {name}")
    alone = [Ensemble(f"{ALONE} {student}".strip(), (), student) for student in {e.student: None for e in ensembles}]
    parts = [(seed, ensemble) for seed in case.suite.distillation.seeds for ensemble in (*alone, *ensembles)]
    found: list[Guesses] = []
    for number, (seed, ensemble) in enumerate(parts):
        report = share_of(case.report, f"{ensemble.name}, seed {seed}", number, len(parts))
        shared = replace(case.reporting(report), student=known[ensemble.student])
        tables = tuple(_of_seed(teachers[name].tables, case, seed) for name in ensemble.teachers)
        key = {
            **case.suite.fit_key("distillation", case.dataset.name),
            "student": ensemble.student or case.suite.distillation.student,
            "teachers": [hashlib.sha256(table.tobytes()).hexdigest() for table in tables],
            "seed": seed,
        }
        student, _, _ = teach(shared, key, partial(tuple, tables), seed)
        found.append(guesses_of(shared, student, key, ensemble.name, seed))
    for name in dict.fromkeys(name for ensemble in ensembles for name in ensemble.teachers):
        if teachers[name].guesses:
            for seed in case.suite.distillation.seeds:
                found.append(replace(_of_seed(teachers[name].guesses, case, seed), model=name, seed=seed))
    return tuple(found)


def _of_seed(of_seeds: tuple[One, ...], case: Case, seed: int) -> One:
    return of_seeds[case.suite.distillation.seeds.index(seed) % len(of_seeds)]
