"""A spot check: some videos are shown again to the kept models, nothing is trained, and a change is seen."""

import numpy as np
import pytest
import torch

from bench.cache import Cache
from bench.encoder import TorchEncoder
from bench.run import cache_folder, open_case
from bench.statistics.verdicts import compare_runs
from submissions.spot import FITTED, FittedOnly, records_of, run_again, sampled, some_videos
from tests.bench.known_run import SUITE, LovesNoise, evaluation, opened


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A judged encoder and its cache."""
    folder = tmp_path_factory.mktemp("judged")
    return evaluation(LovesNoise, folder), folder


def again(judged, folder, share):
    """The row's records and those of a spot check, on the same videos."""
    evaluated, first = judged
    records = records_of(evaluated.rows, "shades")
    ids = sampled(records, share, evaluated.result.result_id)
    videos = some_videos(opened()["shades"], ids)
    cache = FittedOnly(folder, first=Cache(cache_folder(first, videos)))
    encoder = TorchEncoder(LovesNoise(), name="known")
    case = open_case(
        encoder, SUITE, videos, cache, folder / "training", torch.device("cpu"), lambda *_: None, LovesNoise
    )
    return records_of(records, "shades", ids), records_of(run_again(case, videos, lambda *_: None), "shades"), ids


def test_kept_models_say_the_same_of_the_sampled_videos_and_nothing_is_trained(judged, tmp_path, monkeypatch):
    kept, put = [], Cache.put

    def keep(cache, kind, key, arrays):
        kept.append(kind)
        put(cache, kind, key, arrays)

    monkeypatch.setattr(Cache, "put", keep)
    before, after, ids = again(judged, tmp_path, 0.25)
    assert len(ids) == 3
    assert set(after["video_id"]) == set(ids)
    assert compare_runs(before, after, environment_differs=False).name == "MATCH"
    assert "outputs" in kept  # what is said of test videos is computed anew
    assert not set(kept) & set(FITTED)


def test_other_predictions_in_the_row_are_seen(judged, tmp_path):
    before, after, _ = again(judged, tmp_path, 1.0)
    wrong = {
        **before,
        "rank": np.where(before["stage"] == "linear_probe", 3, before["rank"]),
        "predicted": before["predicted"],
    }
    verdict = compare_runs(wrong, after, environment_differs=False)
    assert verdict.name == "MISMATCH"
    assert "linear_probe" in verdict.words


def test_without_the_fitted_models_nothing_can_be_shown_to_them(judged, tmp_path):
    evaluated, _ = judged
    with pytest.raises(
        ValueError, match=r"A fitted model of this row \(linear probe\) is no longer in .* without --spot"
    ):
        again((evaluated, tmp_path / "emptied"), tmp_path, 0.25)


def test_videos_are_drawn_by_the_result_from_those_that_every_model_judged(judged):
    rows = records_of(judged[0].rows, "shades")
    some = sampled(rows, 0.5, "one")
    assert some == sampled(rows, 0.5, "one") != sampled(rows, 0.5, "another")
    assert set(sampled(rows, 0.25, "one")) < set(some)
    everywhere = ~((rows["stage"] == "robustness") & np.isin(rows["video_id"], some))
    assert not set(sampled({name: column[everywhere] for name, column in rows.items()}, 0.5, "one")) & set(some)
    assert len(sampled(rows, 0.0001, "one")) == 1
