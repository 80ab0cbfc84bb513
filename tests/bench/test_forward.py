from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench import forward
from bench.encoder import TorchEncoder, normalise
from bench.forward import conduct, features, logits, sweep, trunk_reader
from bench.schema import CLEAN, Condition
from tests.bench.stages.judged_case import NOISE, judged_case
from tests.bench.stages.tiny_case import TinyNet, random_tiny_net

NOISY = [CLEAN, Condition(corruption=NOISE, severity=1), Condition(corruption=NOISE, severity=4)]


class Counting(TinyNet):
    """Counts the clips it has read."""

    def __init__(self):
        super().__init__()
        self.load_state_dict(random_tiny_net().state_dict())
        self.read = 0

    def forward(self, clips):
        self.read += len(clips)
        return super().forward(clips)


def test_features_are_the_mean_over_views_of_the_plain_module_in_the_order_of_the_set(tmp_path):
    case = judged_case(tmp_path)
    found = features(case, "test", 3)[CLEAN]
    net = random_tiny_net().eval()
    for video_id, row in zip(case.dataset.test.ids, found, strict=True):
        clips = torch.from_numpy(case.clips.views("test", video_id, 3))
        with torch.no_grad():
            expected = net(normalise(clips, case.encoder.normalisation)).mean(0)
        np.testing.assert_allclose(row, expected, atol=1e-5)
    assert found.dtype == np.float32


def test_one_pass_decodes_each_video_once_for_all_models_and_conditions(tmp_path):
    case = judged_case(tmp_path)
    models = {"trunk": trunk_reader(case), "other": forward.module_reader(case, random_tiny_net(1), {"seed": 1})}
    ids = case.dataset.test.ids[3:9]
    both = sweep(case, models, "test", 1, NOISY, ids)
    assert sorted(case.clips.decoded) == sorted(ids)
    alone = sweep(judged_case(tmp_path / "elsewhere"), {"trunk": models["trunk"]}, "test", 1, NOISY, ids)
    for condition in NOISY:
        np.testing.assert_array_equal(both["trunk"][condition], alone["trunk"][condition])
        assert both["other"][condition].shape == (6, 8)
    assert not np.array_equal(both["trunk"][NOISY[0]], both["trunk"][NOISY[2]])


def test_clean_rows_of_a_noisy_sweep_equal_those_from_the_frame_store(tmp_path):
    case = judged_case(tmp_path)
    reader = {"trunk": trunk_reader(case)}
    noisy = sweep(case, reader, "test", 2, NOISY, case.dataset.test.ids)["trunk"][CLEAN]
    np.testing.assert_allclose(noisy, features(case, "test", 2)[CLEAN], rtol=1e-5, atol=1e-6)


def test_what_is_cached_is_not_computed_again_and_a_kill_loses_one_block_at_most(tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "BLOCK_VIDEOS", 4)
    whole = features(judged_case(tmp_path / "whole", net=Counting()), "test", 2)[CLEAN]
    net = Counting()
    case = judged_case(tmp_path / "killed", net=net)

    def stop(_words, share):
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        features(case.reporting(stop), "test", 2)
    before = net.read
    resumed = features(case, "test", 2)[CLEAN]
    assert net.read - before == 4 * 2  # the last of three blocks
    np.testing.assert_array_equal(resumed, whole)
    before = net.read
    np.testing.assert_array_equal(features(case, "test", 2)[CLEAN], whole)
    assert net.read == before


