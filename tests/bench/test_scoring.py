import time
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from bench.guesses import Grams, Guesses
from bench.schema import CLEAN, Condition
from bench.scoring import chance_of_recall, hits, join, score
from bench.suites.protocol import Robustness
from bench.video.index import Dataset, Video, VideoSet
from tests.bench.stages.judged_case import judged_suite
from tests.bench.stages.tiny_case import CLASSES, videos

NAMES = CLASSES
TEST = VideoSet("test", tuple(Video(f"t{n:02d}", Path("none"), n % 3, f"s{n // 2}") for n in range(24)), NAMES)
DATASET = Dataset("shades", videos("train", 24), videos("validation", 6), TEST)
LABELS = TEST.labels


def guesses(first, stage="finetune", model="", condition=CLEAN, seed=0, ids=TEST.ids):
    """A ranking that begins with `first`."""
    ranking = np.array([[label, *sorted({0, 1, 2} - {label})] for label in first], dtype=np.int16)
    return Guesses(stage, "shades", tuple(ids), ranking, model, condition, seed)


def found_in(made, grams=(), suite=None):
    scores = score(join(made, TEST), grams, suite or judged_suite(), DATASET)
    return {(one.stage, one.metric, one.model, str(one.condition)): one for one in scores}


def wrong_at(count):
    """The right labels, but for the first `count` videos."""
    first = LABELS.copy()
    first[:count] = (first[:count] + 1) % 3
    return first


def test_a_record_holds_the_guess_and_the_place_of_the_truth():
    rows = join([guesses([2] * 24)], TEST)
    assert rows["video_id"].tolist() == list(TEST.ids)
    assert rows["source"].tolist() == list(TEST.sources)
    assert rows["label"].tolist() == LABELS.tolist()
    assert (rows["predicted"] == 2).all()
    assert rows["rank"][:3].tolist() == [2, 3, 1]
    assert {len(column) for column in rows.values()} == {24}


def test_a_truth_that_is_not_listed_has_rank_zero():
    neighbours = Guesses("retrieval", "shades", TEST.ids, np.zeros((24, 2), np.int16))
    assert join([neighbours], TEST)["rank"][:3].tolist() == [1, 0, 0]


def test_a_dataset_without_guesses_gives_no_scores():
    assert found_in([]) == {}


def test_top1_of_an_oracle_a_constant_and_a_half_blind_model():
    oracle = found_in([guesses(LABELS, "linear_probe")])["linear_probe", "top1", "", "clean"]
    assert (oracle.value, oracle.high, oracle.n, oracle.clusters) == (1, 1, 24, 12)
    assert oracle.chance == pytest.approx(1 / 3)
    assert 0.5 < oracle.low < 1
    assert oracle.seeds == ()
    assert found_in([guesses([0] * 24)])["finetune", "top1", "", "clean"].value == pytest.approx(1 / 3)
    half = found_in([guesses(wrong_at(12))])["finetune", "top1", "", "clean"]
    assert half.value == 0.5
    assert 0 < half.low < 0.5 < half.high < 1
    assert "12 sources" in half.note
    assert "training spread not included" in half.note


def test_seeds_are_averaged_and_named():
    found = found_in([guesses(wrong_at(3 * seed), seed=seed) for seed in range(3)])["finetune", "top1", "", "clean"]
    assert found.value == pytest.approx(1 - 3 / 24)
    assert found.seeds == (0, 1, 2)
    assert "training spread" not in found.note


def test_recall_counts_any_of_k_neighbours_and_stands_beside_exact_chance():
    ranking = np.full((24, 30), 2, np.int16)
    ranking[:, 3] = LABELS
    neighbours = Guesses("retrieval", "shades", TEST.ids, ranking)
    found = found_in([neighbours])
    assert found["retrieval", "recall@1", "", "clean"].value == pytest.approx(1 / 3)
    assert found["retrieval", "recall@5", "", "clean"].value == 1
    assert found["retrieval", "recall@1", "", "clean"].chance == pytest.approx(1 / 3)
    assert found["retrieval", "recall@5", "", "clean"].chance == pytest.approx(
        1 - np.prod([(20 - i) / (30 - i) for i in range(5)])
    )


def test_chance_of_recall_is_that_of_counting_all_choices():
    gallery, asked = np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]), np.array([0, 1, 1, 2])
    for k in (1, 3, 8, 9, 12):
        choices = list(combinations(gallery.tolist(), min(k, 9)))
        expected = np.mean([np.mean([label in choice for choice in choices]) for label in asked])
        assert chance_of_recall(gallery, asked, k) == pytest.approx(expected)


SEVERITIES = (1, 2, 3, 4, 5)


