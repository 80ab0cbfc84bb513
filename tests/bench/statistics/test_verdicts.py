import numpy as np
import pytest

from bench.statistics.verdicts import compare_runs


def rows_of(hits, seeds=(0,), stage="finetune", severity=0):
    """Records of videos of two to a source; the true label is 1."""
    count = len(hits) // len(seeds)
    names = np.array([f"v{n:03d}" for n in range(count)] * len(seeds))
    return {
        "video_id": names,
        "source": np.array([f"s{n // 2}" for n in range(count)] * len(seeds)),
        "label": np.ones(len(hits), np.int64),
        "stage": np.full(len(hits), stage),
        "dataset": np.full(len(hits), "set"),
        "model": np.full(len(hits), ""),
        "corruption": np.full(len(hits), "clean"),
        "severity": np.full(len(hits), severity),
        "seed": np.repeat(seeds, count),
        "predicted": np.where(hits, 1, 0),
        "rank": np.where(hits, 1, 2),
    }


HITS = np.random.default_rng(0).random(200) < 0.6


def test_the_same_predictions_in_any_order_match():
    rows = rows_of(HITS)
    order = np.random.default_rng(1).permutation(200)
    verdict = compare_runs(rows, {name: column[order] for name, column in rows.items()}, environment_differs=True)
    assert verdict.name == "MATCH"
    assert "200" in verdict.words


@pytest.mark.parametrize("differs", [False, True])
def test_a_few_other_predictions_are_within_noise(differs):
    other = HITS.copy()
    other[[3, 50, 120]] ^= True
    verdict = compare_runs(rows_of(HITS), rows_of(other), environment_differs=differs)
    assert verdict.name == "WITHIN NOISE"
    assert "3 of 200" in verdict.words


def test_a_wrong_guess_that_became_another_wrong_guess_is_a_difference():
    other = rows_of(HITS)
    other["predicted"] = np.where(HITS, 1, 2)
    assert compare_runs(rows_of(HITS), other, environment_differs=False).name == "WITHIN NOISE"


@pytest.mark.parametrize(("differs", "name"), [(True, "DRIFT"), (False, "MISMATCH")])
def test_an_accuracy_that_moved_is_drift_or_mismatch(differs, name):
    other = HITS & (np.random.default_rng(2).random(200) < 0.8)
    verdict = compare_runs(rows_of(HITS), rows_of(other), environment_differs=differs)
    assert verdict.name == name
    assert "set finetune" in verdict.words


def test_the_spread_of_seeds_is_allowed():
    rng = np.random.default_rng(3)
    seeds = np.concatenate([rng.random(200) < accuracy for accuracy in (0.4, 0.6, 0.8)])
    moved = seeds & (rng.random(600) < 0.8)
    assert (
        compare_runs(rows_of(seeds, (0, 1, 2)), rows_of(moved, (0, 1, 2)), environment_differs=False).name
        == "WITHIN NOISE"
    )
    assert compare_runs(rows_of(seeds[:200]), rows_of(moved[:200]), environment_differs=False).name == "MISMATCH"


def test_missing_records_and_other_labels_are_a_mismatch():
    rows = rows_of(HITS)
    fewer = {name: column[:-1] for name, column in rows.items()}
    verdict = compare_runs(rows, fewer, environment_differs=True)
    assert verdict.name == "MISMATCH"
    assert "1 predictions of the first run are missing" in verdict.words
    assert compare_runs(rows, rows | {"label": np.zeros(200, np.int64)}, environment_differs=True).name == "MISMATCH"
