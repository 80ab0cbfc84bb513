import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from bench.stages import linear_probe
from bench.stages.logistic import LogisticProblem, _log_sum_exp
from tests.bench.stages.judged_case import judged_case, judged_suite
from tests.bench.stages.known_nets import Constant, OracleNet


def clustered(count, width, classes, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=count)
    features = rng.normal(size=(classes, width))[labels] * 0.3 + rng.normal(size=(count, width))
    features = (features - features.mean(0)) / features.std(0)
    return features, labels


def objective(features, labels, weights, bias, strength):
    logits = features @ weights + bias
    logits = logits - logits.max(1, keepdims=True)
    losses = np.log(np.exp(logits).sum(1)) - logits[np.arange(len(labels)), labels]
    return losses.mean() + strength / 2 * (weights**2).sum()


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("shape", [(300, 20, 5), (40, 90, 4)], ids=["many examples", "more features than examples"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_objective_is_that_of_a_float64_reference_to_1e_6(strength, shape, seed):
    features, labels = clustered(*shape, seed)
    weights, bias = LogisticProblem(features, labels, shape[2]).solve(strength, 1e-5)
    reference = LogisticRegression(
        C=1 / (strength * len(labels)), tol=1e-10, max_iter=100_000, solver="newton-cholesky"
    )
    reference.fit(features, labels)
    found = objective(features, labels, weights, bias, strength)
    best = objective(features, labels, reference.coef_.T, reference.intercept_, strength)
    assert found == pytest.approx(best, abs=1e-6)
    assert found >= best - 1e-9


def test_no_entry_of_the_gradient_is_larger_than_the_tolerance():
    features, labels = clustered(200, 30, 6)
    weights, bias = LogisticProblem(features, labels, 6).solve(1e-3, 1e-7)
    step, entries = 1e-6, [(0, 0), (7, 3), (29, 5)]
    for entry in entries:
        moved = np.zeros_like(weights)
        moved[entry] = step
        rise = objective(features, labels, weights + moved, bias, 1e-3) - objective(
            features, labels, weights - moved, bias, 1e-3
        )
        assert abs(rise / (2 * step)) < 1e-6


@pytest.mark.parametrize("scale", [1e-3, 1.0, 40.0, 900.0])
def test_the_logarithm_of_a_sum_is_scipys_to_the_last_bit(scale):
    logits = scale * np.random.default_rng(3).normal(size=(500, 101))
    logits[7] = 0.0  # all equal
    logits[8, :3] = logits[8].max() + 1
    np.testing.assert_array_equal(_log_sum_exp(logits), logsumexp(logits, axis=1, keepdims=True))


def test_a_tolerance_out_of_reach_is_said():
    features, labels = clustered(50, 5, 3)
    with pytest.raises(ValueError, match=r"did not converge at strength 0\.01"):
        LogisticProblem(features, labels, 3).solve(1e-2, 1e-30)


def test_features_that_tell_the_class_are_all_classified(tmp_path):
    case = judged_case(tmp_path, net=OracleNet())
    output = linear_probe.run(case)
    guesses = output.guesses[0]
    np.testing.assert_array_equal(guesses.ranking_NK[:, 0], [n % 3 for n in range(12)])
    assert guesses.video_ids == case.dataset.test.ids
    assert output.facts["validation_accuracy.0.0001"] == 1.0
    assert output.facts["strength"] == 1.0  # of equals the strongest
    assert output.remarks == ()


def test_features_that_tell_nothing_give_every_video_the_same_guess(tmp_path):
    guesses = linear_probe.run(judged_case(tmp_path, net=Constant())).guesses[0]
    assert len(np.unique(guesses.ranking_NK, axis=0)) == 1


def test_the_fit_is_cached_and_the_same_to_the_last_bit(tmp_path):
    first = linear_probe.fit(judged_case(tmp_path / "one"))
    case = judged_case(tmp_path / "one")
    again = linear_probe.fit(case)
    anew = linear_probe.fit(judged_case(tmp_path / "other"))
    assert case.clips.asked == []
    for other in (again, anew):
        np.testing.assert_array_equal(first.weights_DK, other.weights_DK)
        np.testing.assert_array_equal(first.bias_K, other.bias_K)
        assert (first.strength, first.validation) == (other.strength, other.validation)


def test_other_settings_are_another_fit(tmp_path):
    first = linear_probe.fit(judged_case(tmp_path))
    settings = judged_suite().linear_probe.model_copy(update={"strengths": (0.3,)})
    other = linear_probe.fit(judged_case(tmp_path, judged_suite(linear_probe=settings)))
    assert other.strength == 0.3
    assert not np.array_equal(first.weights_DK, other.weights_DK)


def test_test_videos_are_not_looked_at_by_the_fit(tmp_path):
    case = judged_case(tmp_path)
    linear_probe.fit(case)
    assert {split for split, _ in case.clips.asked} == {"train", "validation"}


def test_a_feature_that_is_only_rounding_noise_is_left_out():
    rng = np.random.default_rng(0)
    noise = (1 + 1e-7 * rng.normal(size=(30, 1))).astype(np.float32)
    problem, _, scale_D = linear_probe._standardised(
        np.concatenate([rng.normal(size=(30, 2)).astype(np.float32), noise, np.zeros((30, 1), np.float32)], axis=1),
        np.arange(30) % 3,
        3,
    )
    assert np.isinf(scale_D).tolist() == [False, False, True, True]
    assert not problem.features_ND[:, 2:].any()


def test_every_strength_is_fitted_and_guesses_and_the_chosen_one_is_the_probe_to_the_last_bit(tmp_path):
    case = judged_case(tmp_path)
    probe = linear_probe.fit(case)
    path = linear_probe.path(case, probe)
    assert [one.strength for one in path] == sorted(case.suite.linear_probe.strengths, reverse=True)
    (same,) = [one for one in path if one.strength == probe.strength]
    np.testing.assert_array_equal(same.weights_DK, probe.weights_DK)
    np.testing.assert_array_equal(same.bias_K, probe.bias_K)
    output = linear_probe.run(case)
    assert [g.model for g in output.guesses] == ["", *(f"strength {one.strength:g}" for one in path)]


def test_the_other_strengths_look_at_no_test_video(tmp_path):
    case = judged_case(tmp_path)
    linear_probe.path(case, linear_probe.fit(case))
    assert {split for split, _ in case.clips.asked} == {"train", "validation"}
