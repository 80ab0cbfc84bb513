"""The columns of the board: which score each shows, how it is called, and what it says of one video."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.results import Rows
from bench.schema import Result, Score, StageName
from leaderboard.views import ColumnKey, Estimate

NOISES = ("gaussian", "shot", "impulse", "speckle")
SEVERITIES = (1, 2, 3, 4, 5)

FULL, FEATURES_ONLY = "full", "features-only"
TRACKS = (FULL, FEATURES_ONLY)


@dataclass(frozen=True)
class Measure:
    """One column."""

    key: ColumnKey
    title: str
    words: str
    kind: Literal["whisker", "gain", "plain"]
    stage: StageName
    metric: str
    models: tuple[str, str]
    """Which of the stage's models is meant, on the full and on the features-only track."""

    tracks: tuple[str, ...] = TRACKS
    minus: str = ""
    """Arm of distillation that is subtracted: a gain over it."""

    @property
    def ranks(self) -> bool:
        """Whether rows can be ranked by it: it is a mean over videos."""
        return self.kind != "plain"

    def model(self, track: str) -> str:
        """The stage's model that this column shows."""
        return self.models[TRACKS.index(track)]

    def find(self, result: Result, dataset: str, track: str) -> Score | None:
        """The stored score."""
        return result.find(self.stage, dataset, self.metric, model=self.model(track))


MEASURES = (
    Measure("noise", "Under noise", "mean top-1 %, 4 noises × 5 levels", "whisker", "robustness", "noise_mean", ("finetuned", "probe")),  # fmt: skip
    Measure("decrease", "Decrease", "relative %", "plain", "robustness", "relative_decrease@1-5", ("finetuned", "probe")),
    Measure("finetune", "Finetune", "top-1 %, clean", "whisker", "finetune", "top1", ("", ""), tracks=(FULL,)),
    Measure("probe", "Probe", "top-1 %, fixed trunk", "whisker", "linear_probe", "top1", ("", "")),
    Measure("retrieval", "Retrieval", "R@1 %", "whisker", "retrieval", "recall@1", ("", "")),
    Measure("distillation", "Distillation", "gain over alone", "gain", "distillation", "gain_over_alone", ("", ""), minus="alone"),  # fmt: skip
)
"""In the order of the board; the cost follows and is no score."""


def estimate(score: Score | None) -> Estimate | None:
    """A score in points; None where there is none, or it has no value."""
    if score is None or score.value is None:
        return None
    return Estimate(
        value=_points(score.value),
        low=None if score.low is None else _points(score.low),
        high=None if score.high is None else _points(score.high),
        n=score.n,
        clusters=score.clusters,
        seeds=len(score.seeds),
        note=score.note,
    )


def per_video(rows: Rows, measure: Measure, dataset: str, track: str) -> dict[tuple[str, str], float]:
    """What a column's score says of each video, by (video id, source); its mean is the score.

    Seeds and noise conditions of a video are averaged. A gain is the difference of two arms.
    """
    chosen = (rows["stage"] == measure.stage) & (rows["dataset"] == dataset)
    if measure.stage == "distillation":
        taught = _means(rows, chosen & (rows["model"] == "submission"))
        alone = _means(rows, chosen & (rows["model"] == measure.minus))
        return {key: taught[key] - alone[key] for key in taught.keys() & alone.keys()}
    if measure.model(track):
        chosen &= rows["model"] == measure.model(track)
    if measure.stage == "robustness":
        chosen &= rows["severity"] > 0
    return _means(rows, chosen)


def _means(rows: Rows, chosen: NDArray[np.bool_]) -> dict[tuple[str, str], float]:
    hits = (rows["rank"][chosen] == 1).astype(np.float64)
    names, where = np.unique(rows["video_id"][chosen], return_inverse=True)
    if not len(names):
        return {}
    means = np.bincount(where, weights=hits) / np.bincount(where)
    sources = dict(zip(rows["video_id"][chosen].tolist(), rows["source"][chosen].tolist(), strict=True))
    return {(name, sources[name]): float(mean) for name, mean in zip(names.tolist(), means, strict=True)}


def _points(fraction: float) -> float:
    return round(100 * fraction, 4)


