import time

import numpy as np
import pytest
from scipy import stats

from bench.statistics.intervals import LEVEL, Sample, accuracies, freedom, intervals, resampled_means, stretch

DIVING48 = np.array(
    [3, 4, 6, 14, 19, 28, 35, 36, 40, 54, 58, 62, 63, 65, 65, 66, 77, 96, 98, 108, 119, 129, 157, 161, 165, 242]
)
"""Videos of each of the 26 competition videos in Diving48 V2's test list."""


def drawn(sizes, accuracy, within, rng):
    """Hits [1, N, 1] and sources [N]: sources differ (Beta), with the given correlation within a source."""
    odds = (1 - within) / within
    of_source = rng.beta(accuracy * odds, (1 - accuracy) * odds, len(sizes))
    sources = np.repeat(np.arange(len(sizes)), sizes)
    return (rng.random(len(sources)) < of_source[sources])[None, :, None], sources


def test_with_one_video_a_source_it_is_students_interval_of_a_mean():
    hits = np.random.default_rng(0).random((1, 3000, 1)) < 0.6
    (found,) = accuracies(Sample.of_videos(hits, np.arange(3000)))
    half = stats.sem(hits.ravel()) * stats.t.ppf(0.975, 2999)
    assert found.value == pytest.approx(hits.mean())
    assert found.low == pytest.approx(hits.mean() - half, abs=0.0015)
    assert found.high == pytest.approx(hits.mean() + half, abs=0.0015)


def test_where_no_correction_is_due_it_is_scipys_bca():
    values = np.random.default_rng(1).exponential(size=(1, 800, 1))
    (found,) = intervals(Sample.of_videos(values, np.arange(800), limits=None), lambda means: means)
    expected = stats.bootstrap((values.ravel(),), np.mean, n_resamples=20_000, method="BCa", rng=2).confidence_interval
    width = expected.high - expected.low
    assert found.low == pytest.approx(expected.low, abs=0.03 * width)
    assert found.high == pytest.approx(expected.high, abs=0.03 * width)


def test_videos_of_one_source_count_as_one_where_they_agree():
    one_each = np.random.default_rng(2).random((1, 60, 1)) < 0.5
    copies = np.repeat(one_each, 10, axis=1)
    (few,) = accuracies(Sample.of_videos(one_each, np.arange(60)))
    (many,) = accuracies(Sample.of_videos(copies, np.repeat(np.arange(60), 10)))
    assert (few.low, few.high) == (many.low, many.high)


def test_the_order_of_videos_and_the_names_of_sources_do_not_matter():
    rng = np.random.default_rng(3)
    hits, sources = drawn(np.arange(1, 30), 0.6, 0.1, rng)
    first = accuracies(Sample.of_videos(hits, sources))
    order = rng.permutation(len(sources))
    assert accuracies(Sample.of_videos(hits[:, order], sources[order])) == first
    assert accuracies(Sample.of_videos(hits, np.char.add("source", np.char.zfill(sources.astype(str), 3)))) == first


def test_draws_are_those_of_the_definition():
    hits, sources = drawn(np.arange(1, 9), 0.6, 0.1, np.random.default_rng(4))
    sample = Sample.of_videos(hits, sources)
    means = resampled_means(sample.sums_SGQ[0], sample.sizes_G)
    assert means.shape == (4000, 1)
    possible = sample.sums_SGQ[0, :, 0], sample.sizes_G
    spread = np.sqrt(((possible[0] - hits.mean() * possible[1]) ** 2).sum()) / len(sources)
    assert means.std() == pytest.approx(spread, rel=0.15)
    np.testing.assert_array_equal(means, resampled_means(sample.sums_SGQ[0], sample.sizes_G))


def test_few_or_uneven_sources_stretch_the_interval():
    assert stretch(np.ones(10_000)) == pytest.approx(1, abs=1e-3)
    assert stretch(np.full(5, 7.0)) == pytest.approx(stats.t.ppf(0.975, 4) / stats.norm.ppf(0.975) * np.sqrt(5 / 4))
    assert freedom(DIVING48.astype(float)) == pytest.approx(15.44, abs=0.01)
    assert freedom(np.array([1000.0, 1.0])) == 1


def test_where_all_videos_agree_the_interval_is_that_of_as_many_sources():
    sample = Sample.of_videos(np.ones((1, 60, 1)), np.repeat(np.arange(20), 3))
    (found,) = accuracies(sample)
    exact = stats.binomtest(20, 20).proportion_ci(LEVEL, "exact")
    assert (found.value, found.high) == (1, 1)
    assert found.low == pytest.approx(exact.low)
    (found,) = accuracies(Sample.of_videos(np.zeros((1, 60, 1)), np.repeat(np.arange(20), 3)))
    assert (found.low, found.value) == (0, 0)
    assert found.high == pytest.approx(1 - exact.low)


def test_one_source_has_no_interval():
    (found,) = accuracies(Sample.of_videos(np.ones((1, 5, 1)), np.zeros(5)))
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()


def test_differences_keep_their_pairing():
    rng = np.random.default_rng(5)
    hits, sources = drawn(np.full(80, 6), 0.6, 0.3, rng)
    better = hits | (rng.random(hits.shape) < 0.1)
    both = np.concatenate([hits, better], axis=2)
    sample = Sample.of_videos(both, sources)
    (gain,) = intervals(sample, lambda means: means[..., [1]] - means[..., [0]])
    one, other = accuracies(sample)
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < 0.5 * (one.high - one.low)
    assert other.low < one.high


