"""One encoder under one suite: every stage on every data set, then the scores.

Everything slow is kept in the cache as it is computed, so the same call after a kill goes on where it was, and a second
call only reads. What is stopped leaves no result; what is finished leaves one that is never edited.
"""

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.flop_counter import FlopCounterMode

from bench.cache import Cache
from bench.cores import cores
from bench.device import device_named
from bench.encoder import Encoder, StudentFactory, encoder_hash
from bench.environment import environment
from bench.forward import conduct, trunk_reader
from bench.guesses import Grams, Guesses, StageOutput
from bench.progress import Shares
from bench.results import Rows
from bench.schema import (
    STAGES,
    Card,
    ClipSpec,
    DatasetReport,
    LoadReport,
    Result,
    Score,
    StageName,
    StageReport,
)
from bench.scoring import join, score
from bench.side_by_side import side_by_side
from bench.stages import cka, distillation, finetune, linear_probe, retrieval, robustness
from bench.stages.case import Case
from bench.suites.protocol import Suite
from bench.training import keep_large_buffers
from bench.video.clips import Clips
from bench.video.golden import golden_clip_agrees
from bench.video.index import Dataset

FEATURES_ONLY = "An ONNX file has no untrained or supervised twin to be compared with: chance is its only scale."

log = logging.getLogger(__name__)

Done = TypeVar("Done")

RUN: Mapping[StageName, Callable[[Case], StageOutput]] = {
    "linear_probe": linear_probe.run,
    "finetune": finetune.run,
    "retrieval": retrieval.run,
    "robustness": robustness.run,
    "distillation": distillation.run,
    "cka": cka.run,
}

Progress = Callable[[StageName, str, str, float], None]
"""Called with the stage, its state (`running`, `done`), a few words and the share done. Raises to stop the work."""


