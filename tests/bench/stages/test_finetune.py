from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.encoder import weight_hash
from bench.stages import finetune
from bench.stages.classifier import changed, epochs_of, recolour, shuffled
from bench.stages.finetune import Learning
from bench.suites.protocol import Finetune
from tests.bench.stages.tiny_case import CARD, random_tiny_net, tiny_case, tiny_suite

TRUTH = np.array([n % 3 for n in range(12)])


def hash_of(model):
    return weight_hash("fit", model.state_dict())


def test_brightness_is_learnt_and_the_guesses_name_the_class(tmp_path):
    output = finetune.run(tiny_case(tmp_path))
    assert [g.seed for g in output.guesses] == [0, 1]
    for guesses in output.guesses:
        assert (guesses.stage, guesses.dataset, guesses.model) == ("finetune", "shades", "")
        assert guesses.ranking_NK.shape == (12, 3)
        assert (guesses.ranking_NK[:, 0] == TRUTH).mean() > 0.8
    assert output.facts["learning_rate.0"] == 2e-2
    assert "validation_accuracy" not in output.facts


def test_a_fit_comes_from_the_cache_the_second_time_with_the_same_weights(tmp_path):
    case = tiny_case(tmp_path)
    first = finetune.fit_and_tell(case, 0)
    again = finetune.fit_and_tell(tiny_case(tmp_path), 0)
    assert hash_of(again.model) == hash_of(first.model)
    assert first.seconds > 0
    assert again.seconds == 0
    assert not again.model.training
    assert not list(case.training.glob("*"))


def test_seeds_differ_and_the_encoder_keeps_its_weights(tmp_path):
    case = tiny_case(tmp_path)
    before = weight_hash("net", case.encoder.trunk.state_dict())
    assert hash_of(finetune.fit(case, 0)) != hash_of(finetune.fit(case, 1))
    assert weight_hash("net", case.encoder.trunk.state_dict()) == before


def test_interrupted_and_started_again_gives_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.REPORT_EVERY_S", -1.0)
    whole = hash_of(finetune.fit(tiny_case(tmp_path / "whole"), 0))

    def stop(words, share):
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        finetune.fit(tiny_case(tmp_path / "parts", report=stop), 0)
    assert list((tmp_path / "parts" / "training").rglob("state.safetensors"))
    assert hash_of(finetune.fit(tiny_case(tmp_path / "parts"), 0)) == whole


def test_the_fit_sees_training_and_validation_videos_and_never_a_test_video(tmp_path):
    case = tiny_case(tmp_path)
    finetune.fit(case, 0)
    assert {split for split, _ in case.clips.asked} == {"train", "validation"}
    assert len(set(case.clips.asked)) == 30


def test_of_two_rates_the_one_that_is_better_on_validation_is_taken(tmp_path):
    card = CARD.model_copy(update={"learning_rates": (1e-8, 1e-2), "search_epochs": 6})
    case = tiny_case(tmp_path, tiny_suite(finetune=Finetune(card=card, seeds=(0,))))
    output = finetune.run(case)
    assert output.facts["learning_rate.0"] == 1e-2
    assert output.facts["validation_accuracy"] > 0.6
    assert not any(split == "test" for split, _ in case.clips.asked[: -2 * 12])


def test_another_encoder_has_another_fit(tmp_path):
    one = finetune.fit(tiny_case(tmp_path), 0)
    other = finetune.fit(tiny_case(tmp_path, net=random_tiny_net(5)), 0)
    assert hash_of(one) != hash_of(other)


def test_features_only_is_said_not_scored(tmp_path):
    case = tiny_case(tmp_path)

    class FeaturesOnly:
        trunk = None

    output = finetune.run(replace(case, encoder=FeaturesOnly()))
    assert output.guesses == ()
    assert "features only" in output.remarks[0]
    with pytest.raises(ValueError, match="features only"):
        finetune.untrained(replace(case, encoder=FeaturesOnly()), 0)


def test_the_head_is_what_the_card_says(tmp_path):
    case = tiny_case(tmp_path)
    norm, dropout, linear = finetune.untrained(case, 0).head
    assert (norm.affine, dropout.p, linear.out_features) == (False, 0.1, 3)
    bare = CARD.model_copy(update={"head_norm": False})
    case = tiny_case(tmp_path, tiny_suite(finetune=Finetune(card=bare)))
    assert [type(part).__name__ for part in finetune.untrained(case, 0).head] == ["Dropout", "Linear"]


def test_heads_of_one_seed_are_the_same_and_of_two_are_not(tmp_path):
    case = tiny_case(tmp_path)
    first, again, other = (finetune.untrained(case, seed).head[-1].weight for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_video_is_seen_once_an_epoch_and_every_batch_is_full():
    order = shuffled("test")
    places = [p for step in range(15) for p in order(step, 4, 10)]
    assert len(places) == 60
    for epoch in range(6):
        assert sorted(places[10 * epoch : 10 * epoch + 10]) == list(range(10))
    assert places[:10] != places[10:20]
    assert epochs_of(2, 4, 10) == [0, 0, 1, 1]


def test_a_batch_is_the_same_whenever_it_is_asked_for(tmp_path):
    case = tiny_case(tmp_path)
    make = Learning(case, ("train",), 0, CARD, 8).batch
    make(7)
    late = make(2)
    early = Learning(tiny_case(tmp_path), ("train",), 0, CARD, 8).batch(2)
    assert late.video_ids == early.video_ids
    assert all(torch.equal(late.tensors[name], early.tensors[name]) for name in late.tensors)


def test_a_clip_is_brighter_by_the_factor_and_spread_about_its_mean():
    clips = torch.full((2, 1, 2, 2, 3), 100, dtype=torch.uint8)
    clips[:, 0, 0] = 50
    plain, bright = recolour(clips, torch.tensor([0.0, 0.2]), torch.tensor([0.0, 0.0]))
    assert torch.equal(plain, clips[0].float())
    assert torch.allclose(bright, clips[1].float() * 1.2)
    flat = recolour(clips[:1], torch.tensor([0.0]), torch.tensor([-1.0]))
    assert torch.allclose(flat, torch.full_like(flat, 75))


def test_a_card_without_flip_never_mirrors_and_one_with_it_does_half_of_the_time():
    clip = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    for flip, expected in ((False, 0), (True, 0.5)):
        card = CARD.model_copy(update={"flip": flip})
        drawn = [changed(clip, card, np.random.default_rng(n))["clips"] for n in range(200)]
        mirrored = np.mean([not np.array_equal(one, clip) for one in drawn])
        assert mirrored == pytest.approx(expected, abs=0.1)
        assert all(np.array_equal(one, clip) or np.array_equal(one[:, :, ::-1], clip) for one in drawn)
