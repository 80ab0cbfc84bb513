"""Rank intervals of a column, remembered: the same rows are never compared twice."""

from collections.abc import Sequence

import numpy as np

from bench.results import StoredResult
from bench.statistics.comparisons import rank_intervals
from leaderboard.measures import MEASURES, Measure, PerVideo, estimate, per_video
from leaderboard.views import ColumnKey, RankInterval


class Ranks:
    """Computes rank intervals from stored predictions."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], dict[str, RankInterval]] = {}
        self._read: dict[str, dict[tuple[ColumnKey, str], PerVideo]] = {}

    def intervals(
        self, stored: Sequence[StoredResult], measure: Measure, dataset: str, track: str
    ) -> dict[str, RankInterval]:
        """By result id; empty for fewer than two rows. Rows are compared on the videos that all of them have."""
        by_id = {one.result.result_id: one for one in sorted(stored, key=lambda one: one.result.result_id)}
        if len(by_id) < 2:
            return {}
        key = (measure.key, dataset, track, tuple(by_id))
        if key not in self._known:
            said = {name: self._per_video(one, measure, dataset, track) for name, one in by_id.items()}
            shared = set.intersection(*(set(one.video_ids) for one in said.values()))
            if not shared:
                return {}
            first = next(iter(said.values()))
            kept_N = np.isin(first.video_ids, sorted(shared))
            rows = [one.values_SN[:, np.isin(one.video_ids, sorted(shared))] for one in said.values()]
            found = rank_intervals(rows, np.array(first.sources)[kept_N].tolist())
            self._known[key] = {
                name: RankInterval(low=low, high=high) for name, (low, high) in zip(said, found, strict=True)
            }
        return self._known[key]

    def _per_video(self, stored: StoredResult, measure: Measure, dataset: str, track: str) -> PerVideo:
        """One row's hits. Its records are read once, for all columns and data sets."""
        name = stored.result.result_id
        if name not in self._read:
            rows = stored.rows()
            wanted = [
                (one, report.name)
                for report in stored.result.datasets
                for one in MEASURES
                if one.ranks and estimate(one.find(stored.result, report.name, track)) is not None
            ]
            self._read[name] = {(one.key, data): per_video(rows, one, data, track) for one, data in wanted}
        return self._read[name][measure.key, dataset]