@dataclass(frozen=True)
class Videos:
    """A data set, opened: who is in it, its frames, and what the suite expects of them."""

    dataset: Dataset
    clips: Clips
    frames_digest: str
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` returns: the result, and what is stored beside it."""

    result: Result
    rows: Rows
    grams: tuple[Grams, ...]


def evaluate(
    encoder: Encoder,
    suite: Suite,
    videos: Mapping[str, Videos],
    *,
    student: StudentFactory,
    cache: Path,
    card: Card | None = None,
    reference_logits: Mapping[str, NDArray[np.float32]] | None = None,
    load_report: LoadReport | None = None,
    submission_id: int | None = None,
    device: str = "auto",
    processes: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Judge an encoder.

    Args:
        encoder: Anything that keeps the contract of `bench.encoder`.
        suite: The protocol.
        videos: By the suite's names of its data sets.
        student: Makes the suite's student for distillation, freshly initialised.
        cache: Folder for features, predictions, fitted models and the state of unfinished trainings; kept apart by
            what the frames of a data set really are.
        card: What is known about the encoder; a bare one is made from the encoder where it is None.
        reference_logits: The suite's reference teacher, by data set; none for own videos.
        load_report: Proof that the weights arrived, kept with the result.
        submission_id: The request behind this run, where there is one.
        device: `cpu`, `cuda`, or `auto`.
        processes: With more than one every data set is judged in a process of its own, with its share of the cores; see
            `processes_for`.
        progress: Told what is going on; may raise to stop.

    Raises:
        ValueError: If the encoder cannot take the suite's clip, a data set is missing, or the encoder's output is not finite.
    """
    where = device_named(device)
    orders = orders_for(encoder, suite, videos, student, cache, reference_logits, where)
    judged = of_each(judge_dataset, orders, suite, processes, progress)
    outputs = {
        (stage, name): judged[name].outputs[stage]
        for stage in STAGES
        for name in orders
        if stage in judged[name].outputs
    }
    seconds = {name: one.seconds for name, one in judged.items()}

    rows, scores = _score(suite, videos, outputs)
    flags = (golden_clip_agrees(), *next((one.flags for one in judged.values() if one.flags), ()))
    postable, remarks = _remarks(suite, videos, outputs, tuple(flag for flag in flags if flag))
    if encoder.trunk is None:
        remarks = (*remarks, FEATURES_ONLY)
    used = card or bare_card(encoder, suite)
    now = datetime.now(UTC)
    result = Result(
        result_id=f"{used.encoder_hash[:12]}--{suite.hash[:12]}--{now:%Y%m%dT%H%M%S%f}",
        card=used,
        suite=suite.name,
        suite_hash=suite.hash,
        suite_status=suite.status,
        created=now,
        submission_id=submission_id,
        datasets=tuple(_dataset_report(suite, videos[d.name]) for d in suite.datasets),
        stages=tuple(_stage_report(suite, stage, seconds, outputs) for stage in STAGES),
        scores=tuple(scores),
        environment=environment(where.type),
        load_report=load_report,
        postable=postable,
        remarks=remarks,
    )
    return Evaluation(result, rows, tuple(gram for output in outputs.values() for gram in output.grams))


@dataclass(frozen=True)
class Order:
    """One data set to be judged: all that a process of its own must be given."""

    encoder: Encoder
    suite: Suite
    name: str
    """The suite's name of the data set."""

    videos: Videos
    cache: Path
    device: str
    student: StudentFactory
    reference_logits: NDArray[np.float32] | None


def orders_for(
    encoder: Encoder,
    suite: Suite,
    videos: Mapping[str, Videos],
    student: StudentFactory,
    cache: Path,
    reference_logits: Mapping[str, NDArray[np.float32]] | None,
    device: torch.device,
) -> dict[str, Order]:
    """One order a data set of the suite.

    Raises:
        ValueError: If the encoder cannot take the suite's clip, or a data set is missing.
    """
    clip = suite.clip
    if refusal := encoder.accepts(clip.num_frames, clip.size, clip.size):
        raise ValueError(
            f"{suite.name} shows {clip.num_frames} x {clip.size} x {clip.size} clips. {refusal}{elsewhere(suite)}"
        )
    if missing := [d.name for d in suite.datasets if d.name not in videos]:
        raise ValueError(f"{suite.name} needs the data set {', '.join(missing)}, which was not given.")
    return {
        dataset.name: Order(
            encoder=encoder,
            suite=suite,
            name=dataset.name,
            videos=videos[dataset.name],
            cache=cache,
            device=str(device),
            student=student,
            reference_logits=(reference_logits or {}).get(dataset.name),
        )
        for dataset in suite.datasets
    }


def of_each(
    function: Callable[[Order, Callable[[StageName, str, float], None]], Done],
    orders: Mapping[str, Order],
    suite: Suite,
    processes: int,
    progress: Progress | None,
) -> dict[str, Done]:
    """What a function makes of every order: one after another, or side by side in processes."""
    tell = _together(suite, progress or (lambda *_: None))
    if processes > 1:
        return side_by_side(function, orders, tell)
    return {name: function(order, partial(tell, name)) for name, order in orders.items()}


@dataclass(frozen=True)
class Judged:
    """What the stages say of one data set, and how long each took."""

    outputs: Mapping[StageName, StageOutput]
    seconds: Mapping[StageName, float]
    flags: tuple[str, ...]
    """What is odd about the encoder: its scores are told, but cannot be posted."""


def judge_dataset(order: Order, tell: Callable[[StageName, str, float], None]) -> Judged:
    """Every stage on one data set, in order. `tell` hears of stage, words and the share done; it raises to stop."""
    case = case_for(order, Cache(cache_folder(order.cache, order.videos)))
    flags = conduct(case, "The encoder", trunk_reader(case), "train")
    outputs: dict[StageName, StageOutput] = {}
    seconds: dict[StageName, float] = {}
    for stage in (stage for stage in STAGES if stage in order.suite.dataset(order.name).stages):
        started = time.monotonic()

        def report(words: str, share: float, *, stage: StageName = stage) -> None:
            tell(stage, words, min(share, 0.999))  # a stage is done when it has returned

        report("starting", 0.0)
        outputs[stage] = RUN[stage](case.reporting(report))
        seconds[stage] = time.monotonic() - started
        tell(stage, "", 1.0)
    return Judged(outputs, seconds, flags)


def case_for(order: Order, cache: Cache) -> Case:
    """An order as its stages are given it, silent still."""
    keep_large_buffers()
    device = torch.device(order.device)
    if order.encoder.trunk is not None:
        order.encoder.trunk.to(device)
    training = cache.folder / "training"
    case = open_case(order.encoder, order.suite, order.videos, cache, training, device, lambda *_: None, order.student)
    return replace(case, reference_logits=order.reference_logits)


def cache_folder(cache: Path, videos: Videos) -> Path:
    """Caches are kept apart by what the frames of a data set really are."""
    return cache / f"{videos.dataset.name.replace(':', '-')}-{videos.frames_digest[:12]}"


def processes_for(suite: Suite, device: str) -> int:
    """A process for each data set on a CPU, as far as there are cores; on a GPU they would be in each other's way."""
    return 1 if device_named(device).type != "cpu" else min(len(suite.datasets), cores())


def _together(suite: Suite, progress: Progress) -> Callable[[str, StageName, str, float], None]:
    """Tells of the stages on all data sets as of one: a stage is done when it is done everywhere."""
    shares = {stage: Shares([d.name for d in suite.datasets if stage in d.stages]) for stage in STAGES}

    def tell(name: str, stage: StageName, words: str, share: float) -> None:
        whole = shares[stage](name, share)
        done = math.isclose(whole, 1.0)
        progress(stage, "done" if done else "running", "" if done or not words else f"{name}: {words}", whole)

    return tell


def elsewhere(suite: Suite) -> str:
    """Where an encoder can go that cannot take the suite's clip."""
    return (
        "" if suite.open else " An open suite, such as ucf101-open-v1, shows every encoder the clip of its own config."
    )


def bare_card(encoder: Encoder, suite: Suite) -> Card:
    """What an encoder says of itself, and what one clip of the suite costs it."""
    trunk = encoder.trunk
    return Card(
        name=encoder.name,
        architecture=encoder.architecture,
        weight_hash=encoder.weight_hash,
        encoder_hash=encoder_hash(encoder, suite.clip if suite.open else None),
        normalisation=encoder.normalisation,
        feature_dim=encoder.feature_dim,
        parameters=encoder.parameters,
        gflops=None if trunk is None else gflops(trunk, suite.clip),
        track="features-only" if trunk is None else "full",
    )


def gflops(trunk: torch.nn.Module, clip: ClipSpec) -> float:
    """Of one clip: convolutions and matrix products, two a multiply-accumulate, as torch counts them."""
    device = next(trunk.parameters()).device
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        trunk(torch.zeros(1, 3, clip.num_frames, clip.size, clip.size, device=device))
    return float(counter.get_total_flops()) / 1e9


def open_case(
    encoder: Encoder,
    suite: Suite,
    videos: Videos,
    cache: Cache,
    training: Path,
    device: torch.device,
    report: Callable[[str, float], None],
    student: StudentFactory,
) -> Case:
    """What the stages are given. Test labels stay here, with the scorer."""
    hidden = replace(videos.dataset, test=videos.dataset.test.without_labels())
    clips = replace(videos.clips, sets={**videos.clips.sets, "test": hidden.test})
    return Case(
        encoder=encoder,
        suite=suite,
        dataset=hidden,
        clips=clips,
        cache=cache,
        training=training,
        device=device,
        report=report,
        student=student,
        reference_logits=None,
    )


def _score(
    suite: Suite, videos: Mapping[str, Videos], outputs: Mapping[tuple[StageName, str], StageOutput]
) -> tuple[Rows, list[Score]]:
    """Join the guesses with the labels, which no stage has seen."""
    tables: list[Rows] = []
    scores: list[Score] = []
    for dataset in suite.datasets:
        guesses: list[Guesses] = [g for (_, name), o in outputs.items() if name == dataset.name for g in o.guesses]
        grams = [g for (_, name), o in outputs.items() if name == dataset.name for g in o.grams]
        rows = join(guesses, videos[dataset.name].dataset.test)
        tables.append(rows)
        scores += score(rows, grams, suite, videos[dataset.name].dataset)
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}, scores


def _dataset_report(suite: Suite, videos: Videos) -> DatasetReport:
    dataset = videos.dataset
    protocol = suite.dataset(dataset.name)
    return DatasetReport(
        name=dataset.name,
        manifest_hash=protocol.manifest_hash,
        frames_digest=videos.frames_digest,
        frames_expected=protocol.frames_digest,
        official=protocol.official,
        clip=suite.clip if suite.open else None,
        class_names=dataset.train.class_names,
        num_train=len(dataset.train),
        num_validation=len(dataset.validation),
        num_test=len(dataset.test),
        num_clusters=len(set(dataset.test.sources)),
        left_out=videos.left_out,
    )


def _stage_report(
    suite: Suite,
    stage: StageName,
    seconds: Mapping[str, Mapping[StageName, float]],
    outputs: Mapping[tuple[StageName, str], StageOutput],
) -> StageReport:
    facts: dict[str, float | int | str] = {}
    for (name, dataset), output in outputs.items():
        if name == stage:
            facts |= {f"{dataset}.{word}": value for word, value in output.facts.items()}
            facts[f"{dataset}.seconds"] = round(seconds[dataset][stage], 3)
    spent = sum(of_stage.get(stage, 0.0) for of_stage in seconds.values())
    return StageReport(stage=stage, stage_hash=suite.stage_hash(stage), seconds=round(spent, 3), facts=facts)


def _remarks(
    suite: Suite,
    videos: Mapping[str, Videos],
    outputs: Mapping[tuple[StageName, str], StageOutput],
    flags: tuple[str, ...],
) -> tuple[bool, tuple[str, ...]]:
    """Whether the result can be posted, and what a reader must be told; with a flag it cannot."""
    remarks = [*flags, *(remark for output in outputs.values() for remark in output.remarks)]
    postable = not flags
    if suite.open:
        clip = suite.clip
        remarks.append(
            f"{suite.name} shows every encoder its own clip: here {clip.num_frames} frames, stride {clip.stride}, {clip.size} x "
            f"{clip.size} out of {clip.resize[0]} x {clip.resize[1]}."
        )
    for dataset in suite.datasets:
        found = videos[dataset.name]
        if dataset.official:
            remarks.append(
                f"The videos of {dataset.name} are those of the official lists; {suite.name} does not pin their frames. These have "
                f"the digest {found.frames_digest[:12]}: rows with another one saw other pixels."
            )
        elif dataset.frames_digest is None:
            postable = False
            remarks.append(f"{dataset.name} is your own data: the result is local and never stands on a public board.")
        elif found.frames_digest != dataset.frames_digest:
            postable = False
            remarks.append(
                f"The decoded frames of {dataset.name} have the digest {found.frames_digest[:12]}; {suite.name} expects "
                f"{dataset.frames_digest[:12]}. Another build of the encoder or decoder made other pixels, so the result is local."
            )
        if found.left_out:
            postable = False
            remarks.append(f"{len(found.left_out)} videos of {dataset.name} could not be read and are left out.")
    return postable, tuple(dict.fromkeys(remarks))
