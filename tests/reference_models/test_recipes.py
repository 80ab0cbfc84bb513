"""Recipes say everything about a training, and where it should land."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench.home import Home
from bench.schema import ClipSpec
from reference_models import batches, pretrain
from reference_models.augmentation import Augmentation
from reference_models.checkpoints.config import About
from reference_models.recipes.landing import Landing, Milestone
from reference_models.recipes.named import RECIPES, recipe_named
from reference_models.recipes.prp import mini_prp, paper_prp, upstream_prp
from reference_models.recipes.recipe import PAPER_AUGMENTATION, WINDOW, Recipe
from reference_models.recipes.rotnet import mini_rotnet, paper_rotnet, upstream_rotnet
from reference_models.recipes.supervised import mini_supervised
from reference_models.recipes.vcop import mini_vcop, paper_vcop, upstream_vcop

LANDING = Landing(
    metric="accuracy",
    milestones=(Milestone(10, 0.2, 0.4), Milestone(40, 0.6, 0.9)),
    downstream="retrieval recall@1 on motion",
    low=0.3,
    high=0.5,
)


def test_levels_of_complexity_are_those_of_table_13():
    assert [paper_vcop(clips).task.num_clips for clips in (3, 4, 5)] == [3, 4, 5]
    assert [paper_vcop(clips).task.span(ClipSpec()) for clips in (3, 4, 5)] == [64, 88, 112]
    assert [paper_vcop(clips).batch_size for clips in (3, 5)] == [8, 4]
    assert [len(paper_rotnet(count).task.quarter_turns) for count in (2, 3, 4)] == [2, 3, 4]
    assert [paper_prp(count).task.rates for count in (2, 3, 4)] == [(1, 2), (1, 2, 4), (1, 2, 4, 8)]


def test_the_papers_augmentation_is_the_default_and_the_authors_own_an_option():
    assert {make().augmentation for make in (paper_vcop, paper_rotnet, paper_prp)} == {PAPER_AUGMENTATION}
    assert upstream_vcop().augmentation == WINDOW
    assert upstream_rotnet().augmentation == Augmentation(rotation=10, flip=0.5)
    assert upstream_prp().augmentation == Augmentation(crop="centre")


@pytest.mark.parametrize("make", [mini_prp, paper_prp, upstream_prp])
def test_playback_rate_has_pixels_from_0_to_1(make):
    assert make().normalisation.mean == (0, 0, 0)
    assert make().normalisation.std == (1, 1, 1)


def test_steps_are_the_papers_epochs_of_its_subset():
    assert paper_rotnet().steps * 32 == 200 * 50_000
    assert paper_vcop(5).steps * 4 == 200 * 50_000


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_names_itself_and_its_task_says_what_guessing_gives(name):
    recipe = recipe_named(name)
    assert recipe.name == name
    assert About(name=recipe.title, architecture=recipe.architecture).name == recipe.title
    assert recipe.task.span(recipe.clip) >= recipe.clip.num_frames
    assert all(0 <= chance <= 1 for chance in recipe.task.chance.values())


def test_where_a_run_should_land_is_no_part_of_the_hash():
    assert replace(mini_rotnet(), landing=LANDING).hash == replace(mini_rotnet(), landing=None).hash
    assert "landing" not in replace(mini_rotnet(), landing=LANDING).settings
    assert replace(mini_rotnet(), seed=1).hash != mini_rotnet().hash
    assert replace(mini_rotnet(), augmentation=Augmentation(flip=0.4)).hash != mini_rotnet().hash


@pytest.mark.parametrize("name", [name for name in RECIPES if name.startswith("mini-")])
def test_every_mini_recipe_says_where_it_should_land(name):
    recipe = recipe_named(name)
    landing = recipe.landing
    assert landing is not None
    steps = [milestone.step for milestone in landing.milestones]
    assert len(steps) == 3
    assert steps == sorted(set(steps))
    assert steps[-1] == recipe.steps
    assert all(milestone.low < milestone.high for milestone in landing.milestones)
    assert 0 < landing.low < landing.high < 1


def test_a_run_is_in_range_if_the_mean_before_every_milestone_is():
    steps = [{"accuracy": 0.3}] * 20 + [{"accuracy": 0.8}] * 20
    assert LANDING.verdict(steps).startswith(
        "In range: accuracy 0.30 at step 10 (0.20 to 0.40); 0.80 at step 40 (0.60 to 0.90)."
    )
    assert "retrieval recall@1 on motion should be 0.30 to 0.50" in LANDING.verdict(steps)
    assert LANDING.verdict([{"accuracy": 0.3}] * 40).startswith("Out of range: accuracy 0.30 at step 10")


def test_the_log_beside_the_weights_is_what_is_compared(tmp_path):
    lines = [json.dumps({"step": 1 + n, "loss": 1.0, "accuracy": 0.3 if n < 20 else 0.7}) for n in range(40)]
    (tmp_path / "training.jsonl").write_text("\n".join(lines) + "\n")
    assert pretrain.landed(replace(mini_rotnet(), landing=LANDING), tmp_path).startswith("In range")
    assert pretrain.landed(replace(mini_rotnet(), landing=None), tmp_path) == ""


def test_ranges_do_not_hold_on_another_backbone():
    assert recipe_named("mini-vcop").landing == mini_vcop().landing is not None
    assert recipe_named("mini-vcop", "shufflenet_v1_x1").landing is None
    assert mini_supervised("shufflenet_v1_x1").landing is None


def test_a_recipe_whose_videos_must_be_brought_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"paper-vcop learns from 50,000 videos of Kinetics-400\. Name the data set"):
        batches.open_videos(paper_vcop(), Home(tmp_path), None, lambda _words, _share: None)


def test_long_videos_are_asked_for_by_name(tmp_path, monkeypatch):
    asked = []

    def stop(family, _folder, *, workers, report, long):
        asked.append((family, long))
        raise KeyboardInterrupt

    monkeypatch.setattr(batches, "embedded_pretraining", stop)
    for recipe in (mini_prp(), mini_rotnet()):
        with pytest.raises(KeyboardInterrupt):
            batches.open_videos(recipe, Home(tmp_path), None, lambda _words, _share: None)
    assert asked == [("motion", True), ("appearance", False)]


def test_what_was_drawn_reaches_the_pixels_before_the_task_sees_them():
    """Two rows that share a draw, of one still picture each: alike for the task, and all frames of a row alike."""
    seen = {}

    class Sees:
        draws = (0, 0, 1)

        def loss(self, trunk, head, batch):
            seen.update(batch)
            return torch.zeros(()), {}

    augmentation = Augmentation(rotation=10, flip=0.5, brightness=0.5, hue=0.3)
    recipe = replace(mini_rotnet(), augmentation=augmentation, task=Sees())
    assert isinstance(recipe, Recipe)
    rng = np.random.default_rng(0)
    drawn = [augmentation.draw(rng, Sees.draws, (64, 85), 56) for _ in range(2)]
    picture = rng.integers(0, 256, size=(1, 1, 1, 64, 85, 3)).astype(np.uint8)
    batch = {"clips": torch.from_numpy(np.broadcast_to(picture, (2, 3, 4, 64, 85, 3)).copy()), "target": torch.zeros(2)}
    batch |= {
        f"{batches.AUGMENT}{name}": torch.from_numpy(np.stack([one.arrays[name] for one in drawn]))
        for name in drawn[0].arrays
    }
    pretrain.task_loss(recipe, recipe.task)(pretrain.Learner(nn.Identity(), nn.Identity()), batch)
    assert set(seen) == {"clips", "target"}
    clips_BNCTHW = seen["clips"]
    assert clips_BNCTHW.shape == (2, 3, 3, 4, 56, 56)
    assert torch.equal(clips_BNCTHW[:, 0], clips_BNCTHW[:, 1])
    assert not torch.equal(clips_BNCTHW[:, 0], clips_BNCTHW[:, 2])
    assert torch.equal(clips_BNCTHW[:, :, :, :1].expand_as(clips_BNCTHW), clips_BNCTHW)