def test_what_is_never_reached_is_infinite_and_what_is_undefined_is_nan():
    hits, sources = drawn(np.full(40, 5), 0.6, 0.1, np.random.default_rng(6))
    sample = Sample.of_videos(hits, sources)
    (found,) = intervals(sample, lambda means: np.where(means > 0.5, np.inf, means))
    assert found.value == found.high == np.inf
    (found,) = intervals(sample, lambda means: np.full_like(means, np.nan))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_more_spread_between_seeds_widens_the_interval_and_chance_differences_do_not():
    rng = np.random.default_rng(7)
    hits, sources = drawn(np.full(100, 6), 0.6, 0.1, rng)
    same = Sample.of_videos(np.repeat(hits, 3, axis=0), sources)
    (one,), (three) = accuracies(Sample.of_videos(hits, sources)), accuracies(same)[0]
    assert (one.low, one.high) == (three.low, three.high)
    independent = rng.random((3, 600, 1)) < 0.6
    (found,) = accuracies(Sample.of_videos(independent, sources))
    apart = np.concatenate([hits, hits | (rng.random(hits.shape) < 0.2), hits & (rng.random(hits.shape) < 0.8)])
    (wide,) = accuracies(Sample.of_videos(apart, sources))
    assert wide.high - wide.low > 3 * (one.high - one.low)
    assert found.high - found.low < 1.2 * (one.high - one.low)


def test_an_accuracy_never_leaves_zero_to_one():
    hits = np.zeros((1, 12, 1))
    hits[0, 0] = 1
    (found,) = accuracies(Sample.of_videos(hits, np.arange(12)))
    assert 0 <= found.low < found.value < found.high <= 1


def test_a_set_of_the_size_of_ucf101_takes_less_than_a_second():
    rng = np.random.default_rng(8)
    sources = np.sort(np.concatenate([np.arange(707), rng.integers(0, 707, 3783 - 707)]))
    hits = rng.random((1, 3783, 21)) < 0.5
    started = time.perf_counter()
    accuracies(Sample.of_videos(hits, sources))
    assert time.perf_counter() - started < 1


def coverage(sizes, accuracy, within, sets, correction=True):
    """Share of simulated sets whose interval holds the truth; many sets at once, as quantities of one sample."""
    rng = np.random.default_rng([len(sizes), int(100 * accuracy), int(1000 * within)])
    held = 0
    for _ in range(0, sets, 100):
        made = [drawn(sizes, accuracy, within, rng) for _ in range(100)]
        sample = Sample.of_videos(np.concatenate([hits for hits, _ in made], axis=2), made[0][1])
        if correction:
            held += sum(found.low <= accuracy <= found.high for found in accuracies(sample))
        else:
            low, high = np.quantile(resampled_means(sample.sums_SGQ[0], sample.sizes_G), [0.025, 0.975], axis=0)
            held += ((low <= accuracy) & (accuracy <= high)).sum()
    return held / sets


@pytest.mark.parametrize("accuracy", [0.5, 0.9])
def test_the_interval_holds_the_truth_about_19_times_in_20(accuracy):
    assert 0.90 <= coverage(np.full(50, 5), accuracy, 0.1, 200) <= 0.995


@pytest.mark.prove
@pytest.mark.parametrize("within", [0.02, 0.1, 0.3])
@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.9])
def test_coverage_with_50_even_sources(accuracy, within):
    assert 0.925 <= coverage(np.full(50, 20), accuracy, within, 5000) <= 0.97


@pytest.mark.prove
@pytest.mark.parametrize("within", [0.02, 0.1])
@pytest.mark.parametrize("accuracy", [0.5, 0.7, 0.9])
def test_coverage_with_the_26_uneven_sources_of_diving48(accuracy, within):
    ours = coverage(DIVING48, accuracy, within, 5000)
    plain = coverage(DIVING48, accuracy, within, 5000, correction=False)
    assert 0.915 <= ours <= 0.97
    assert ours > plain + 0.01


@pytest.mark.prove
@pytest.mark.parametrize(("spread", "seeds"), [(0.0, 3), (0.1, 3), (0.4, 3), (0.2, 5)])
def test_coverage_with_a_training_spread(spread, seeds):
    """The truth is the mean over trainings and sources; videos are hard or easy, for all seeds alike."""
    rng = np.random.default_rng([int(10 * spread), seeds])
    sources = np.repeat(np.arange(60), 5)
    truth = stats.logistic.cdf(1 + np.sqrt(0.25 + 0.25 + spread**2) * rng.standard_normal(10**6)).mean()
    held, sets = 0, 2000
    for _ in range(sets):
        level = 1 + 0.5 * rng.standard_normal(60)[sources] + 0.5 * rng.standard_normal(300)
        hits = rng.random((seeds, 300)) < stats.logistic.cdf(level + spread * rng.standard_normal((seeds, 1)))
        (found,) = accuracies(Sample.of_videos(hits[..., None], sources))
        held += found.low <= truth <= found.high
    assert 0.92 <= held / sets <= 0.985
