from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from bench.schema import CLEAN
from bench.scoring import join, score
from bench.stages import linear_probe, robustness
from bench.stages.robustness import chosen_videos
from bench.suites.protocol import Robustness
from bench.video.index import Video, VideoSet
from tests.bench.stages.judged_case import NOISE, OTHER_NOISE, PlayedClips, judged_case, judged_suite
from tests.bench.stages.known_nets import OracleNet, OrderAware, OrderBlind
from tests.bench.stages.tiny_case import videos


def scores_of(case, *stages):
    test = videos("test", 12)
    rows = join([guesses for stage in stages for guesses in stage(case).guesses], test)
    return {
        (one.metric, one.model, str(one.condition)): one
        for one in score(
            rows,
            [],
            case.suite,
            case.dataset.__class__(case.dataset.name, case.dataset.train, case.dataset.validation, test),
        )
    }


def test_an_oracle_falls_where_the_noise_wipes_the_clip_out(tmp_path):
    case = judged_case(tmp_path, net=OracleNet())
    found = scores_of(case, robustness.run)

    def value(metric, condition="clean"):
        return found[metric, "probe", condition].value

    assert value("top1") == 1
    for noise in (NOISE, OTHER_NOISE):
        accuracies = [value("top1", f"{noise}#{level}") for level in range(1, 6)]
        assert accuracies == pytest.approx([1, 1, 1 / 3, 1 / 3, 1 / 3])
    assert [value(f"noise_mean@{level}") for level in range(1, 6)] == pytest.approx([1, 1, 1 / 3, 1 / 3, 1 / 3])
    assert value("noise_mean") == pytest.approx(0.6)
    assert value("relative_decrease@1") == pytest.approx(0)
    assert value("relative_decrease@1-3") == pytest.approx(2 / 9)
    assert value("relative_decrease@1-5") == pytest.approx(0.4)
    assert value("area") == pytest.approx(2 / 3)
    assert value("break_point") == pytest.approx(2.5)


def test_order_blind_features_cannot_tell_twins_and_order_aware_ones_can(tmp_path):
    for net, expected in ((OrderBlind(), [0, 0, 2] * 4), (OrderAware(), [0, 1, 2] * 4)):
        case = judged_case(tmp_path / type(net).__name__, net=net, clips=PlayedClips)
        guesses = linear_probe.run(case).guesses[0]
        guessed = guesses.ranking_NK[:, 0]
        if isinstance(net, OrderBlind):
            twins = np.arange(12) % 3 < 2
            assert len(set(guessed[twins])) == 1
            assert (guessed == np.arange(12) % 3).mean() == pytest.approx(2 / 3)
        else:
            np.testing.assert_array_equal(guessed, expected)


def test_clean_is_taken_on_the_same_videos_and_the_probe_is_that_of_the_clean_stage(tmp_path):
    suite = judged_suite(robustness=Robustness(corruptions=(NOISE,), models=("probe",), videos=7, views=2))
    case = judged_case(tmp_path, suite)
    output = robustness.run(case)
    assert {guesses.video_ids for guesses in output.guesses} == {chosen_videos(case.dataset.test, 7)}
    assert output.facts["videos"] == 7
    clean = next(guesses for guesses in output.guesses if guesses.condition == CLEAN)
    whole = linear_probe.run(case).guesses[0]
    at = [whole.video_ids.index(video_id) for video_id in clean.video_ids]
    np.testing.assert_array_equal(clean.ranking_NK, whole.ranking_NK[at])
    assert sorted(case.clips.decoded) == sorted(clean.video_ids)


def test_finetuned_models_of_all_seeds_stand_beside_the_probe_on_one_pass(tmp_path):
    suite = judged_suite(robustness=Robustness(corruptions=(NOISE,), severities=(1, 4)))
    case = judged_case(tmp_path, suite)
    output = robustness.run(case)
    found = Counter((guesses.model, guesses.seed) for guesses in output.guesses)
    assert found == {("probe", 0): 3, ("finetuned", 0): 3, ("finetuned", 1): 3}
    assert len(case.clips.decoded) == 12
    by_model = scores_of(case, robustness.run)
    assert by_model["top1", "finetuned", "clean"].seeds == (0, 1)
    assert by_model["top1", "probe", "clean"].seeds == ()


def test_whole_sources_are_chosen_by_hash_not_by_order():
    rows = [Video(f"v{n:02d}", Path("none"), n % 2, f"s{n // 4}") for n in range(40)]
    test = VideoSet("test", tuple(rows), ("a", "b"))
    chosen = chosen_videos(test, 18)
    assert len(chosen) == 16
    assert set(Counter(test.video(video_id).source for video_id in chosen).values()) == {4}
    assert chosen == tuple(sorted(chosen))
    backwards = VideoSet("test", tuple(rows[::-1]), ("a", "b"))
    assert set(chosen_videos(backwards, 18)) == set(chosen)
    assert set(chosen_videos(test, 30)) > set(chosen)
    assert chosen_videos(test, None) == chosen_videos(test, 40) == test.ids
    assert len(chosen_videos(test, 1)) == 4
