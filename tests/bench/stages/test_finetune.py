from dataclasses import replace

import numpy as np
import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from bench.encoder import architecture_kind, weight_hash
from bench.schema import CLEAN
from bench.stages import finetune
from bench.stages.classifier import (
    ByDepth,
    FinetunedModel,
    changed,
    depth_of_parameters,
    epochs_of,
    plan_of,
    rates_of,
    recolour,
    shuffled,
    weights_of,
)
from bench.stages.lesson import milestone_key
from bench.suites.protocol import Finetune
from bench.training import _optimiser
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


def test_a_rate_at_which_the_loss_does_not_stay_finite_is_not_taken_and_leaves_nothing_behind(tmp_path):
    card = CARD.model_copy(update={"learning_rates": (1e30, 1e-2), "search_epochs": 1})
    case = tiny_case(tmp_path, tiny_suite(finetune=Finetune(card=card, seeds=(0,))))
    rate, accuracy = finetune.choose_rate(case)
    assert rate == 1e-2
    assert accuracy > 0
    assert not list(case.training.glob("*"))
    assert finetune.choose_rate(case) == (rate, accuracy)


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
    make = finetune.lesson(case, ("train",), 0).batch
    make(7)
    late = make(2)
    early = finetune.lesson(tiny_case(tmp_path), ("train",), 0).batch(2)
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


LONG = CARD.model_copy(update={"epochs": 21})


def test_every_tenth_epoch_and_the_last_guess_from_one_view_and_the_weights_are_then_removed(tmp_path):
    case = tiny_case(tmp_path, tiny_suite(finetune=Finetune(card=LONG, seeds=(0,))))
    model = finetune.fit(case, 0)
    assert {split for split, _ in case.clips.asked} == {"train", "validation"}
    milestones = case.cache.folder / "finetuned-milestone"
    assert len(list(milestones.iterdir())) == 2
    output = finetune.run(case)
    assert [g.model for g in output.guesses] == ["", "epoch 10", "epoch 20", "epoch 21"]
    assert not list(milestones.iterdir())
    last = finetune.logits(case, model, finetune.model_key(case, 0), "test", 1)[CLEAN]
    assert np.array_equal(output.guesses[-1].ranking_NK, np.argsort(-last, axis=1, kind="stable"))
    again = finetune.run(tiny_case(tmp_path, case.suite))
    assert all(np.array_equal(a.ranking_NK, b.ranking_NK) for a, b in zip(output.guesses, again.guesses, strict=True))


def test_the_weights_of_the_tenth_epoch_are_those_of_a_training_stopped_there(tmp_path, monkeypatch):
    """With a constant rate, ten epochs of a long training are a short one."""
    monkeypatch.setattr("bench.training.Plan.rate", lambda plan, _step: plan.learning_rate)
    key = finetune.model_key(tiny_case(tmp_path, tiny_suite(card=LONG)), 0)
    long = tiny_case(tmp_path / "long", tiny_suite(card=LONG))
    finetune.fit(long, 0)
    kept = long.cache.get("finetuned-milestone", milestone_key(key, 10))
    short = finetune.fit(tiny_case(tmp_path / "short", tiny_suite(card=CARD.model_copy(update={"epochs": 10}))), 0)
    steps = finetune.lesson(long, ("train", "validation"), 0).milestones
    assert steps == {38: 10, 75: 20}  # 30 videos in batches of 8: epoch 10 ends inside step 38
    assert all(np.array_equal(kept[name], value) for name, value in weights_of(short).items())


def test_milestones_that_are_gone_are_said_not_guessed(tmp_path):
    case = tiny_case(tmp_path, tiny_suite(finetune=Finetune(card=LONG, seeds=(0,))))
    finetune.fit(case, 0)
    for file in (case.cache.folder / "finetuned-milestone").iterdir():
        file.unlink()
    output = finetune.run(case)
    assert [g.model for g in output.guesses] == [""]
    assert "not in the cache any more" in output.remarks[0]


# The two cards


class TinyTransformer(nn.Module):
    """A stem and three blocks of attention, to 8 features."""

    feature_dim = 8

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 8))
        self.stem = nn.Linear(3, 8)
        self.blocks = nn.ModuleList(Block(8, 2, drop_path=0.1) for _ in range(3))
        self.norm = nn.LayerNorm(8)

    def forward(self, clips):
        tokens = self.stem(clips.mean((3, 4)).transpose(1, 2))
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)[:, 0]

    def layers(self):
        return {"stem": self.stem, **{f"block{n}": block for n, block in enumerate(self.blocks)}}


def transformer():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return TinyTransformer()


TWO_CARDS = Finetune(
    card=CARD,
    transformer_card=CARD.model_copy(
        update={"learning_rates": (5e-3,), "layer_decay": 0.5, "drop_path": 0.2, "head_norm": False, "epochs": 12}
    ),
    seeds=(0,),
)


def test_a_network_of_matrices_takes_the_transformers_card_and_one_of_kernels_the_other(tmp_path):
    suite = tiny_suite(finetune=TWO_CARDS)
    for net, kind in ((random_tiny_net(), "convolutional"), (transformer(), "transformer")):
        case = tiny_case(tmp_path / kind, suite, net=net)
        assert architecture_kind(net) == kind
        assert finetune.card_of(case) == TWO_CARDS.card_of(kind)
    assert tiny_suite(card=CARD).finetune.card_of("transformer") == CARD


def test_a_transformer_learns_by_its_card_and_keeps_its_own_names(tmp_path):
    case = tiny_case(tmp_path, tiny_suite(finetune=TWO_CARDS), net=transformer())
    output = finetune.run(case)
    assert output.facts["card"] == "transformer"
    assert (output.guesses[0].ranking_NK[:, 0] == TRUTH).mean() > 0.6
    assert set(finetune.fit(case, 0).trunk.state_dict()) == set(transformer().state_dict())


def test_rates_fall_by_the_decay_from_the_head_to_the_stem():
    card = TWO_CARDS.transformer_card
    model = FinetunedModel(transformer(), 8, 3, card)
    depths = depth_of_parameters(model.trunk)
    assert depths["cls_token"] == depths["stem.weight"] == 0
    assert depths["blocks.0.attn.qkv.weight"] == 1
    assert depths["blocks.2.mlp.fc2.bias"] == depths["norm.weight"] == 3
    assert rates_of(model, card) == {
        "head": 1.0,
        "depth00": 0.5**4,
        "depth01": 0.5**3,
        "depth02": 0.5**2,
        "depth03": 0.5,
    }


def test_one_step_moves_every_layer_by_its_own_rate():
    card = TWO_CARDS.transformer_card.model_copy(update={"weight_decay": 0.0})
    model = FinetunedModel(transformer(), 8, 3, card)
    by_depth = ByDepth(model)
    assert {id(p) for p in by_depth.parameters()} == {id(p) for p in model.parameters()}
    optimiser = _optimiser(by_depth, plan_of(model, card, 1e-2, 10, "fp32"))
    rate = {id(p): group["multiple"] for group in optimiser.param_groups for p in group["params"]}
    assert rate[id(model.trunk.blocks[1].mlp.fc1.weight)] == 0.25
    assert rate[id(model.head[-1].weight)] == 1.0


def test_branches_are_left_out_more_often_the_later_and_only_in_training():
    model = FinetunedModel(transformer(), 8, 3, TWO_CARDS.transformer_card)
    assert [block.drop_path1.p for block in model.trunk.blocks] == [0.0, 0.1, 0.2]
    clips = torch.randn(2, 3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.trunk.eval()(clips), transformer().eval()(clips))
