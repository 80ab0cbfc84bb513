"""Which rows are surely better: all pairs at once, on the same videos.

Rows of one data set are right and wrong on the same videos, so their differences are known better than their scores.
Sources are drawn with replacement, for all rows alike; one critical value for all pairs (the 95 % quantile of the
largest standardised difference, "max-t") makes one band that holds for every pair together with 95 %. A row's rank is
then an interval: it is beaten by those surely better, and beats those surely worse.

Where rows are trained from several seeds, the training variance is pooled over rows and added.

Shapes: N videos, S seeds of a row, A rows, G sources, R draws, P pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtr, stdtrit

from bench.names import generator
from bench.statistics.intervals import DRAWS, LEVEL, Floats, Sample, freedom, resampled_means

PAIRS_AT_ONCE = 2**22
"""Differences held in memory at once."""


@dataclass(frozen=True)
class Comparison:
    """Differences of all rows, row minus column, with one simultaneous 95 % band."""

    names: tuple[str, ...]
    difference_AA: Floats
    half_width_AA: Floats
    critical: float
    """Half width over standard error: 1.96 for a single pair and many sources, more for many rows."""

    @property
    def surely_better(self) -> NDArray[np.bool_]:
        """[A, A]: whether the row is better than the column, whatever the other pairs."""
        better_AA: NDArray[np.bool_] = self.difference_AA > self.half_width_AA
        return better_AA

    def rank_intervals(self) -> dict[str, tuple[int, int]]:
        """Best and worst place of each row: 1 + those surely better, to all - those surely worse."""
        better_AA = self.surely_better
        return {
            name: (1 + int(better_AA[:, at].sum()), len(self.names) - int(better_AA[at].sum()))
            for at, name in enumerate(self.names)
        }


@dataclass(frozen=True)
class Pair:
    """Two rows in detail."""

    difference: float
    """First minus second."""

    low: float
    high: float
    p_value: float
    """Of no difference, two-sided, by Student's t over sources."""

    only_first: float
    """Videos that only the first gets right (mean over seeds)."""

    only_second: float
    detectable: float
    """Smallest true difference of two such rows that a comparison like this finds four times in five."""


