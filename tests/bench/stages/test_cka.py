from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.encoder import normalise
from bench.guesses import Grams
from bench.stages import cka
from bench.stages.cka import gram, module_grams
from bench.statistics.similarity import similarity_map
from tests.bench.stages.judged_case import judged_case, judged_suite
from tests.bench.stages.tiny_case import random_tiny_net


def reference(features):
    """Layers' features [B, N, ...] to the map, in float64, by the sums of Song et al. (JMLR 2012), as the paper prints them."""

    def hsic(one, other):
        size = len(one)
        one, other = one.copy(), other.copy()
        np.fill_diagonal(one, 0)
        np.fill_diagonal(other, 0)
        ones = np.ones(size)
        total = np.trace(one @ other) + (ones @ one @ ones) * (ones @ other @ ones) / ((size - 1) * (size - 2))
        return (total - 2 / (size - 2) * (ones @ one @ other @ ones)) / (size * (size - 3))

    grams = {}
    for name, batches in features.items():
        flat = [batch.reshape(len(batch), -1).astype(np.float64) for batch in batches]
        centred = [batch - batch.mean(0) for batch in flat]  # changes nothing but rounding
        largest = max(np.abs(batch).max() for batch in centred) or 1.0
        grams[name] = [(batch / largest) @ (batch / largest).T for batch in centred]
    names = list(grams)
    value = np.array(
        [[np.mean([hsic(a, b) for a, b in zip(grams[i], grams[j], strict=True)]) for j in names] for i in names]
    )
    return value / np.sqrt(np.outer(np.diag(value), np.diag(value)))


class Traps(nn.Module):
    """What other implementations get wrong: in-place after a hook, a large mean, tiny values, layers used out of order."""

    feature_dim = 6

    def __init__(self):
        super().__init__()
        self.last = nn.Conv3d(5, 6, 3, padding=1)
        self.first = nn.Conv3d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm3d(4)
        self.relu = nn.ReLU(inplace=True)
        self.loud = nn.Conv3d(4, 5, 3, padding=1)
        self.quiet = nn.Conv3d(5, 5, 1)
        nn.init.constant_(self.loud.bias, 100.0)
        nn.init.constant_(self.quiet.bias, 0.0)
        self.quiet.weight.data *= 1e-15
        self.unused = nn.Linear(2, 2)

    def layers(self):
        return dict(self.named_children())

    def forward(self, clips):
        loud = self.loud(self.relu(self.norm(self.first(clips))))
        self.quiet(loud)
        return self.last(loud - 100).mean((2, 3, 4))


def test_traps_that_others_fall_into_are_right_to_1e_6_and_rows_stand_in_execution_order(monkeypatch):
    monkeypatch.setattr(cka, "COLUMNS_AT_ONCE", 1000)
    torch.manual_seed(0)
    net = Traps().eval()
    batches = [torch.randn(8, 3, 4, 8, 8) for _ in range(3)]
    seen, scales, found = {}, {}, []

    def copy(name):
        return lambda _m, _i, out: seen.setdefault(name, []).append(out.detach().clone().numpy())

    handles = [module.register_forward_hook(copy(name)) for name, module in net.named_children()]
    with torch.no_grad():
        for batch in batches:
            found.append(module_grams(net, batch, net.layers(), scales))
        for handle in handles:
            handle.remove()
        seen["pooled"] = [net(batch).numpy() for batch in batches]
    names = ["first", "norm", "relu", "loud", "quiet", "last", "pooled"]
    assert [list(one) for one in found] == [names] * 3
    grams = np.stack([np.stack([one[name] for one in found]) for name in names])
    ours = similarity_map(*[_grams(names, grams)] * 2)
    np.testing.assert_allclose(ours, reference({name: seen[name] for name in names}), atol=1e-6)
    assert np.isfinite(ours).all()
    assert abs(ours[1, 2] - 1) > 0.01  # norm and the in-place relu behind it are two layers