def curve(
    wrong_by_severity, model="finetuned", seed=0, noises=("gaussian/x@source/v1", "shot/x@source/v1"), clean_wrong=0
):
    """Guesses of one model that is wrong on so many videos at each severity; the second noise costs two more."""
    made = [guesses(wrong_at(clean_wrong), "robustness", model, seed=seed)]
    for place, noise in enumerate(noises):
        for level, wrong in zip(SEVERITIES, wrong_by_severity, strict=True):
            condition = Condition(corruption=noise, severity=level)
            made.append(guesses(wrong_at(wrong + 2 * place), "robustness", model, condition, seed))
    return made


def test_robustness_is_derived_from_the_mean_over_noises():
    found = found_in(curve([2, 5, 8, 11, 14]))
    mean = 1 - (np.array([2, 5, 8, 11, 14]) + 1) / 24

    def value(metric):
        return found["robustness", metric, "finetuned", "clean"].value

    assert found["robustness", "top1", "finetuned", "shot/x@source/v1#2"].value == pytest.approx(1 - 7 / 24)
    for level in SEVERITIES:
        assert value(f"noise_mean@{level}") == pytest.approx(mean[level - 1])
    assert value("noise_mean") == pytest.approx(mean.mean())
    assert value("relative_decrease@1") == pytest.approx(3 / 24)
    assert value("relative_decrease@1-3") == pytest.approx(6 / 24)
    assert value("relative_decrease@1-5") == pytest.approx(9 / 24)
    assert value("area") == pytest.approx((0.5 + mean[:4].sum() + mean[4] / 2) / 5)
    threshold = 1 / 3 + (1 - 1 / 3) / 2  # 2/3: eight wrong, between nine of severity 3 and six of severity 2
    assert value("break_point") == pytest.approx(2 + (mean[1] - threshold) / (mean[1] - mean[2]))
    unending = [metric for (_, metric, _, _), one in found.items() if one.high is None]
    assert unending == ["break_point"]  # with 24 videos, it may as well never be reached
    for one in found.values():
        assert one.low <= one.value
        assert one.high is None or one.value <= one.high
        assert one.chance is None or one.chance == pytest.approx(1 / 3)


def test_a_break_point_that_is_never_reached_has_no_value_and_says_so():
    found = found_in(curve([0, 0, 0, 1, 1]))["robustness", "break_point", "finetuned", "clean"]
    assert found.value is None
    assert found.high is None
    assert "not lost up to severity 5" in found.note


def test_a_model_at_chance_has_nothing_to_lose_and_one_at_zero_no_ratio():
    made = [guesses([0] * 24, "robustness", "probe")]
    made += [
        guesses([0] * 24, "robustness", "probe", Condition(corruption="shot/x@source/v1", severity=s))
        for s in SEVERITIES
    ]
    found = found_in(made)
    assert found["robustness", "break_point", "probe", "clean"].value is None
    assert "not above chance" in found["robustness", "break_point", "probe", "clean"].note
    assert found["robustness", "area", "probe", "clean"].value == pytest.approx(1)
    zero = found_in(curve([24] * 5, noises=("shot/x@source/v1",), clean_wrong=24))
    assert zero["robustness", "relative_decrease@1", "finetuned", "clean"].value is None
    assert "zero" in zero["robustness", "area", "finetuned", "clean"].note


def test_a_suite_with_other_severities_has_the_decreases_it_can_have():
    made = [guesses(LABELS, "robustness", "probe")]
    made += [
        guesses(LABELS, "robustness", "probe", Condition(corruption="shot/x@source/v1", severity=s)) for s in (1, 3)
    ]
    metrics = {metric for _, metric, _, _ in found_in(made)}
    assert "relative_decrease@1" in metrics
    assert not {"relative_decrease@1-3", "relative_decrease@1-5"} & metrics


def test_models_that_saw_other_videos_under_noise_are_refused():
    made = [guesses(LABELS, "robustness", "probe")]
    condition = Condition(corruption="shot/x@source/v1", severity=1)
    made.append(guesses(LABELS[:20], "robustness", "probe", condition, ids=TEST.ids[:20]))
    with pytest.raises(ValueError, match="not the same videos"):
        found_in(made)


def test_gains_of_distillation_are_paired():
    wrong = {"alone": 9, "submission": 6, "reference": 4, "both": 3}
    made = [guesses(wrong_at(count), "distillation", arm, seed=seed) for arm, count in wrong.items() for seed in (0, 1)]
    found = found_in(made)
    for arm, count in wrong.items():
        assert found["distillation", "top1", arm, "clean"].value == pytest.approx(1 - count / 24)
    gain = found["distillation", "gain_over_alone", "", "clean"]
    assert gain.value == pytest.approx(3 / 24)
    assert gain.seeds == (0, 1)
    alone = found["distillation", "top1", "alone", "clean"]
    assert gain.high - gain.low < alone.high - alone.low
    assert found["distillation", "gain_over_better", "", "clean"].value == pytest.approx(1 / 24)


def test_without_a_reference_teacher_there_is_no_gain_over_the_better():
    found = found_in([guesses(LABELS, "distillation", arm) for arm in ("alone", "submission")])
    assert ("distillation", "gain_over_alone", "", "clean") in found
    assert ("distillation", "gain_over_better", "", "clean") not in found


