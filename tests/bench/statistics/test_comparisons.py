import numpy as np
import pytest
from scipy import stats

from bench.statistics.comparisons import (
    compare,
    compare_two,
    detectable_on,
    minimum_detectable_difference,
    rank_intervals,
)
from bench.statistics.intervals import freedom

STATSMODELS = [([20] * 50, 0.0216578213), ([3, 10, 20, 40, 80, 120] * 5, 0.0197312360)]
"""Sizes of sources, and what statsmodels 0.15.0 gives on the data of the test: OLS(first - second, ones).fit(cov_type="cluster",
cov_kwds={"groups": sources}).bse."""


def rows_of(accuracies, videos, rng, shared=0.7):
    """Rows right on largely the same videos."""
    common = rng.random(videos)
    return [np.where(rng.random(videos) < shared, common, rng.random(videos)) < accuracy for accuracy in accuracies]


def test_rows_far_apart_are_ranked_and_close_ones_share_their_places():
    rng = np.random.default_rng(0)
    rows = rows_of([0.3, 0.9, 0.62, 0.60, 0.61], 2000, rng)
    assert rank_intervals(rows, [str(n // 4) for n in range(2000)]) == [(5, 5), (1, 1), (2, 4), (2, 4), (2, 4)]


def test_equal_rows_are_tied_and_a_single_row_is_first():
    row = np.random.default_rng(1).random(300) < 0.5
    assert rank_intervals([row, row, row], np.arange(300).astype(str)) == [(1, 3)] * 3
    assert rank_intervals([row], np.arange(300).astype(str)) == [(1, 1)]


def test_with_one_source_nothing_is_sure():
    rows = [np.ones(40), np.zeros(40)]
    assert rank_intervals(rows, ["one"] * 40) == [(1, 2)] * 2


def test_two_rows_are_compared_by_the_paired_t_test():
    rng = np.random.default_rng(2)
    one, other = rows_of([0.7, 0.6], 400, rng)
    found = compare_two(one[None], other[None], np.arange(400))
    expected = stats.ttest_rel(one.astype(float), other.astype(float))
    interval = expected.confidence_interval()
    assert found.difference == pytest.approx(one.mean() - other.mean())
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.only_first, found.only_second) == ((one & ~other).sum(), (other & ~one).sum())


def test_sources_widen_the_comparison_where_videos_agree_within_them():
    rng = np.random.default_rng(3)
    rows = rows_of([0.7, 0.6], 100, rng)
    alone = compare_two(*(row[None] for row in rows), np.arange(100))
    copies = compare_two(*(np.repeat(row, 5)[None] for row in rows), np.repeat(np.arange(100), 5))
    assert (alone.low, alone.high) == pytest.approx((copies.low, copies.high))


@pytest.mark.parametrize(("sizes", "expected"), STATSMODELS, ids=["even sources", "uneven sources"])
def test_the_standard_error_of_a_difference_is_the_clustered_one_of_statsmodels(sizes, expected):
    rng = np.random.default_rng(8)
    sources = np.repeat(np.arange(len(sizes)), sizes)
    level = 0.7 * rng.normal(size=len(sizes))[sources]
    first, second = (rng.random((1, len(sources))) < stats.logistic.cdf(level + shift) for shift in (0.5, 0.2))
    found = compare_two(first, second, sources)
    error = (found.high - found.low) / 2 / stats.t.ppf(0.975, freedom(np.array(sizes, float)))
    if len(set(sizes)) == 1:
        assert error == pytest.approx(expected, rel=1e-6)
    else:  # the jackknife lets an uneven source count in full: on the safe side
        assert expected < error < 1.1 * expected


def test_the_band_of_one_pair_is_the_interval_of_the_pair_and_more_rows_widen_it():
    rng = np.random.default_rng(4)
    rows = rows_of([0.7, 0.65, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6], 1500, rng)
    named = {str(at): row[None] for at, row in enumerate(rows)}
    pair = compare({"0": named["0"], "1": named["1"]}, np.arange(1500))
    alone = compare_two(named["0"], named["1"], np.arange(1500))
    assert pair.half_width_AA[0, 1] == pytest.approx((alone.high - alone.low) / 2, rel=0.06)
    many = compare(named, np.arange(1500))
    tukey = stats.studentized_range.ppf(0.95, 8, np.inf) / np.sqrt(2)
    assert many.critical == pytest.approx(tukey, abs=0.15)
    assert pair.critical == pytest.approx(1.96, abs=0.08)


def test_training_spread_is_pooled_over_rows_and_added():
    rng = np.random.default_rng(5)
    sources = np.arange(2000)
    spread = [np.stack([rng.random(2000) < 0.6 + shift for shift in (-0.08, 0, 0.08)]) for _ in range(3)]
    same = [np.stack([rng.random(2000) < 0.6] * 3) for _ in range(3)]
    wide, narrow = (compare({str(at): row for at, row in enumerate(rows)}, sources) for rows in (spread, same))
    assert wide.half_width_AA[0, 1] > 2 * narrow.half_width_AA[0, 1]


def test_a_difference_that_can_be_detected_is_found_four_times_in_five():
    needed = minimum_detectable_difference(0.02, 1e6)
    assert needed == pytest.approx(0.02 * 2.80, abs=1e-3)
    rng = np.random.default_rng(6)
    found = np.abs(needed + 0.02 * rng.standard_normal(20_000)) > 1.96 * 0.02
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_rows_of_other_videos_are_refused():
    with pytest.raises(ValueError, match="same videos"):
        compare({"a": np.ones((1, 5)), "b": np.ones((1, 6))}, np.arange(5))


@pytest.mark.prove
def test_the_band_holds_for_all_pairs_together():
    rng = np.random.default_rng(7)
    sources = np.repeat(np.arange(100), 4)
    held, sets = 0, 400
    for _ in range(sets):
        level = 0.4 * rng.standard_normal(100)[sources] + 0.4 * rng.standard_normal(400)
        named = {str(at): (rng.random((1, 400)) < stats.logistic.cdf(0.5 + level)) for at in range(8)}
        held += not compare(named, sources).surely_better.any()
    assert 0.92 <= held / sets <= 0.98


def test_what_a_data_set_can_tell_apart_is_what_comparisons_on_it_find():
    """Rows that differ on a fifth of the videos, with half of the variance of a difference's sign in its source."""
    rng = np.random.default_rng(0)
    sources = np.repeat(np.arange(60), rng.integers(2, 20, size=60))
    found = []
    for _ in range(60):
        sign = np.where(
            rng.random(len(sources)) < 0.5**0.5, rng.choice([-1, 1], 60)[sources], rng.choice([-1, 1], len(sources))
        )
        differs = rng.random(len(sources)) < 0.2
        first = np.where(differs, sign > 0, True).astype(float)
        second = np.where(differs, sign < 0, True).astype(float)
        found.append(compare_two(first[None], second[None], sources).detectable)
    assert detectable_on(sources, disagree=0.2, correlation=0.1) == pytest.approx(np.mean(found), rel=0.05)
    assert detectable_on(np.arange(5000), disagree=0.2) == pytest.approx(2.8 * np.sqrt(0.2 / 5000), rel=0.01)
