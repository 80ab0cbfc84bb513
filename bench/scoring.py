"""From guesses to scores: here, and only here, the labels of the test videos are looked at.

`join` puts each guess beside its label: one record a video, model, condition and seed, which is what a result stores.
`score` makes every score from such records alone (and the CKA scores from Gram matrices), so an old result can be scored
anew without its weights.

Accuracies are fractions. A relative decrease, an area and what is kept are fractions too; a break point is a severity.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bench.guesses import Grams, Guesses
from bench.results import Rows
from bench.schema import CLEAN, Condition, Score, StageName
from bench.statistics import severity, similarity
from bench.statistics.intervals import Estimate, Floats, Sample, accuracies, intervals
from bench.suites.protocol import Suite
from bench.video.index import Dataset, VideoSet

FEW_SOURCES = 30
"""Below this a score says that its interval stands on few sources."""

TRAINED: tuple[tuple[StageName, str | None], ...] = (
    ("finetune", None),
    ("distillation", None),
    ("robustness", "finetuned"),
)
"""Stages, and which of their models (None: all), that are trained at random."""


def join(guesses: Iterable[Guesses], test: VideoSet) -> Rows:
    """One record a guess and video: what was guessed first, and at which place (from 1) the true label stands; 0 if nowhere."""
    labels = dict(zip(test.ids, test.labels.tolist(), strict=True))
    sources = dict(zip(test.ids, test.sources, strict=True))
    parts: list[dict[str, Any]] = []
    for one in guesses:
        label_N = np.array([labels[video_id] for video_id in one.video_ids], dtype=np.int64)
        right_NK = one.ranking_NK == label_N[:, None]
        parts.append(
            {
                "video_id": list(one.video_ids),
                "source": [sources[video_id] for video_id in one.video_ids],
                "label": label_N,
                "stage": [one.stage] * len(label_N),
                "dataset": [one.dataset] * len(label_N),
                "model": [one.model] * len(label_N),
                "corruption": [one.condition.corruption] * len(label_N),
                "severity": np.full(len(label_N), one.condition.severity),
                "seed": np.full(len(label_N), one.seed),
                "predicted": one.ranking_NK[:, 0].astype(np.int64),
                "rank": np.where(right_NK.any(axis=1), right_NK.argmax(axis=1) + 1, 0),
            }
        )
    texts = ("video_id", "source", "stage", "dataset", "model", "corruption")
    numbers = ("label", "severity", "seed", "predicted", "rank")
    rows: Rows = {name: np.array([word for part in parts for word in part[name]], dtype=np.str_) for name in texts}
    empty = [np.zeros(0, dtype=np.int64)]
    rows |= {name: np.concatenate([part[name] for part in parts] or empty).astype(np.int64) for name in numbers}
    return rows


def score(rows: Rows, grams: Sequence[Grams], suite: Suite, dataset: Dataset) -> list[Score]:
    """Every score of one encoder on one data set.

    Args:
        rows: Records as `join` makes them; those of other data sets are passed over.
        grams: Gram matrices as the CKA stage makes them; likewise.
        suite: Says what was asked.
        dataset: Gives the labels of the gallery, for chance in retrieval, and the number of classes.
    """
    here = {name: column[rows["dataset"] == dataset.name] for name, column in rows.items()}
    own_grams = {one.model: one for one in grams if one.dataset == dataset.name}
    chance = 1 / suite.dataset(dataset.name).num_classes
    return [
        *_classified(here, "linear_probe", chance),
        *_selection_gap(here, "linear_probe", "strength"),
        *_classified(here, "finetune", chance),
        *_selection_gap(here, "finetune", "epoch"),
        *_retrieved(here, suite.retrieval.ks, dataset),
        *_robustness(here, chance),
        *_distilled(here, chance),
        *_kept(own_grams, suite, dataset.test),
    ]


@dataclass(frozen=True)
class Hits:
    """Whether each video was got right, for some columns of one data set: the input of every interval.

    Shapes: S seeds, N videos, Q columns (conditions, or models).
    """

    hits_SNQ: NDArray[np.bool_]
    video_ids: tuple[str, ...]
    sources_N: NDArray[np.str_]
    seeds: tuple[int, ...]

    @property
    def sample(self) -> Sample:
        """Summed by source."""
        return Sample.of_videos(self.hits_SNQ, self.sources_N)


def hits(
    rows: Rows,
    stage: StageName,
    columns: Sequence[tuple[str, Condition]],
    *,
    within: int = 1,
) -> Hits | None:
    """Which videos have their label among the first `within` guesses, by (model, condition); None where nothing was guessed.

    Raises:
        ValueError: If the columns were not computed on the same videos with the same seeds.
    """
    tables = [_table(rows, stage, model, condition) for model, condition in columns]
    if not tables or not len(tables[0].rank_X):
        return None
    first = tables[0]
    for (model, condition), table in zip(columns, tables, strict=True):
        if not (np.array_equal(table.video_X, first.video_X) and np.array_equal(table.seed_X, first.seed_X)):
            raise ValueError(f"{stage} {model} {condition}: not the same videos and seeds as the columns beside it.")
    seeds = np.unique(first.seed_X)
    num_videos = len(first.seed_X) // len(seeds)
    video_SN = first.video_X[: len(seeds) * num_videos].reshape(len(seeds), num_videos)
    if len(first.seed_X) % len(seeds) or (video_SN != video_SN[0]).any():
        raise ValueError(f"{stage}: some seeds lack some videos.")
    rank_XQ = np.stack([table.rank_X for table in tables], axis=1)
    hits_SNQ = ((rank_XQ > 0) & (rank_XQ <= within)).reshape(len(seeds), num_videos, len(tables))
    return Hits(hits_SNQ, tuple(video_SN[0].tolist()), first.source_X[:num_videos], tuple(seeds.tolist()))


def taught_scores(rows: Rows, student: str, *, alone: str, teachers: Sequence[str]) -> dict[str, Estimate]:
    """What an ensemble of teachers did for a student, from the rows of `bench.stages.teaching.study`.

    `top1`, `alone`, `best_teacher`, `gain_over_alone`, `gain_over_best_teacher`, and `gap_recovered`: the share of what the
    best teacher has over the student alone that the taught student has too, 1 where it is as good as that teacher and NaN
    where no teacher is better than the student alone.

    Raises:
        ValueError: If one of these models has no rows.
    """
    columns = [(name, CLEAN) for name in (student, alone, *teachers)]
    if absent := [name for name, _ in columns if not (rows["model"] == name).any()]:
        raise ValueError(f"There are no guesses of {', '.join(absent)}, so nothing can be said about {student}.")
    found = hits(rows, "distillation", columns)
    assert found is not None, "every column has rows"

    def all_of(means: Floats) -> Floats:
        taught, by_itself, best = means[..., 0], means[..., 1], means[..., 2:].max(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            recovered = np.where(best > by_itself, (taught - by_itself) / (best - by_itself), np.nan)
        made: Floats = np.stack([taught, by_itself, best, taught - by_itself, taught - best, recovered], axis=-1)
        return made

    names = ("top1", "alone", "best_teacher", "gain_over_alone", "gain_over_best_teacher", "gap_recovered")
    return dict(zip(names, intervals(found.sample, all_of), strict=True))


def chance_of_recall(gallery_labels_M: NDArray[np.int64], labels_N: NDArray[np.int64], k: int) -> float:
    """Share of videos with their class among k gallery videos taken at random: 1 - C(M - m, k) / C(M, k), averaged."""
    size = len(gallery_labels_M)
    k = min(k, size)
    same_N = np.array([int((gallery_labels_M == label).sum()) for label in labels_N])
    others_N = size - same_N
    enough_N = others_N >= k
    kept_N = np.maximum(others_N, k)
    none_N = np.exp(gammaln(kept_N + 1) - gammaln(kept_N - k + 1) - gammaln(size + 1) + gammaln(size - k + 1))
    return float(1 - np.where(enough_N, none_N, 0.0).mean())


@dataclass(frozen=True)
class _Table:
    """Records of one model under one condition, by seed, then by video."""

    seed_X: NDArray[np.int64]
    video_X: NDArray[np.str_]
    source_X: NDArray[np.str_]
    rank_X: NDArray[np.int64]


def _table(rows: Rows, stage: str, model: str, condition: Condition) -> _Table:
    chosen_X = np.flatnonzero(
        (rows["stage"] == stage)
        & (rows["model"] == model)
        & (rows["corruption"] == condition.corruption)
        & (rows["severity"] == condition.severity)
    )
    chosen_X = chosen_X[np.lexsort((rows["video_id"][chosen_X], rows["seed"][chosen_X]))]
    return _Table(
        rows["seed"][chosen_X].astype(np.int64),
        rows["video_id"][chosen_X].astype(np.str_),
        rows["source"][chosen_X].astype(np.str_),
        rows["rank"][chosen_X].astype(np.int64),
    )


def _classified(rows: Rows, stage: StageName, chance: float) -> list[Score]:
    found = hits(rows, stage, [("", CLEAN)])
    return [] if found is None else [_Maker(rows, found, stage, "").make("top1", accuracies(found.sample)[0], chance)]


def _selection_gap(rows: Rows, stage: StageName, what: str) -> list[Score]:
    """By how much the best candidate on the test videos is better than the one that was chosen without looking at them."""
    of_stage = rows["stage"] == stage
    names = [name for name in np.unique(rows["model"][of_stage]).tolist() if name.startswith(f"{what} ")]
    names = sorted(names, key=lambda name: float(name.split(" ")[1]))
    if not names:
        return []
    # Every strength was judged as the probe was; of epochs the last is the chosen one, seen in the same one view.
    columns = ["", *names] if stage == "linear_probe" else [names[-1], *names[:-1]]
    found = hits(rows, stage, [(name, CLEAN) for name in columns])
    assert found is not None, "candidates have rows"

    def gap(means: Floats) -> Floats:
        gain: Floats = means.max(axis=-1, keepdims=True) - means[..., :1]
        return gain

    score = _Maker(rows, found, stage, "").make("gap_to_best_on_test", intervals(found.sample, gap)[0], None)
    chosen = "the one chosen on validation" if stage == "linear_probe" else "the last, one view each"
    words = f"Best of {len(names)} {what}s by the test labels, less {chosen}. Shown, never used."
    return [score.model_copy(update={"note": f"{words} {score.note}".strip()})]


def _retrieved(rows: Rows, ks: Sequence[int], dataset: Dataset) -> list[Score]:
    gallery_M = np.concatenate([dataset.train.labels, dataset.validation.labels])
    scores = []
    for k in sorted(k for k in ks if k <= len(gallery_M)):
        found = hits(rows, "retrieval", [("", CLEAN)], within=k)
        if found is not None:
            chance = chance_of_recall(gallery_M, dataset.test.labels, k)
            scores.append(_Maker(rows, found, "retrieval", "").make(f"recall@{k}", accuracies(found.sample)[0], chance))
    return scores


def _robustness(rows: Rows, chance: float) -> list[Score]:
    scores: list[Score] = []
    for model in ("probe", "finetuned"):
        conditions = _noisy_conditions(rows, model)
        found = hits(rows, "robustness", [(model, condition) for condition in (CLEAN, *conditions)])
        if found is None:
            continue
        maker = _Maker(rows, found, "robustness", model)
        sample = found.sample
        for condition, estimate in zip((CLEAN, *conditions), accuracies(sample), strict=True):
            scores.append(maker.make("top1", estimate, chance, condition=condition))
        if conditions:
            scores += _curve_scores(maker, sample, conditions, chance)
    return scores


def _curve_scores(maker: "_Maker", sample: Sample, conditions: Sequence[Condition], chance: float) -> list[Score]:
    """What follows from the mean over noises at each severity."""
    level_C = np.array([condition.severity for condition in conditions])
    levels = sorted(set(level_C.tolist()))
    severities_L = np.array(levels, dtype=np.float64)

    def noisy(means: Floats) -> Floats:
        return np.stack([means[..., 1:][..., level_C == level].mean(axis=-1) for level in levels], axis=-1)

    def one(statistic: Callable[[Floats], Floats]) -> Estimate:
        return intervals(sample, lambda means: statistic(means)[..., None])[0]

    scores = [maker.make("noise_mean", one(lambda means: means[..., 1:].mean(axis=-1)), chance)]
    for level, estimate in zip(levels, intervals(sample, noisy), strict=True):
        scores.append(maker.make(f"noise_mean@{level}", estimate, chance))
    for last in (1, 3, 5):
        if not set(range(1, last + 1)) <= set(levels):
            continue
        chosen = severities_L <= last

        def decrease(means: Floats, chosen: NDArray[np.bool_] = chosen) -> Floats:
            fall_L = severity.relative_decrease(means[..., 0], noisy(means)[..., chosen])
            mean: Floats = fall_L.mean(axis=-1)
            return mean

        word = "1" if last == 1 else f"1-{last}"
        scores.append(maker.make(f"relative_decrease@{word}", one(decrease), None, absent="Clean accuracy is zero."))
    scores.append(
        maker.make(
            "area",
            one(lambda means: severity.area(means[..., 0], noisy(means), severities_L)),
            None,
            absent="Clean accuracy is zero.",
        )
    )
    breaks = one(lambda means: severity.break_point(means[..., 0], noisy(means), severities_L, chance))
    reason = "Clean accuracy is not above chance."
    if np.isinf(breaks.value):
        reason = f"Half of the way to chance is not lost up to severity {levels[-1]}."
    scores.append(maker.make("break_point", breaks, None, absent=reason))
    return scores


def _distilled(rows: Rows, chance: float) -> list[Score]:
    arms = [
        arm
        for arm in ("alone", "submission", "reference", "both")
        if len(_table(rows, "distillation", arm, CLEAN).rank_X)
    ]
    found = hits(rows, "distillation", [(arm, CLEAN) for arm in arms])
    if found is None:
        return []
    sample = found.sample
    place = {arm: at for at, arm in enumerate(arms)}
    scores = [
        _Maker(rows, found, "distillation", arm).make("top1", estimate, chance)
        for arm, estimate in zip(arms, accuracies(sample), strict=True)
    ]
    maker = _Maker(rows, found, "distillation", "")
    if {"alone", "submission"} <= place.keys():
        gain = intervals(sample, lambda means: means[..., [place["submission"]]] - means[..., [place["alone"]]])[0]
        scores.append(maker.make("gain_over_alone", gain, 0.0))
    if {"submission", "reference", "both"} <= place.keys():

        def over_better(means: Floats) -> Floats:
            better = np.maximum(means[..., [place["submission"]]], means[..., [place["reference"]]])
            gain: Floats = means[..., [place["both"]]] - better
            return gain

        scores.append(maker.make("gain_over_better", intervals(sample, over_better)[0], 0.0))
    return scores


def _kept(grams: dict[str, Grams], suite: Suite, test: VideoSet) -> list[Score]:
    if not {"pretrained", "finetuned"} <= grams.keys():
        return []
    before, after = grams["pretrained"], grams["finetuned"]
    source_of = dict(zip(test.ids, test.sources, strict=True))
    sources = [source_of[video_id] for video_id in before.video_ids]
    estimate = similarity.kept(before, after, sources)
    note = "Mean over layers; chance: videos shuffled. One training seed: training spread not included."
    return [
        Score(
            stage="cka",
            dataset=before.dataset,
            metric="kept_after_finetuning",
            value=_number(estimate.value),
            low=_number(estimate.low),
            high=_number(estimate.high),
            n=len(sources),
            clusters=len(set(sources)),
            chance=_number(similarity.kept_by_chance(before, after, suite.cka.permutations)),
            seeds=suite.finetune.seeds[:1],
            note=note if np.isfinite(estimate.value) else "No layer has a similarity with itself on these videos.",
        )
    ]


def _noisy_conditions(rows: Rows, model: str) -> list[Condition]:
    chosen = (rows["stage"] == "robustness") & (rows["model"] == model) & (rows["severity"] != 0)
    found = sorted(set(zip(rows["corruption"][chosen].tolist(), rows["severity"][chosen].tolist(), strict=True)))
    return [Condition(corruption=name, severity=level) for name, level in found]


@dataclass(frozen=True)
class _Maker:
    """Writes estimates of one model down as scores."""

    rows: Rows
    found: Hits
    stage: StageName
    model: str

    def make(
        self,
        metric: str,
        estimate: Estimate,
        chance: float | None,
        *,
        condition: Condition = CLEAN,
        absent: str = "",
    ) -> Score:
        trained = any(self.stage == stage and model in (None, self.model) for stage, model in TRAINED)
        sources = len(np.unique(self.found.sources_N))
        notes = []
        if not np.isfinite(estimate.value):
            notes.append(absent)
        elif np.isinf(estimate.high):
            notes.append("The interval has no upper end: in some draws it is never reached.")
        if sources < 2:
            notes.append("One source only: no interval.")
        elif sources < FEW_SOURCES:
            notes.append(f"Stands on {sources} sources; fewer than {FEW_SOURCES} are few.")
        if trained and len(self.found.seeds) == 1:
            notes.append("One training seed: training spread not included.")
        return Score(
            stage=self.stage,
            dataset=str(self.rows["dataset"][0]),
            metric=metric,
            model=self.model,
            condition=condition,
            value=_number(estimate.value),
            low=_number(estimate.low),
            high=_number(estimate.high),
            n=len(self.found.video_ids),
            clusters=sources,
            chance=chance,
            seeds=self.found.seeds if trained else (),
            note=" ".join(notes),
        )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