def test_what_finetuning_keeps_is_scored_from_grams_alone():
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(1, 4, 6, 5))
    before = (layer @ layer.swapaxes(-1, -2)).astype(np.float32)
    made = [Grams("shades", name, TEST.ids, ("stem",), before) for name in ("pretrained", "finetuned")]
    (found,) = found_in([], made).values()
    assert (found.stage, found.metric) == ("cka", "kept_after_finetuning")
    assert found.value == pytest.approx(1)
    assert (found.n, found.clusters, found.seeds) == (24, 12, (0,))
    assert abs(found.chance) < 0.5
    assert found_in([], made[:1]) == {}


def test_rows_of_other_datasets_and_their_order_do_not_matter():
    made = [*curve([2, 5, 8, 11, 14]), guesses(wrong_at(3)), guesses(LABELS, "linear_probe")]
    rows = join(made, TEST)
    other = {name: column.copy() for name, column in rows.items()}
    other["dataset"][:] = "other"
    order = np.random.default_rng(0).permutation(2 * len(rows["rank"]))
    mixed = {name: np.concatenate([column, other[name]])[order] for name, column in rows.items()}
    assert score(mixed, [], judged_suite(), DATASET) == score(rows, [], judged_suite(), DATASET)


def test_hits_are_ready_for_comparisons():
    rows = join([guesses(wrong_at(4), seed=seed) for seed in (0, 1)], TEST)
    found = hits(rows, "finetune", [("", CLEAN)])
    assert found.hits_SNQ.shape == (2, 24, 1)
    assert found.video_ids == TEST.ids
    assert found.sources_N.tolist() == list(TEST.sources)
    assert hits(rows, "finetune", [("none", CLEAN)]) is None


def test_scoring_a_set_of_the_size_of_ucf101_takes_seconds():
    rng = np.random.default_rng(0)
    names = tuple(f"class{n}" for n in range(101))
    many = VideoSet(
        "test", tuple(Video(f"v{n:05d}", Path("none"), n % 101, f"s{n % 707:03d}") for n in range(3783)), names
    )
    train = VideoSet("train", tuple(Video(f"r{n}", Path("none"), n % 101, f"r{n}") for n in range(202)), names)
    validation = VideoSet(
        "validation", tuple(Video(f"w{n}", Path("none"), n % 101, f"w{n}") for n in range(101)), names
    )
    dataset = Dataset("shades", train, validation, many)
    suite = judged_suite(robustness=Robustness(corruptions=("gaussian/x@source/v1",)))
    suite = suite.model_copy(update={"datasets": (suite.datasets[0].model_copy(update={"num_classes": 101}),)})
    conditions = [CLEAN] + [
        Condition(corruption=f"{n}/x@source/v1", severity=s)
        for n in ("gaussian", "shot", "impulse", "speckle")
        for s in SEVERITIES
    ]
    made = [
        Guesses(
            "robustness",
            "shades",
            many.ids,
            rng.integers(0, 101, (3783, 1)).astype(np.int16),
            "finetuned",
            condition,
            seed,
        )
        for condition in conditions
        for seed in range(3)
    ]
    rows = join(made, many)
    started = time.perf_counter()
    score(rows, [], suite, dataset)
    assert time.perf_counter() - started < 10


# The gap to the best on test


def test_the_gap_of_the_probe_is_to_the_best_of_the_strengths():
    path = {"": wrong_at(12), "strength 0.1": wrong_at(12), "strength 1": wrong_at(6), "strength 10": wrong_at(18)}
    scores = found_in([guesses(first, "linear_probe", model) for model, first in path.items()])
    score = scores["linear_probe", "gap_to_best_on_test", "", "clean"]
    assert score.value == pytest.approx(6 / 24)
    assert score.low <= score.value <= score.high
    assert score.note.startswith("Best of 3 strengths by the test labels, less the one chosen on validation.")
    assert scores["linear_probe", "top1", "", "clean"].value == 0.5


def test_the_gap_of_finetuning_is_to_the_last_epoch_seen_alike_by_the_mean_over_seeds():
    made = []
    for seed, shift in ((0, 0), (1, 2)):
        made += [guesses(wrong_at(4), seed=seed)]
        made += [
            guesses(wrong_at(count + shift), "finetune", f"epoch {epoch}", seed=seed)
            for epoch, count in ((10, 20), (20, 8), (100, 10))
        ]
    scores = found_in(made)
    assert scores["finetune", "gap_to_best_on_test", "", "clean"].value == pytest.approx(2 / 24)
    assert scores["finetune", "top1", "", "clean"].value == pytest.approx(20 / 24)


def test_without_candidates_there_is_no_gap():
    assert ("finetune", "gap_to_best_on_test", "", "clean") not in found_in([guesses(LABELS)])
