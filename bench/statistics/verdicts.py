"""Does a row hold when it is run again? One of four answers, from the per-video predictions of both runs.

MATCH: every prediction is the same. WITHIN NOISE: some differ, but no accuracy moved by more than its paired interval or
the spread of the training seeds allows. DRIFT: one did, and the environments differ. MISMATCH: one did although the
environments are the same, or the two runs do not even hold the same predictions to compare.

The accuracies of one row (stages, data sets, models, conditions) are many, so their intervals are widened to hold
together with 95 % (Bonferroni). CKA is not compared here: it is no prediction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bench.statistics.intervals import LEVEL, Sample, freedom

Rows = Mapping[str, NDArray[np.generic]]

KEY = ("dataset", "stage", "model", "corruption", "severity", "seed", "video_id")
GROUP = KEY[:5]

WordOfVerdict = Literal["MATCH", "WITHIN NOISE", "DRIFT", "MISMATCH"]


@dataclass(frozen=True)
class Verdict:
    """The answer and its reason."""

    name: WordOfVerdict
    words: str


def compare_runs(before: Rows, after: Rows, *, environment_differs: bool) -> Verdict:
    """Compare two tables of per-video records (columns as in `predictions.parquet`)."""
    outside: WordOfVerdict = "DRIFT" if environment_differs else "MISMATCH"
    before, after = _in_order(before), _in_order(after)
    if _keys(before) != _keys(after):
        mine, theirs = set(_keys(before)), set(_keys(after))
        return Verdict(
            "MISMATCH",
            f"{len(mine - theirs)} predictions of the first run are missing in the second, and {len(theirs - mine)} are new. "
            "The two did not look at the same videos, models or conditions.",
        )
    if not np.array_equal(before["label"], after["label"]):
        return Verdict("MISMATCH", "The labels of the test videos are not the same in the two runs.")
    count = len(before["rank"])
    differ = (before["predicted"] != after["predicted"]) | (before["rank"] != after["rank"])
    if not differ.any():
        return Verdict("MATCH", f"All {count} predictions are the same.")

    groups = _groups(before)
    moved: list[tuple[float, str]] = []
    for name, where in groups.items():
        change, allowed = _change(before, after, where, len(groups))
        if abs(change) > allowed:
            moved.append((abs(change) - allowed, f"{name}: {100 * change:+.1f} points, {100 * allowed:.1f} allowed"))
    share = f"{int(differ.sum())} of {count} predictions differ"
    if moved:
        worst = max(moved)[1]
        return Verdict(
            outside, f"{share}; {len(moved)} of {len(groups)} accuracies moved too far, most of all {worst}."
        )
    return Verdict("WITHIN NOISE", f"{share}; all {len(groups)} accuracies stay inside their paired intervals.")


def _change(before: Rows, after: Rows, where: NDArray[np.intp], comparisons: int) -> tuple[float, float]:
    """By how much the accuracy of a group moved, and by how much it may: paired interval, or spread of seeds."""
    seeds, seed_N = np.unique(before["seed"][where], return_inverse=True)
    apart_SN = np.stack(
        [
            (after["rank"][where] == 1)[seed_N == seed].astype(float) - (before["rank"][where] == 1)[seed_N == seed]
            for seed in range(len(seeds))
        ]
    )
    sample = Sample.of_videos(apart_SN[..., None], before["source"][where][seed_N == 0], limits=None)
    change = float(sample.means[0])
    if sample.num_sources < 2:
        return change, float("inf")
    tail = 1 - (1 - LEVEL) / 2 / comparisons
    left_out_G = sample.left_out[:, 0]
    error = np.sqrt(((left_out_G - left_out_G.mean()) ** 2).sum() * (sample.num_sources - 1) / sample.num_sources)
    allowed = float(stdtrit(freedom(sample.sizes_G), tail) * error)
    if len(seeds) > 1:
        by_seed = [float((before["rank"][where] == 1)[seed_N == seed].mean()) for seed in range(len(seeds))]
        spread = float(np.std(by_seed, ddof=1)) * np.sqrt(2 / len(seeds))
        allowed = max(allowed, float(stdtrit(len(seeds) - 1, (1 + LEVEL) / 2)) * spread)
    return change, allowed


def _groups(rows: Rows) -> dict[str, NDArray[np.intp]]:
    """Places of the records behind each accuracy."""
    words = np.char.mod("%s", rows["dataset"])
    for column in GROUP[1:]:
        words = np.char.add(np.char.add(words, " "), rows[column].astype(np.str_))
    names, where = np.unique(words, return_inverse=True)
    return {str(name): np.flatnonzero(where == at) for at, name in enumerate(names)}


def _in_order(rows: Rows) -> Rows:
    order = np.lexsort([rows[column] for column in reversed(KEY)])
    return {name: column[order] for name, column in rows.items()}


def _keys(rows: Rows) -> list[tuple[object, ...]]:
    return list(zip(*(rows[column].tolist() for column in KEY), strict=True))
