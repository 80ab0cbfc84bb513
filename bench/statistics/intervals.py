"""How far a number could be off: cluster bootstrap over sources, corrected for few of them, plus the training spread.

Videos of one source stand and fall together, so sources are drawn with replacement, not videos. From every draw follow
the means of all quantities at once, and from these any statistic: a ratio, an area, a difference of two models keeps
its pairing. The plain percentile interval is too narrow for few or uneven sources, so

- a draw's distance from the estimate is stretched by sqrt(G / (G - 1)) and by Student's quantile over the normal one,
  with N^2 / sum n_g^2 - 1 degrees of freedom (Kish's effective number of sources, less one);
- the quantiles are shifted for bias and skewness: BCa, Efron, "Better Bootstrap Confidence Intervals", JASA 1987.

Where something is trained from several seeds, their mean is the score, and a draw also moves by Student's t with k - 1
degrees of freedom times the standard error of that mean, along the seeds' own differences; what seeds differ by only
because each is right on other videos is in the spread over sources already and is not counted twice.

Coverage of the 95 % interval in simulation (tests/bench/statistics/test_intervals.py; accuracies .5, .7, .9, correlation
within sources .02 to .3; the plain percentile interval in brackets): 94.6 to 96.1 % with 50 even sources (92.6 to 95.1);
93.7 to 95.1 % at .5 and .7 and 92.0 to 94.1 % at .9 with the 26 sources of Diving48's test set, of 3 to 242 videos
(92.0 to 92.8 and 87.0 to 91.8).

Shapes: N videos, S seeds, G sources, R draws, Q quantities (accuracies, say), J statistics made of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from bench.names import generator

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""From means [..., Q] to statistics [..., J]. May give infinity (never reached) and NaN (undefined)."""

DRAWS = 4000
CHUNK = 500
"""Draws whose weights are held at once."""

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval; NaN or infinity where it does not exist."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Sample:
    """What was measured, summed by source.

    Args:
        sums_SGQ: Sum over a source's videos.
        sizes_G: Videos of a source.
        limits: Least and greatest possible mean; draws are kept inside.
    """

    sums_SGQ: Floats
    sizes_G: Floats
    limits: tuple[float, float] | None = (0.0, 1.0)

    @classmethod
    def of_videos(
        cls,
        values_SNQ: NDArray[np.generic],
        sources_N: NDArray[np.generic],
        limits: tuple[float, float] | None = (0.0, 1.0),
    ) -> "Sample":
        """Sum what was measured on each video."""
        names_G, source_N = np.unique(sources_N, return_inverse=True)
        order_N = np.argsort(source_N, kind="stable")
        starts_G = np.searchsorted(source_N[order_N], np.arange(len(names_G)))
        sums_SGQ = np.add.reduceat(values_SNQ[:, order_N].astype(np.float64), starts_G, axis=1)
        return cls(sums_SGQ, np.bincount(source_N).astype(np.float64), limits)

    @property
    def num_sources(self) -> int:
        """G."""
        return len(self.sizes_G)

    @cached_property
    def by_seed(self) -> Floats:
        """Means of every seed, [S, Q]."""
        means_SQ: Floats = self.sums_SGQ.sum(axis=1) / self.sizes_G.sum()
        return means_SQ

    @cached_property
    def means(self) -> Floats:
        """Means over videos and seeds, [Q]."""
        means_Q: Floats = self.by_seed.mean(axis=0)
        return means_Q

    @cached_property
    def left_out(self) -> Floats:
        """The means with each source left out in turn, [G, Q]."""
        sums_GQ = self.sums_SGQ.mean(axis=0)
        means_GQ: Floats = (sums_GQ.sum(axis=0) - sums_GQ) / (self.sizes_G.sum() - self.sizes_G)[:, None]
        return means_GQ

    @cached_property
    def apart(self) -> Floats:
        """The seeds' differences from their mean, [S, Q], less what only the choice of test sources put there.

        Seeds differ on these videos for two reasons: one trained better, and each is right on other videos. The second
        is in the spread over sources already, so its expected share of the variance is taken out.
        """
        seeds, sources, _ = self.sums_SGQ.shape
        if sources < 2:
            return self.by_seed - self.means
        apart_SQ = self.by_seed - self.means
        residual_SGQ = self.sums_SGQ - self.sums_SGQ.mean(axis=0) - apart_SQ[:, None] * self.sizes_G[:, None]
        by_sources_Q = (
            (residual_SGQ**2).sum(axis=(0, 1)) / self.sizes_G.sum() ** 2 / (seeds - 1) * sources / (sources - 1)
        )
        total_Q = (apart_SQ**2).sum(axis=0) / (seeds - 1)
        share_Q = np.maximum(0.0, 1 - by_sources_Q / np.maximum(total_Q, np.finfo(float).tiny))
        trained_SQ: Floats = apart_SQ * np.sqrt(share_Q)
        return trained_SQ

    @cached_property
    def draws(self) -> Floats:
        """What the means might as well have been, [R, Q]."""
        drawn_RQ = resampled_means(self.sums_SGQ.mean(axis=0), self.sizes_G)
        drawn_RQ = self.means + stretch(self.sizes_G) * (drawn_RQ - self.means)
        if len(self.by_seed) > 1:
            drawn_RQ += _seed_steps(self.apart)
        return drawn_RQ if self.limits is None else np.clip(drawn_RQ, *self.limits)