def compare(rows: Mapping[str, NDArray[np.generic]], sources_N: NDArray[np.generic]) -> Comparison:
    """All pairs at once.

    Args:
        rows: By name what was measured on each video, [S, N], in the same order of videos for all rows; 1 for right, 0 for wrong.
        sources_N: Sources of these videos.
    """
    names = tuple(rows)
    sample = _side_by_side(rows, sources_N)
    variance_AA, drawn_RA = _over_sources(sample)
    noise_A, training_RA, _ = _over_seeds(rows, sources_N)
    error_AA = np.sqrt(variance_AA + noise_A[:, None] + noise_A[None])
    np.fill_diagonal(error_AA, 0)
    one_P, other_P = np.triu_indices(len(names), 1)
    error_P = error_AA[one_P, other_P]
    known_P = (error_P > 0) & np.isfinite(error_P)
    one_P, other_P, error_P = one_P[known_P], other_P[known_P], error_P[known_P]
    critical = float("nan")
    if len(one_P):
        apart_RA = drawn_RA - sample.means + training_RA
        at_once = max(1, PAIRS_AT_ONCE // len(one_P))
        largest_R = np.concatenate(
            [
                (np.abs(part[:, one_P] - part[:, other_P]) / error_P).max(axis=1)
                for part in np.split(apart_RA, range(at_once, DRAWS, at_once))
            ]
        )
        critical = _heavier(float(np.quantile(largest_R, LEVEL)), freedom(sample.sizes_G))
    half_width_AA = np.zeros_like(error_AA)
    half_width_AA[one_P, other_P] = half_width_AA[other_P, one_P] = critical * error_P
    half_width_AA[~np.isfinite(error_AA)] = np.inf
    return Comparison(
        names,
        sample.means[:, None] - sample.means[None],
        half_width_AA,
        critical,
    )


def rank_intervals(rows: Sequence[NDArray[np.generic]], sources: Sequence[str]) -> list[tuple[int, int]]:
    """Best and worst place of each row, in the order given.

    Args:
        rows: What was measured on each video, [N], or by seed [S, N] (then the training spread is included).
        sources: Sources of these videos.
    """
    named = {str(at): np.atleast_2d(row) for at, row in enumerate(rows)}
    return list(compare(named, np.asarray(sources)).rank_intervals().values())


def compare_two(first_SN: NDArray[np.generic], second_SN: NDArray[np.generic], sources_N: NDArray[np.generic]) -> Pair:
    """Two rows in detail, as if nobody had looked at any other pair."""
    rows = {"first": first_SN, "second": second_SN}
    sample = _side_by_side(rows, sources_N)
    noise_2, _, seed_degrees = _over_seeds(rows, sources_N)
    noise, over_sources = float(noise_2.sum()), float(_over_sources(sample)[0][0, 1])
    error, degrees = float(np.sqrt(over_sources + noise)), freedom(sample.sizes_G)
    if noise:  # Welch and Satterthwaite
        degrees = (over_sources + noise) ** 2 / (over_sources**2 / degrees + noise**2 / seed_degrees)
    difference = float(sample.means[0] - sample.means[1])
    half = float(stdtrit(degrees, (1 + LEVEL) / 2)) * error
    first_N, second_N = first_SN.mean(axis=0), second_SN.mean(axis=0)
    return Pair(
        difference=difference,
        low=difference - half,
        high=difference + half,
        p_value=float(2 * stdtr(degrees, -abs(difference) / error)) if error else 1.0,
        only_first=float((first_N * (1 - second_N)).sum()),
        only_second=float((second_N * (1 - first_N)).sum()),
        detectable=minimum_detectable_difference(error, degrees),
    )


def minimum_detectable_difference(standard_error: float, degrees: float, power: float = 0.8) -> float:
    """The true difference that a two-sided 5 % test with this standard error finds with the given power."""
    return float((stdtrit(degrees, (1 + LEVEL) / 2) + stdtrit(degrees, power)) * standard_error)


def detectable_on(sources_N: NDArray[np.generic], *, disagree: float = 0.2, correlation: float = 0.1) -> float:
    """The true difference of two rows that a comparison on these videos finds four times in five, before there is any row.

    Args:
        sources_N: Sources of the test videos.
        disagree: Share of the videos that exactly one of the rows gets right; two good rows disagree on fewer.
        correlation: Of the rows' differences on two videos of one source; 0 where sources do not matter.
    """
    sizes_G = np.unique(sources_N, return_counts=True)[1].astype(np.float64)
    count = sizes_G.sum()
    design_effect = 1 + correlation * ((sizes_G**2).sum() / count - 1)
    return minimum_detectable_difference(float(np.sqrt(disagree / count * design_effect)), freedom(sizes_G))


def _side_by_side(rows: Mapping[str, NDArray[np.generic]], sources_N: NDArray[np.generic]) -> Sample:
    """Rows as quantities of one sample, averaged over their seeds."""
    if len(rows) < 1 or any(values_SN.shape[1:] != sources_N.shape for values_SN in rows.values()):
        raise ValueError("Rows can be compared on the same videos only: every row needs one value a seed and video.")
    values_NA = np.stack([values_SN.astype(np.float64).mean(axis=0) for values_SN in rows.values()], axis=1)
    return Sample.of_videos(values_NA[None], sources_N)


def _over_sources(sample: Sample) -> tuple[Floats, Floats]:
    """Variance of all differences over sources, [A, A], by the jackknife, and drawn means [R, A]."""
    rows = len(sample.means)
    if sample.num_sources < 2:  # nothing is known of the spread
        return np.full((rows, rows), np.inf), np.tile(sample.means, (DRAWS, 1))
    apart_GA = sample.left_out - sample.left_out.mean(axis=0)
    covariance_AA = apart_GA.T @ apart_GA * (sample.num_sources - 1) / sample.num_sources
    own_A = np.diag(covariance_AA)
    variance_AA = np.maximum(own_A[:, None] + own_A[None] - 2 * covariance_AA, 0.0)
    variance_AA[variance_AA < 1e-14 * max(1.0, float(own_A.max()))] = 0.0  # rounding, where two rows say the same
    return variance_AA, resampled_means(sample.sums_SGQ[0], sample.sizes_G)


def _over_seeds(rows: Mapping[str, NDArray[np.generic]], sources_N: NDArray[np.generic]) -> tuple[Floats, Floats, int]:
    """Training variance of every row's mean, [A], pooled over rows, moves drawn from it, [R, A], and its degrees of freedom."""
    apart = [
        Sample.of_videos(values_SN[..., None], sources_N).apart for values_SN in rows.values() if len(values_SN) > 1
    ]
    degrees = sum(len(apart_S1) - 1 for apart_S1 in apart)
    if degrees == 0 or len(np.unique(sources_N)) < 2:
        return np.zeros(len(rows)), np.zeros((DRAWS, len(rows))), 0
    pooled = sum(float((apart_S1**2).sum()) for apart_S1 in apart) / degrees
    noise_A = np.array([pooled / len(values_SN) for values_SN in rows.values()])
    rng = generator("training spread", len(rows), degrees)
    normal_RA = rng.standard_normal((DRAWS, len(rows)))
    tail_R = np.sqrt(degrees / rng.chisquare(degrees, DRAWS))
    return noise_A, tail_R[:, None] * normal_RA * np.sqrt(noise_A), degrees


def _heavier(critical: float, degrees: float) -> float:
    """A normal critical value as Student's: what the same probability needs with these degrees of freedom."""
    return float(stdtrit(degrees, ndtr(critical))) if critical < 8 else critical
