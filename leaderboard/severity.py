"""What one row's page says about noise: a curve for every noise, and the heat map of what is kept."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.results import StoredResult
from bench.schema import Result, Score
from bench.statistics.severity import break_point
from leaderboard.measures import NOISES, SEVERITIES, estimate
from leaderboard.tables import corruption_names, kept_of, noisy_scores
from leaderboard.views import Curve, Estimate, Heat, HeatRow, NoisePanel, Point

LEVELS = ("1", "1-3", "1-5")


def panels(
    result: Result, anchors: Mapping[str, StoredResult], dataset: str, chance: float | None
) -> tuple[NoisePanel, ...]:
    """Four noises: the row's models, and the finetuned anchors of its architecture."""
    names = corruption_names(result, dataset)
    own = [(model, noisy_scores(result, dataset, model)) for model in ("finetuned", "probe")]
    others = [(kind, noisy_scores(stored.result, dataset, "finetuned")) for kind, stored in anchors.items()]
    found = []
    for noise in NOISES:
        curves = [_curve(model, noise, scores, chance) for model, scores in (*own, *others)]
        drawn = tuple(curve for curve in curves if len(curve.points) > 1)
        if drawn:
            found.append(NoisePanel(noise=noise, corruption=names.get(noise, noise), curves=drawn))
    return tuple(found)


def heats(result: Result, dataset: str) -> tuple[Heat, ...]:
    """Noise by severity, of each of the row's models."""
    return tuple(heat for model in ("finetuned", "probe") if (heat := _heat(result, dataset, model)) is not None)


def _curve(model: str, noise: str, scores: Mapping[tuple[str, int], Score], chance: float | None) -> Curve:
    points = []
    for severity in (0, *SEVERITIES):
        shown = estimate(scores.get((noise, severity)))
        if shown is not None:
            points.append(Point(severity=severity, value=shown.value, low=shown.low, high=shown.high))
    whole = len(points) == len(SEVERITIES) + 1 and chance is not None
    breaks = _break_point([point.value for point in points], chance) if whole and chance is not None else None
    return Curve.model_validate({"model": model, "points": tuple(points), "break_point": breaks})


def _break_point(values: Sequence[float], chance: float) -> float | None:
    """Severity at which one noise has taken half of what is above chance; None where it never does."""
    clean, noisy_L = np.array(values[0]), np.array(values[1:])
    found = float(break_point(clean, noisy_L, np.array(SEVERITIES, dtype=np.float64), chance))
    return round(found, 3) if np.isfinite(found) else None


def _heat(result: Result, dataset: str, model: str) -> Heat | None:
    clean = estimate(result.find("robustness", dataset, "top1", model=model))
    scores = noisy_scores(result, dataset, model)
    if clean is None:
        return None
    kept = kept_of(result, dataset, model) or tuple(tuple(None for _ in SEVERITIES) for _ in NOISES)
    rows = []
    for noise, shares in zip(NOISES, kept, strict=True):
        shown = [estimate(scores.get((noise, severity))) for severity in SEVERITIES]
        values = tuple(None if one is None else one.value for one in shown)
        rows.append(HeatRow(noise=noise, values=values, kept=shares, mean=_mean(values)))

    def derived(metric: str) -> Score | None:
        return result.find("robustness", dataset, metric, model=model)

    decrease: dict[str, Estimate] = {}
    for level in LEVELS:
        shown_ = estimate(derived(f"relative_decrease@{level}"))
        if shown_ is not None:
            decrease[level] = shown_
    breaks = derived("break_point")
    return Heat(
        model=model,
        clean=clean.value,
        rows=tuple(rows),
        means=tuple(_mean([row.values[column] for row in rows]) for column in range(len(SEVERITIES))),
        decrease=decrease,
        area=estimate(derived("area")),
        break_point=None if breaks is None else breaks.value,
        break_words="" if breaks is None else breaks.note,
    )


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return sum(there) / len(there) if len(there) == len(values) and there else None
