"""Rank intervals of a column, remembered: the same rows are never compared twice."""

from collections.abc import Sequence

import numpy as np

from bench.results import StoredResult
from bench.statistics.comparisons import rank_intervals
from leaderboard.measures import Measure, per_video
from leaderboard.views import RankInterval


class Ranks:
    """Computes rank intervals from stored predictions."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], dict[str, RankInterval]] = {}
        self._videos: dict[tuple[str, ...], dict[tuple[str, str], float]] = {}

    def intervals(
        self, stored: Sequence[StoredResult], measure: Measure, dataset: str, track: str
    ) -> dict[str, RankInterval]:
        """By result id; empty for fewer than two rows. Rows are compared on the videos that all of them have."""
        ids = tuple(sorted(one.result.result_id for one in stored))
        if len(ids) < 2:
            return {}
        key = (measure.key, dataset, track, ids)
        if key not in self._known:
            by_id = {one.result.result_id: one for one in stored}
            tables = [self._per_video(by_id[name], measure, dataset, track) for name in ids]
            shared = sorted(set.intersection(*(set(table) for table in tables)))
            if not shared:
                return {}
            values_RV = np.array([[table[video] for video in shared] for table in tables])
            ranks = rank_intervals(values_RV, [source for _, source in shared])
            self._known[key] = {
                name: RankInterval(low=low, high=high) for name, (low, high) in zip(ids, ranks, strict=True)
            }
        return self._known[key]

    def _per_video(
        self, stored: StoredResult, measure: Measure, dataset: str, track: str
    ) -> dict[tuple[str, str], float]:
        """One row's values, read once a column; the per-video table itself is not kept."""
        key = (stored.result.result_id, measure.key, dataset, track)
        if key not in self._videos:
            self._videos[key] = per_video(stored.rows(), measure, dataset, track)
        return self._videos[key]