def test_the_cache_tells_encoders_colours_splits_views_conditions_and_videos_apart(tmp_path):
    case = judged_case(tmp_path)
    first = features(case, "test", 2)[CLEAN]
    colours = case.encoder.normalisation.model_copy(update={"mean": (0.0, 0.0, 0.0)})
    others = [
        features(replace(case, encoder=TorchEncoder(random_tiny_net(1), name="other")), "test", 2)[CLEAN],
        features(replace(case, encoder=TorchEncoder(random_tiny_net(), name="tiny", normalisation=colours)), "test", 2)[
            CLEAN
        ],
        features(case, "test", 1)[CLEAN],
        features(case, "train", 2)[CLEAN][:12],
        sweep(case, {"trunk": trunk_reader(case)}, "test", 2, [CLEAN], case.dataset.test.ids[::-1])["trunk"][CLEAN],
    ]
    assert not any(np.array_equal(first, other) for other in others)
    np.testing.assert_array_equal(others[-1][::-1], first)


@pytest.mark.parametrize("batch", [1, 5, 32])
def test_other_batch_sizes_agree_to_1e_5(tmp_path, monkeypatch, batch):
    usual = features(judged_case(tmp_path / "usual"), "test", 3)[CLEAN]
    monkeypatch.setattr(forward, "_batch_clips", lambda _device: batch)
    np.testing.assert_allclose(features(judged_case(tmp_path / "other"), "test", 3)[CLEAN], usual, atol=1e-5)


def test_the_number_of_threads_changes_nothing_and_stays_as_it_was(tmp_path):
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(features(judged_case(tmp_path / str(threads)), "test", 3)[CLEAN])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


class Broken(TinyNet):
    """NaN for bright clips."""

    def forward(self, clips):
        found = super().forward(clips)
        return found + torch.where(clips.mean((1, 2, 3, 4)) > 0.5, torch.nan, 0.0)[:, None]


def test_nan_is_refused_naming_the_video_and_nothing_is_kept(tmp_path):
    case = judged_case(tmp_path, net=Broken())
    with pytest.raises(ValueError, match=r"trunk holds NaN or infinity for video test2_2 \(clean\)"):
        features(case, "test", 1)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


class Dice(TinyNet):
    def forward(self, clips):
        return nn.functional.dropout(super().forward(clips), 0.5, training=True)


class Neighbours(TinyNet):
    def forward(self, clips):
        found = super().forward(clips)
        return found - found.mean(0, keepdim=True)


@pytest.mark.parametrize(
    ("net", "word"), [(Dice(), "stochastic"), (Neighbours(), "depends on what else is in the batch")]
)
def test_an_encoder_that_is_odd_in_eval_mode_is_named(tmp_path, net, word):
    case = judged_case(tmp_path, net=net)
    (remark,) = conduct(case, "The encoder", trunk_reader(case), "train")
    assert word in remark
    assert conduct(case, "The encoder", trunk_reader(case), "train") == (remark,)  # from the cache


def test_an_ordinary_encoder_is_not(tmp_path):
    case = judged_case(tmp_path)
    assert conduct(case, "The encoder", trunk_reader(case), "train") == ()


def test_logits_of_a_fitted_model_are_kept_under_its_own_key(tmp_path):
    case = judged_case(tmp_path)
    one = logits(case, random_tiny_net(1), {"seed": 1}, "test", 2)[CLEAN]
    other = logits(case, random_tiny_net(2), {"seed": 2}, "test", 2)[CLEAN]
    assert not np.array_equal(one, other)
    np.testing.assert_array_equal(logits(case, random_tiny_net(5), {"seed": 1}, "test", 2)[CLEAN], one)


def test_bf16_suites_compute_in_bf16_and_give_float32(tmp_path):
    case = judged_case(tmp_path)
    exact = features(case, "test", 1)[CLEAN]
    coarse = features(replace(case, suite=case.suite.model_copy(update={"precision": "bf16"})), "test", 1)[CLEAN]
    assert coarse.dtype == np.float32
    difference = np.abs(coarse - exact).max() / np.abs(exact).max()
    assert 1e-5 < difference < 5e-2


def test_a_video_that_cannot_be_read_ends_in_its_own_error(tmp_path):
    case = judged_case(tmp_path)
    case.clips.unreadable = "test5_2"
    with pytest.raises(ValueError, match="test5_2 is no video"):
        features(case, "test", 1)
