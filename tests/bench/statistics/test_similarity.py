import numpy as np
import pytest

from bench.guesses import Grams
from bench.statistics.similarity import kept, kept_by_chance, permutation_floor, similarity_map


def grams(features, model="pretrained", ids=None):
    """Layers' features [B, N, P] to stored Grams."""
    matrices = np.stack([np.stack([batch @ batch.T for batch in layer]) for layer in features.values()])
    count = matrices.shape[1] * matrices.shape[2]
    names = ids or tuple(f"v{n}" for n in range(count))
    return Grams("set", model, names, tuple(features), matrices.astype(np.float32))


def test_layers_that_differ_by_a_turn_a_shift_or_a_scale_are_the_same():
    rng = np.random.default_rng(0)
    layer = rng.normal(size=(4, 16, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    found = similarity_map(
        *[grams({"a": layer, "turned": layer @ turn, "scaled": 7 * layer, "shifted": layer + 3})] * 2
    )
    np.testing.assert_allclose(found, 1, atol=1e-4)


def test_independent_features_have_no_similarity_however_wide_they_are():
    rng = np.random.default_rng(1)
    one, other = (grams({"wide": rng.normal(size=(16, 32, 2000))}, model) for model in ("pretrained", "finetuned"))
    assert abs(similarity_map(one, other)[0, 0]) < 0.05  # the biased estimate gives 0.98 here
    assert abs(kept(one, other).value) < 0.05


def test_a_layer_that_says_nothing_has_no_similarity_and_is_left_out_of_the_mean():
    rng = np.random.default_rng(2)
    layer = rng.normal(size=(3, 8, 5))
    one = grams({"a": layer, "dead": np.ones((3, 8, 5))})
    found = similarity_map(one, one)
    assert found[0, 0] == pytest.approx(1)
    assert np.isnan([found[0, 1], found[1, 0], found[1, 1]]).all()
    assert kept(one, grams({"a": layer, "dead": np.ones((3, 8, 5))}, "finetuned")).value == pytest.approx(1)


def test_tiny_features_do_not_underflow():
    rng = np.random.default_rng(3)
    layer = rng.normal(size=(3, 8, 5))
    tiny = Grams(
        "set",
        "pretrained",
        tuple("abcdefghijklmnopqrstuvwx"),
        ("a",),
        grams({"a": layer}).grams_LBNN * np.float32(1e-36),
    )
    assert similarity_map(tiny, tiny)[0, 0] == pytest.approx(1)


def test_what_is_kept_lies_between_chance_and_one_and_in_its_interval():
    rng = np.random.default_rng(4)
    before = {name: rng.normal(size=(16, 32, 40)) for name in ("stem", "block")}
    after = {name: layer + rng.normal(size=layer.shape) for name, layer in before.items()}
    one, other = grams(before), grams(after, "finetuned")
    found = kept(one, other)
    assert found.value == pytest.approx(0.5, abs=0.05)  # covariances I and 2 I
    assert found.low < found.value < found.high
    assert abs(kept_by_chance(one, other)) < 0.03
    assert 0 < permutation_floor(one, other) < 0.1 < found.low


def test_layers_are_matched_by_name():
    rng = np.random.default_rng(5)
    stem, block = rng.normal(size=(2, 3, 9, 6))
    found = kept(grams({"stem": stem, "block": block}), grams({"block": block, "head": stem}, "finetuned"))
    assert found.value == pytest.approx(1)
    with pytest.raises(ValueError, match="share no layer"):
        kept(grams({"stem": stem}), grams({"block": block}, "finetuned"))


def test_other_videos_or_other_minibatches_are_not_compared():
    layer = np.random.default_rng(6).normal(size=(3, 8, 5))
    one = grams({"a": layer})
    with pytest.raises(ValueError, match="different videos"):
        similarity_map(one, grams({"a": layer}, ids=tuple(f"w{n}" for n in range(24))))
    with pytest.raises(ValueError, match="different videos"):
        similarity_map(one, grams({"a": layer.reshape(2, 12, 5)}))


def test_a_minibatch_of_three_is_too_small():
    one = grams({"a": np.ones((2, 3, 5))})
    with pytest.raises(ValueError, match="needs four"):
        similarity_map(one, one)


def test_videos_of_one_source_that_say_the_same_widen_the_interval():
    rng = np.random.default_rng(7)
    before = rng.normal(size=(2, 32, 10))
    after = before + rng.normal(size=before.shape)
    alone = kept(grams({"a": before}), grams({"a": after}, "finetuned"))
    doubled = [np.repeat(layer[:, :16], 2, axis=1) for layer in (before, after)]
    one, other = (grams({"a": layer}, model) for layer, model in zip(doubled, ("pretrained", "finetuned"), strict=True))
    pairs = kept(one, other, [str(n // 2) for n in range(64)])
    blind = kept(one, other)
    assert pairs.high - pairs.low > 1.3 * (blind.high - blind.low)
    assert pairs.high - pairs.low > alone.high - alone.low


@pytest.mark.prove
def test_the_interval_of_what_is_kept_holds_the_truth():
    rng = np.random.default_rng(8)
    held, sets = 0, 500
    for _ in range(sets):
        before = rng.normal(size=(2, 32, 10))
        one, other = grams({"a": before}), grams({"a": before + rng.normal(size=before.shape)}, "finetuned")
        found = kept(one, other)
        held += found.low <= 0.5 <= found.high
    assert 0.91 <= held / sets <= 0.985
