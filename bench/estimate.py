"""What judging an encoder would cost here: a little of every stage is done and timed, the rest is counted.

The pieces are those that the stages are made of, on the suite's own videos, in as many processes side by side as the
judging itself would use. Estimated is a run from an empty cache, but for the students that no submission teaches: those that
are there already are not counted.

Time is by the clock: of data sets that are judged side by side the slowest counts. Memory is the largest of their own that the
processes had, added up, without the pages of mapped frames; disk is what the cache grows by.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.cache import Cache
from bench.device import device_named
from bench.encoder import Encoder, StudentFactory, layer_modules, normalise
from bench.forward import arithmetic, conduct, lay_out, module_reader, one_thread, sweep, trunk_reader
from bench.run import Order, Progress, Videos, cache_folder, case_for, of_each, orders_for
from bench.schema import CLEAN, STAGES, Condition, StageName
from bench.stages import distillation, finetune, retrieval, robustness
from bench.stages.case import Case
from bench.stages.cka import module_grams
from bench.stages.classifier import FinetunedModel, plan_of
from bench.stages.lesson import Lesson, taught_videos
from bench.stages.logistic import LogisticProblem
from bench.suites.protocol import Suite
from bench.training import Loss, train

CLEAN_VIDEOS, NOISY_VIDEOS = 16, 4
"""Read at a time, until it has taken long enough."""

LEAST_STEPS, MOST_STEPS, WARM_STEPS = 8, 60, 3
"""Of a training; the first warm up and are not timed."""

ENOUGH_S = 3.0
"""How long each piece is timed, at least, where there is so much of it."""


@dataclass(frozen=True)
class StageCost:
    """Of one stage, on all data sets."""

    stage: StageName
    seconds: float
    memory_bytes: int
    disk_bytes: int


def estimated(
    encoder: Encoder,
    suite: Suite,
    videos: Mapping[str, Videos],
    *,
    student: StudentFactory,
    cache: Path,
    reference_logits: Mapping[str, NDArray[np.float32]] | None = None,
    device: str = "auto",
    processes: int = 1,
    progress: Progress | None = None,
) -> list[StageCost]:
    """The cost of `bench.run.evaluate` with the same arguments, stage by stage.

    Raises:
        ValueError: As `evaluate`.
    """
    orders = orders_for(encoder, suite, videos, student, cache, reference_logits, device_named(device))
    found = of_each(cost_of_dataset, orders, suite, processes, progress)
    together = max if processes > 1 else sum
    return [
        StageCost(
            stage,
            together(costs[stage].seconds for costs in found.values() if stage in costs),
            (sum if processes > 1 else max)(costs[stage].memory_bytes for costs in found.values() if stage in costs),
            sum(costs[stage].disk_bytes for costs in found.values() if stage in costs),
        )
        for stage in STAGES
        if any(stage in costs for costs in found.values())
    ]


def cost_of_dataset(order: Order, tell: Callable[[StageName, str, float], None]) -> dict[StageName, StageCost]:
    """Do a little of every stage on one data set, in an empty cache that is thrown away."""
    stages = order.suite.dataset(order.name).stages
    found: dict[StageName, StageCost] = {}
    with tempfile.TemporaryDirectory() as scratch:
        case = case_for(order, Cache(Path(scratch)))
        conduct(case, "The encoder", trunk_reader(case), "train")  # warms up, and names what is odd
        a_clip = _seconds_a_clip(case)
        for stage in (stage for stage in STAGES if stage in stages):
            tell(stage, "measuring", 0.0)
            if stage == "linear_probe":
                seconds, disk = _linear_probe(case, a_clip)
            elif stage == "finetune":
                seconds, disk = _finetune(case, a_clip)
            elif stage == "retrieval":
                seconds, disk = _retrieval(case), 0  # from the probe's features
            elif stage == "robustness":
                seconds, disk = _robustness(case)
            elif stage == "distillation":
                seconds, disk = _distillation(case, Cache(cache_folder(order.cache, order.videos)), a_clip)
            else:
                seconds, disk = _cka(case)
            found[stage] = StageCost(stage, seconds, peak_bytes(), disk)
            tell(stage, "", 1.0)
    return found


def _seconds_a_clip(case: Case) -> float:
    """Of reading a clean clip from the store and showing it to the trunk."""
    views = case.suite.views.test

    def read(ids: Sequence[str]) -> None:
        sweep(case, {"trunk": trunk_reader(case)}, "test", views, [CLEAN], ids)

    return _seconds_a_video(read, case.dataset.test.ids, CLEAN_VIDEOS) / views


def _seconds_a_video(read: Callable[[Sequence[str]], None], ids: Sequence[str], at_a_time: int) -> float:
    """Of reading videos, some at a time, until it has taken long enough or there are no more."""
    done, started = 0, time.monotonic()
    while done < len(ids) and (done == 0 or time.monotonic() - started < ENOUGH_S):
        read(ids[done : done + at_a_time])
        done += at_a_time
    return (time.monotonic() - started) / min(done, len(ids))


def _linear_probe(case: Case, a_clip: float) -> tuple[float, int]:
    learnt, shown = len(taught_videos(case)), len(case.dataset.test)
    clips = learnt * case.suite.views.train + shown * case.suite.views.test
    width, settings = case.encoder.feature_dim, case.suite.linear_probe
    rows = min(learnt, 2000)
    rng = np.random.default_rng(0)
    labels = rng.integers(case.num_classes, size=rows)
    problem = LogisticProblem(
        rng.normal(size=(rows, width)) + rng.normal(size=(case.num_classes, width))[labels] / 4,
        labels,
        case.num_classes,
    )
    started = time.monotonic()
    for strength in settings.strengths:
        problem.solve(strength, settings.tolerance)
    fits = (
        (time.monotonic() - started) * learnt / rows * (2 + 1 / len(settings.strengths))
    )  # chosen, refit, the whole path
    weights = (len(settings.strengths) + 1) * 8 * (width + 1) * case.num_classes
    return clips * a_clip + fits, 4 * width * (learnt + shown) + weights


def _finetune(case: Case, a_clip: float) -> tuple[float, int]:
    if case.encoder.trunk is None:
        return 0.0, 0
    card, seeds = finetune.card_of(case), len(case.suite.finetune.seeds)
    model = finetune.untrained(case, case.suite.finetune.seeds[0])
    lesson = finetune.lesson(case, ("train", "validation"), 0)
    step = _seconds_a_step(case, model, lesson, finetune.label_loss(case))
    short = finetune.lesson(case, ("train",), 0, short=True)
    searches = len(card.learning_rates) if len(card.learning_rates) > 1 else 0
    steps = seeds * lesson.steps + searches * short.steps
    shown = len(case.dataset.test) * (case.suite.views.test + len(lesson.milestones)) * seeds
    shown += searches * len(case.dataset.validation)
    disk = (
        _bytes_of(model) * (seeds + searches + len(lesson.milestones))
        + 4 * case.num_classes * len(case.dataset.test) * seeds
    )
    return steps * step + shown * a_clip, disk


def _retrieval(case: Case) -> float:
    gallery, asked, width = len(taught_videos(case)), len(case.dataset.test), case.encoder.feature_dim
    rng = np.random.default_rng(0)
    made_MD = rng.normal(size=(gallery, width)).astype(np.float32)
    some = min(asked, retrieval.QUERIES_AT_ONCE)
    started = time.monotonic()
    retrieval.nearest(
        rng.normal(size=(some, width)).astype(np.float32), made_MD, min(max(case.suite.retrieval.ks), gallery)
    )
    return (time.monotonic() - started) * asked / some


def _robustness(case: Case) -> tuple[float, int]:
    settings = case.suite.robustness
    noises = [
        Condition(corruption=name, severity=level) for name in settings.corruptions for level in settings.severities
    ]
    conditions, videos = [CLEAN, *noises], robustness.chosen_videos(case.dataset.test, settings.videos)
    readers, width = {}, 0
    if "probe" in settings.models:
        readers["trunk"] = trunk_reader(case)
        width += case.encoder.feature_dim
    if "finetuned" in settings.models and case.encoder.trunk is not None:
        for seed in case.suite.finetune.seeds:
            readers[f"seed {seed}"] = module_reader(case, finetune.untrained(case, seed), {"dry run": seed})
            width += case.num_classes

    def read(ids: Sequence[str]) -> None:
        sweep(case, readers, "test", settings.views, conditions, ids)

    seconds = _seconds_a_video(read, videos[:1], 1)  # with the first the tables of the noises are made
    if others := videos[1:]:
        seconds += len(others) * _seconds_a_video(read, others, NOISY_VIDEOS)
    return seconds, 4 * width * len(conditions) * len(videos)


def _distillation(case: Case, kept: Cache, a_clip: float) -> tuple[float, int]:
    settings = case.suite.distillation
    reference = distillation.checked_reference(case)
    arms: tuple[distillation.Arm, ...] = ("alone", "submission")
    arms += ("reference", "both") if reference is not None else ()
    student = distillation.untrained_student(case, settings.seeds[0])
    tables = (np.zeros((len(taught_videos(case)), settings.views, case.num_classes), np.float32),)
    lesson = distillation.lesson(case, tables, settings.seeds[0])
    step = _seconds_a_step(case, student, lesson, distillation.taught_loss(settings))
    there = sum(
        kept.path(
            "student", {**case.suite.fit_key("distillation", case.dataset.name), "arm": arm, "seed": seed}
        ).exists()
        for arm in arms
        for seed in settings.seeds
        if arm in ("alone", "reference")
    )
    students = len(arms) * len(settings.seeds) - there
    teachers = 1 if case.encoder.trunk is None else min(len(settings.seeds), len(case.suite.finetune.seeds))
    clips = len(taught_videos(case)) * settings.views * teachers
    shown = len(case.dataset.test) * case.suite.views.test * students
    a_student_clip = _seconds_a_student_clip(case, student)
    disk = students * _bytes_of(student) + 4 * clips * case.num_classes
    workers = torch.get_num_threads() if case.device.type == "cpu" else 1  # teachers are read on one thread
    return students * lesson.steps * step + clips * a_clip * workers + shown * a_student_clip, disk


def _cka(case: Case) -> tuple[float, int]:
    settings, trunk = case.suite.cka, case.encoder.trunk
    size = min(settings.batch, len(case.dataset.test))
    batches = min(settings.videos, len(case.dataset.test)) // max(size, 1)
    started = time.monotonic()
    clips = np.concatenate([case.clips.views("test", video_id, 1) for video_id in case.dataset.test.ids[:size]])
    with one_thread(), torch.inference_mode(), arithmetic(case.suite.precision, case.device):
        clips_NCTHW = normalise(torch.from_numpy(clips).to(case.device), case.encoder.normalisation)
        if trunk is None:
            layers = len(case.encoder.layers(clips_NCTHW))
        else:
            layers = len(module_grams(lay_out(trunk, case.device), clips_NCTHW, layer_modules(trunk), {}))
    models = 1 if trunk is None else 2
    return (time.monotonic() - started) * batches * models, 4 * layers * batches * size * size * models


def _seconds_a_step(case: Case, model: FinetunedModel, lesson: Lesson, loss: Loss) -> float:
    """Of a training, once it is warm: batches are made ahead as in the real one."""
    ends: list[float] = []

    def timed(module: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if case.device.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.monotonic())
        if len(ends) > LEAST_STEPS and ends[-1] - ends[WARM_STEPS] > ENOUGH_S:
            raise _EnoughError
        return loss(module, batch)

    steps = min(MOST_STEPS, lesson.steps)
    plan = plan_of(model, lesson.card, lesson.card.learning_rates[0], steps, case.suite.precision)
    with suppress(_EnoughError):
        train(model, timed, lesson.batch, plan, names=("dry run",), device=case.device)
        ends.append(time.monotonic())
    warm = min(WARM_STEPS, len(ends) - 2)
    return (ends[-1] - ends[warm]) / (len(ends) - 1 - warm)


class _EnoughError(Exception):
    """So many steps tell how long one takes."""


def _seconds_a_student_clip(case: Case, student: FinetunedModel) -> float:
    reader, views = module_reader(case, student, {"dry run": "student"}), case.suite.views.test

    def read(ids: Sequence[str]) -> None:
        sweep(case, {"student": reader}, "test", views, [CLEAN], ids)

    return _seconds_a_video(read, case.dataset.test.ids, CLEAN_VIDEOS) / views


def _bytes_of(module: nn.Module) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def peak_bytes(pid: int | None = None) -> int:
    """The most memory of its own that this process, or another of ours, has had so far; 0 where another's cannot be seen.

    Pages of mapped files, frames above all, are left out on Linux: the system takes them back when it needs them.
    """
    status = Path(f"/proc/{pid or 'self'}/status")
    with suppress(OSError, KeyError):  # getrusage would begin with what the parent had
        rows = (row.partition(":") for row in status.read_text().splitlines())
        kib = {name: value.split()[0] for name, _, value in rows if name in ("VmHWM", "RssFile")}
        return 1024 * (int(kib["VmHWM"]) - int(kib["RssFile"]))
    if pid is not None:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