def _grams(names, matrices):

    count = matrices.shape[1] * matrices.shape[2]
    return Grams("set", "pretrained", tuple(map(str, range(count))), tuple(names), matrices)


def test_the_gram_is_of_centred_features_whatever_their_layout():
    torch.manual_seed(0)
    features = torch.randn(6, 5, 4, 3, 3)
    flat = features.flatten(1).double()
    flat = flat - flat.mean(0)
    scales = {}
    plain = gram("layer", features, scales)
    np.testing.assert_allclose(plain, (flat @ flat.T).numpy() * scales["layer"] ** 2, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        gram("layer", features.contiguous(memory_format=torch.channels_last_3d), scales), plain, rtol=1e-5, atol=1e-5
    )
    assert np.log2(scales["layer"]) % 1 == 0


def test_an_output_that_is_not_finite_is_refused_by_name():
    with pytest.raises(ValueError, match="layer block holds NaN"):
        gram("block", torch.full((4, 2), torch.nan), {})
    with pytest.raises(ValueError, match="layer block holds NaN"):
        gram("block", torch.full((4, 2), torch.inf), {"block": 1.0})


def test_the_stage_stores_both_models_on_the_same_batches(tmp_path):
    case = judged_case(tmp_path)
    output = cka.run(case)
    before, after = output.grams
    assert (before.model, after.model) == ("pretrained", "finetuned")
    assert before.layers == after.layers == ("stem", "block", "pooled")
    assert before.video_ids == after.video_ids
    assert set(before.video_ids) == set(case.dataset.test.ids)
    assert before.grams_LBNN.shape == (3, 2, 6, 6)
    clips = np.concatenate([case.clips.views("test", video_id, 1) for video_id in before.video_ids])
    with torch.no_grad():
        pooled = random_tiny_net().eval()(normalise(torch.from_numpy(clips), case.encoder.normalisation)).numpy()
    for first, stored in ((0, before.grams_LBNN[2, 0]), (6, before.grams_LBNN[2, 1])):
        centred = pooled[first : first + 6] - pooled[first : first + 6].mean(0)
        expected = centred @ centred.T
        ratio = np.trace(stored) / np.trace(expected)
        assert np.log2(ratio) % 2 == pytest.approx(0, abs=1e-4) or np.log2(ratio) % 2 == pytest.approx(2, abs=1e-4)
        np.testing.assert_allclose(stored / ratio, expected, atol=1e-5 * np.trace(expected))
    np.testing.assert_allclose(np.diag(similarity_map(before, before)), 1, atol=1e-12)


def test_grams_are_cached_by_minibatch_and_the_last_smaller_one_is_left_out(tmp_path):
    suite = judged_suite(cka=judged_suite().cka.model_copy(update={"batch": 5}))
    case = judged_case(tmp_path, suite)
    first = cka.run(case)
    assert first.grams[0].grams_LBNN.shape[1] == 2
    assert len(first.grams[0].video_ids) == 10
    entries = sorted((tmp_path / "cache" / "grams").iterdir())
    assert len(entries) == 4
    entries[1].unlink()
    again = cka.run(judged_case(tmp_path, suite))
    for one, other in zip(first.grams, again.grams, strict=True):
        assert one.layers == other.layers
        np.testing.assert_array_equal(one.grams_LBNN, other.grams_LBNN)


def test_few_videos_make_one_minibatch_and_too_few_a_remark(tmp_path):
    suite = judged_suite(cka=judged_suite().cka.model_copy(update={"batch": 64}))
    assert cka.run(judged_case(tmp_path, suite)).grams[0].grams_LBNN.shape == (3, 1, 12, 12)
    case = judged_case(tmp_path)
    few = case.dataset.test.only(case.dataset.test.ids[:3])
    output = cka.run(replace(case, dataset=replace(case.dataset, test=few)))
    assert output.grams == ()
    assert "has 3" in output.remarks[0]
