"""The columns of the board: which score each shows, how it is called, and what it says of one video."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.results import Rows
from bench.schema import Result, Score, StageName
from leaderboard.views import ColumnKey, Estimate

NOISES = ("gaussian", "shot", "impulse", "speckle")
SEVERITIES = (1, 2, 3, 4, 5)
SEVERITY_METRICS = ("break_point",)
"""Scores that are a severity, not a share."""

FULL, FEATURES_ONLY = "full", "features-only"
TRACKS = (FULL, FEATURES_ONLY)


@dataclass(frozen=True)
class Measure:
    """One column."""

    key: ColumnKey
    title: str
    words: str
    stage: StageName
    metric: str
    kind: Literal["whisker", "gain", "plain"] = "whisker"
    models: tuple[str, str] = ("", "")
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


ON_NOISE = ("finetuned", "probe")

MEASURES = (
    Measure("noise", "Under noise", "mean top-1 %, 4 noises × 5 levels", "robustness", "noise_mean", models=ON_NOISE),
    Measure("decrease", "Decrease", "relative %", "robustness", "relative_decrease@1-5", "plain", models=ON_NOISE),
    Measure("finetune", "Finetune", "top-1 %, clean", "finetune", "top1", tracks=(FULL,)),
    Measure("probe", "Probe", "top-1 %, fixed trunk", "linear_probe", "top1"),
    Measure("retrieval", "Retrieval", "R@1 %", "retrieval", "recall@1"),
    Measure(
        "distillation", "Distillation", "gain over alone", "distillation", "gain_over_alone", "gain", minus="alone"
    ),
)
"""In the order of the board; the cost follows and is no score."""


def estimate(score: Score | None) -> Estimate | None:
    """A score in points, a break point as the severity that it is; None where there is none, or it has no value."""
    if score is None or score.value is None:
        return None
    scale = 1 if score.metric in SEVERITY_METRICS else 100
    return Estimate(
        value=round(scale * score.value, 4),
        low=None if score.low is None else round(scale * score.low, 4),
        high=None if score.high is None else round(scale * score.high, 4),
        n=score.n,
        clusters=score.clusters,
        seeds=len(score.seeds),
        note=score.note,
    )


@dataclass(frozen=True)
class PerVideo:
    """What a column's score says of each video, by training seed; the mean of it is the score."""

    video_ids: tuple[str, ...]
    """In order."""

    sources: tuple[str, ...]
    values_SN: NDArray[np.float64]


def per_video(rows: Rows, measure: Measure, dataset: str, track: str) -> PerVideo:
    """Hits of a column by seed and video. Noise conditions of a video are averaged; a gain is the difference of two arms."""
    chosen = (rows["stage"] == measure.stage) & (rows["dataset"] == dataset)
    if measure.minus:
        taught, alone = (_hits(rows, chosen & (rows["model"] == arm)) for arm in ("submission", measure.minus))
        assert taught.video_ids == alone.video_ids, "every arm sees the same test videos"
        return PerVideo(taught.video_ids, taught.sources, taught.values_SN - alone.values_SN)
    chosen &= rows["model"] == measure.model(track)
    if measure.stage == "robustness":
        chosen &= rows["severity"] != 0
    return _hits(rows, chosen)


def _hits(rows: Rows, chosen: NDArray[np.bool_]) -> PerVideo:
    hit = (rows["rank"][chosen] == 1).astype(np.float64)
    ids, first, video = np.unique(rows["video_id"][chosen], return_index=True, return_inverse=True)
    seeds, seed = np.unique(rows["seed"][chosen], return_inverse=True)
    cell = seed * len(ids) + video
    counts = np.bincount(cell, minlength=len(seeds) * len(ids))
    assert counts.all(), "every seed sees every video"
    values_SN = (np.bincount(cell, weights=hit, minlength=len(counts)) / counts).reshape(len(seeds), len(ids))
    return PerVideo(tuple(ids.tolist()), tuple(rows["source"][chosen][first].tolist()), values_SN)
