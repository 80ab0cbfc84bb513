"""Invented results: whole folders, whose scores follow from invented guesses per video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from bench.guesses import Grams
from bench.results import Rows, StoredResult, write_result
from bench.schema import (
    CLEAN,
    STAGES,
    Card,
    Condition,
    DatasetReport,
    Environment,
    LoadReport,
    Normalisation,
    Result,
    Score,
    StageReport,
    content_hash,
)

NOISES = ("gaussian", "shot", "impulse", "speckle")
CLASSES, VIDEOS_A_SOURCE = 8, 4
START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
CONDITIONS = [Condition(corruption=f"{n}/ucf101-p@source/v1", severity=s) for n in NOISES for s in range(1, 6)]
LAYERS = (
    "stem",
    *(f"stage2_{i}" for i in range(4)),
    *(f"stage3_{i}" for i in range(8)),
    *(f"stage4_{i}" for i in range(4)),
    "pooled",
)


@dataclass(frozen=True)
class Skill:
    """What an invented model can do: the probability of a hit, by stage."""

    finetune: float = 0.7
    probe: float = 0.4
    retrieval: float = 0.35
    steepness: float = 0.07
    """Share of clean accuracy lost at each severity of Gaussian noise."""

    alone: float = 0.45
    taught: float = 0.5


def invent(
    folder: Path,
    name: str,
    *,
    architecture: str = "shufflenet_v1_w025",
    skill: Skill | None = None,
    anchor: str = "",
    suite: str = "mini-v1",
    suite_state: str = "first",
    datasets: Mapping[str, int] | None = None,
    seed: int = 0,
    number: int = 0,
    card: Mapping[str, object] | None = None,
    submission_id: int | None = 1,
    grams: bool = False,
    leave_out: Sequence[str] = (),
) -> StoredResult:
    """Write a result folder.

    Args:
        folder: Where result folders stand.
        name: Of the model.
        architecture: Of the model.
        skill: What it can do.
        anchor: `random`, `supervised`, or empty.
        suite: Name of the suite.
        suite_state: Another word, another suite hash.
        datasets: Sources of each data set; by default 24 each of `appearance` and `motion`.
        seed: Of the invention.
        number: Later numbers are later results.
        card: Further fields of the card.
        submission_id: None for a row its author computed himself.
        grams: Whether Gram matrices are stored.
        leave_out: Stages that did not run.
    """
    rng = np.random.default_rng([seed, len(name), number])
    can = skill or Skill()
    tables: list[Rows] = []
    scores: list[Score] = []
    reports, stored_grams = [], []
    for dataset, sources in (datasets or {"appearance": 24, "motion": 24}).items():
        rows = _rows(rng, dataset, sources, can, leave_out)
        tables.append(rows)
        scores += _scores(rows, dataset, leave_out)
        reports.append(_dataset(dataset, sources))
        if grams and "cka" not in leave_out:
            stored_grams += [_grams(rng, dataset, "pretrained"), _grams(rng, dataset, "finetuned")]
    created = START + timedelta(minutes=number)
    encoder = content_hash({"name": name, "architecture": architecture, "seed": seed})
    suite_hash = content_hash({"suite": suite, "state": suite_state})
    result = Result(
        result_id=f"{encoder[:12]}--{suite_hash[:12]}--{created:%Y%m%dT%H%M%S%f}",
        card=Card.model_validate(
            {
                "name": name,
                "architecture": architecture,
                "weight_hash": content_hash({"weights": encoder}),
                "encoder_hash": encoder,
                "normalisation": Normalisation(),
                "feature_dim": 240,
                "parameters": 312_416,
                "gflops": 0.11,
                "anchor": anchor,
                "pretext": "" if anchor else "VCOP",
                "family": "" if anchor else "non-contrastive",
                "pretrained_on": () if anchor == "random" else ("motion-pretrain",),
                "licence": "Apache-2.0",
                **(card or {}),
            }
        ),
        suite=suite,
        suite_hash=suite_hash,
        suite_status="draft",
        created=created,
        submission_id=submission_id,
        datasets=tuple(reports),
        stages=tuple(
            StageReport(
                stage=stage,
                stage_hash=content_hash({"stage": stage, "of": suite_state}),
                seconds=7.0 + 11 * position,
                facts={"appearance.strength": 0.01, "motion.strength": 0.1} if stage == "linear_probe" else {},
            )
            for position, stage in enumerate(STAGES)
            if stage not in leave_out
        ),
        scores=tuple(scores),
        environment=Environment(
            python="3.11.2",
            platform="Linux 6.1 x86_64",
            cpu="An invented processor",
            threads=2,
            libraries={"torch": "2.15.0", "av": "18.1.0"},
            code_version="0.1.0",
            code_commit="0123456789abcdef0123456789abcdef01234567",
            code_dirty=True,
        ),
        load_report=LoadReport(loaded=412, expected=412, dropped={"head.weight": "head"}, recognised="safetensors"),
        postable=not suite.startswith("local:"),
    )
    rows = {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
    return write_result(folder, result, rows, stored_grams)


def _rows(rng: np.random.Generator, dataset: str, sources: int, can: Skill, leave_out: Sequence[str]) -> Rows:
    """Guesses: a video is easy or hard for every model alike, so that models can be paired by video."""
    count = sources * VIDEOS_A_SOURCE
    videos = [f"{dataset}/v{index:04d}" for index in range(count)]
    source = [f"s{index // VIDEOS_A_SOURCE:03d}" for index in range(count)]
    label = np.arange(count) % CLASSES
    ease = np.random.default_rng(len(dataset)).random(count)
    columns: dict[str, list[np.ndarray]] = {}

    def add(stage: str, model: str, condition: Condition, chance_of_hit: float, seeds: Sequence[int]) -> None:
        if stage in leave_out:
            return
        for one in seeds:
            luck = 0.7 * ease + 0.3 * rng.random(count)
            harder = 1 - 0.01 * len(dataset)  # every data set has its own numbers
            hit = luck < np.quantile(luck, min(max(harder * chance_of_hit, 0.0), 1.0))
            other = (label + 1 + rng.integers(0, CLASSES - 1, count)) % CLASSES
            values = {
                "video_id": np.array(videos),
                "source": np.array(source),
                "label": label,
                "stage": np.full(count, stage),
                "dataset": np.full(count, dataset),
                "model": np.full(count, model),
                "corruption": np.full(count, condition.corruption),
                "severity": np.full(count, condition.severity),
                "seed": np.full(count, one),
                "predicted": np.where(hit, label, other),
                "rank": np.where(hit, 1, 2 + rng.integers(0, CLASSES - 1, count)),
            }
            for key, value in values.items():
                columns.setdefault(key, []).append(value)

    seeds = (0, 1, 2)
    add("linear_probe", "", CLEAN, can.probe, (0,))
    add("finetune", "", CLEAN, can.finetune, seeds)
    add("retrieval", "", CLEAN, can.retrieval, (0,))
    for model, clean in (("probe", can.probe), ("finetuned", can.finetune)):
        add("robustness", model, CLEAN, clean, (0,))
        for condition in CONDITIONS:
            worse = {"gaussian": 1.0, "shot": 0.9, "impulse": 1.5, "speckle": 0.95}[condition.family]
            left = max(1 - worse * can.steepness * condition.severity, 0.0)
            add("robustness", model, condition, 1 / CLASSES + (clean - 1 / CLASSES) * left, (0,))
    for arm, hit in (
        ("alone", can.alone),
        ("submission", can.taught),
        ("reference", can.alone + 0.04),
        ("both", can.taught + 0.02),
    ):
        add("distillation", arm, CLEAN, hit, seeds)
    return {key: np.concatenate(values) for key, values in columns.items()}


def _scores(rows: Rows, dataset: str, leave_out: Sequence[str]) -> list[Score]:
    sources = rows["source"][rows["dataset"] == dataset]
    names = np.unique(sources)

    def hits(stage: str, model: str, condition: Condition) -> tuple[np.ndarray, np.ndarray]:
        chosen = (
            (rows["stage"] == stage)
            & (rows["dataset"] == dataset)
            & (rows["model"] == model)
            & (rows["corruption"] == condition.corruption)
            & (rows["severity"] == condition.severity)
        )
        return (rows["rank"][chosen] == 1).astype(float), rows["source"][chosen]

    def by_source(stage: str, model: str, conditions: Sequence[Condition]) -> np.ndarray:
        found = []
        for condition in conditions:
            hit, source = hits(stage, model, condition)
            where = np.searchsorted(names, source)
            found.append(np.bincount(where, weights=hit) / np.bincount(where))
        return np.mean(found, axis=0)

    def score(
        stage: str,
        metric: str,
        means: np.ndarray,
        *,
        model: str = "",
        condition: Condition = CLEAN,
        chance: bool = True,
    ) -> Score:
        half = 2 * means.std() / np.sqrt(len(means))
        return Score.model_validate(
            {
                "stage": stage,
                "dataset": dataset,
                "metric": metric,
                "model": model,
                "condition": condition,
                "value": float(means.mean()),
                "low": float(means.mean() - half),
                "high": float(means.mean() + half),
                "n": len(names) * VIDEOS_A_SOURCE,
                "clusters": len(names),
                "chance": 1 / CLASSES if chance else None,
                "seeds": (0, 1, 2) if stage in ("finetune", "distillation") else (),
            }
        )

    made: list[Score] = []
    if "linear_probe" not in leave_out:
        made.append(score("linear_probe", "top1", by_source("linear_probe", "", [CLEAN])))
    if "finetune" not in leave_out:
        made.append(score("finetune", "top1", by_source("finetune", "", [CLEAN])))
    if "retrieval" not in leave_out:
        made.append(score("retrieval", "recall@1", by_source("retrieval", "", [CLEAN])))
    if "robustness" not in leave_out:
        for model in ("probe", "finetuned"):
            clean = by_source("robustness", model, [CLEAN])
            made.append(score("robustness", "top1", clean, model=model))
            for condition in CONDITIONS:
                made.append(
                    score(
                        "robustness",
                        "top1",
                        by_source("robustness", model, [condition]),
                        model=model,
                        condition=condition,
                    )
                )
            noisy = by_source("robustness", model, CONDITIONS)
            made.append(score("robustness", "noise_mean", noisy, model=model))
            for level in ("1", "1-3", "1-5"):
                upto = [c for c in CONDITIONS if c.severity <= int(level[-1])]
                lost = (clean.mean() - by_source("robustness", model, upto)) / clean.mean()
                made.append(score("robustness", f"relative_decrease@{level}", lost, model=model, chance=False))
            made.append(score("robustness", "area", noisy / clean.mean(), model=model, chance=False))
    if "distillation" not in leave_out:
        arms = {arm: by_source("distillation", arm, [CLEAN]) for arm in ("alone", "submission", "reference", "both")}
        made += [score("distillation", "top1", means, model=arm) for arm, means in arms.items()]
        made.append(score("distillation", "gain_over_alone", arms["submission"] - arms["alone"], chance=False))
        made.append(score("distillation", "gain_over_better", arms["both"] - arms["submission"], chance=False))
    if "cka" not in leave_out:
        made.append(score("cka", "kept_after_finetuning", np.full(len(names), 0.62), chance=False))
    return made


def _dataset(name: str, sources: int) -> DatasetReport:
    digest = content_hash({"data": name})
    return DatasetReport(
        name=name,
        manifest_hash=digest,
        frames_digest=digest,
        frames_expected=digest,
        class_names=tuple(f"class {index}" for index in range(CLASSES)),
        num_train=160,
        num_validation=40,
        num_test=sources * VIDEOS_A_SOURCE,
        num_clusters=sources,
    )


def _grams(rng: np.random.Generator, dataset: str, model: str) -> Grams:
    """Layers that drift away from one another: neighbours are alike."""
    batches, size = 2, 24
    features = rng.normal(size=(batches, size, 12))
    found = []
    for position in range(len(LAYERS)):
        share = 0.35 if position in (1, 5, 13, 17) else 0.12
        features = (1 - share) * features + share * 3 * rng.normal(size=features.shape)
        found.append(np.einsum("bnd,bmd->bnm", features, features))
    return Grams(
        dataset=dataset,
        model=model,
        video_ids=tuple(f"{dataset}/v{index:04d}" for index in range(batches * size)),
        layers=LAYERS,
        grams_LBNN=np.array(found, dtype=np.float32),
    )