def intervals(sample: Sample, statistic: Statistic) -> list[Estimate]:
    """The J statistics with their 95 % intervals. With a single source the interval is NaN: nothing is known of its spread."""
    value_J = np.atleast_1d(statistic(sample.means))
    if sample.num_sources < 2:
        return [Estimate(float(value), float("nan"), float("nan")) for value in value_J]
    drawn_RJ = statistic(sample.draws).reshape(DRAWS, len(value_J))
    skew_J = _acceleration(sample, statistic)
    return [
        Estimate(float(value), *_bca(float(value), drawn_RJ[:, at], float(skew_J[at])))
        for at, value in enumerate(value_J)
    ]


def accuracies(sample: Sample) -> list[Estimate]:
    """The Q means themselves, as accuracies.

    Where all videos agree (0 or 1), a bootstrap sees no spread. There the other end of the interval is Clopper and
    Pearson's with sources as the trials: the accuracy at which all sources would still agree in 2.5 % of the cases.
    """
    found = intervals(sample, lambda means: means)
    edge = ((1 - LEVEL) / 2) ** (1 / sample.num_sources)
    for at, estimate in enumerate(found):
        if estimate.value in (0.0, 1.0) and sample.num_sources > 1:
            found[at] = Estimate(1.0, edge, 1.0) if estimate.value else Estimate(0.0, 0.0, 1 - edge)
    return found


def resampled_means(sums_GQ: Floats, sizes_G: Floats) -> Floats:
    """Means over sources drawn with replacement, [R, Q]. The draws depend on G alone, so all rows of a data set share them."""
    means_RQ = np.empty((DRAWS, sums_GQ.shape[1]))
    for first in range(0, DRAWS, CHUNK):
        counts_RG = _counts(len(sizes_G), first)
        means_RQ[first : first + CHUNK] = (counts_RG @ sums_GQ) / (counts_RG @ sizes_G)[:, None]
    return means_RQ


def freedom(sizes_G: Floats) -> float:
    """Degrees of freedom of a variance over sources of these sizes: Kish's effective number of them, less one."""
    return max(1.0, float(sizes_G.sum() ** 2 / (sizes_G**2).sum()) - 1)


def stretch(sizes_G: Floats) -> float:
    """By how much draws of sources are too narrow."""
    tail = (1 + LEVEL) / 2
    sources = len(sizes_G)
    return (
        float(stdtrit(freedom(sizes_G), tail) / ndtri(tail) * np.sqrt(sources / (sources - 1))) if sources > 1 else 1.0
    )


def _counts(sources: int, first: int) -> Floats:
    """How often each source is drawn, [CHUNK, G]."""
    chosen = generator("bootstrap", sources, first).integers(0, sources, (CHUNK, sources))
    flat = chosen + np.arange(CHUNK)[:, None] * sources
    return np.bincount(flat.ravel(), minlength=CHUNK * sources).reshape(CHUNK, sources).astype(np.float64)


def _seed_steps(apart_SQ: Floats) -> Floats:
    """Moves [R, Q] along the seeds' differences: Student's t with k - 1 degrees of freedom times the standard error of their mean."""
    seeds = len(apart_SQ)
    rng = generator("training spread", seeds)
    normal_RS = rng.standard_normal((DRAWS, seeds))
    tail_R = np.sqrt((seeds - 1) / rng.chisquare(seeds - 1, DRAWS))
    steps_RQ: Floats = tail_R[:, None] * (normal_RS @ apart_SQ) / np.sqrt(seeds * (seeds - 1))
    return steps_RQ


def _acceleration(sample: Sample, statistic: Statistic) -> Floats:
    """BCa's acceleration by the jackknife, less so the more of the variance comes from training, which is symmetric."""
    left_out_GJ = statistic(sample.left_out).reshape(sample.num_sources, -1)
    sources = sample.num_sources
    with np.errstate(all="ignore"):
        apart_GJ = left_out_GJ.mean(axis=0) - left_out_GJ
        square_J = (apart_GJ**2).sum(axis=0)
        skew_J = (apart_GJ**3).sum(axis=0) / (6 * square_J**1.5)
        if len(sample.by_seed) > 1:
            moved_SJ = statistic(sample.means + sample.apart).reshape(len(sample.apart), -1)
            over_sources_J = square_J * (sources - 1) / sources
            skew_J *= (over_sources_J / (over_sources_J + moved_SJ.var(axis=0, ddof=1) / len(moved_SJ))) ** 1.5
    return np.where(np.isfinite(skew_J), skew_J, 0.0)


def _bca(value: float, drawn_R: Floats, skew: float) -> tuple[float, float]:
    drawn_R = np.sort(drawn_R[~np.isnan(drawn_R)])
    if np.isnan(value) or not len(drawn_R):
        return float("nan"), float("nan")
    below = (np.searchsorted(drawn_R, value, "left") + np.searchsorted(drawn_R, value, "right")) / 2 / len(drawn_R)
    ends = []
    for tail in ((1 - LEVEL) / 2, (1 + LEVEL) / 2):
        rank = tail
        if np.isfinite(value) and 0 < below < 1:
            shifted = ndtri(below) + ndtri(tail)
            rank = float(ndtr(ndtri(below) + shifted / (1 - skew * shifted)))
        place = rank * (len(drawn_R) - 1)
        ends.append(float(drawn_R[int(np.floor(place) if tail < 0.5 else np.ceil(place))]))
    return min(ends[0], value), max(ends[1], value)
