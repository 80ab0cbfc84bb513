"""Recipes of VideoMAE and its variant: the source's numbers, and a training from files to a checkpoint."""

import json
from dataclasses import replace

import pytest
import torch

from bench.home import Home
from bench.ranks import Ranks
from bench.schema import ClipSpec
from reference_models import batches, pretrain
from reference_models.backbones import build
from reference_models.checkpoints.load import load
from reference_models.pretext.videomae import TubeMasking
from reference_models.pretext.videomae_map import TubePainting
from reference_models.recipes.named import recipe_named
from reference_models.recipes.recipe import IMAGENET
from reference_models.recipes.videomae import (
    mini_videomae,
    mini_videomae_map,
    paper_videomae,
    paper_videomae_map,
    upstream_videomae,
)
from tests.reference_models.tiny import write_video

EVERY = (mini_videomae, mini_videomae_map, paper_videomae, paper_videomae_map, upstream_videomae)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Eight videos of 12 frames, each a pattern that grows brighter."""
    folder = tmp_path_factory.mktemp("patterns")
    for number in range(8):
        write_video(folder / ("plain", "fancy")[number % 2] / f"v{number}.mp4", 12, number)
    return folder


def small(make):
    """A mini recipe on clips of four frames of 16 pixels."""
    recipe = replace(make(), clip=ClipSpec(num_frames=4, resize=(20, 24), size=16), batch_size=2, steps=3)
    if isinstance(recipe.task, TubePainting):
        return replace(recipe, architecture="mobilenet_v2_x1", task=TubePainting(tubelet=(2, 4, 4), width=4))
    return recipe


@pytest.mark.parametrize("make", [mini_videomae, mini_videomae_map], ids=lambda make: make.__name__)
def test_videos_become_a_checkpoint_that_holds_the_trunk_alone(make, videos, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "cores", lambda: 1)
    recipe = small(make)
    folder = pretrain.pretrain(
        recipe, home=Home(tmp_path / "home"), folder=tmp_path / "made", device="cpu", data=videos
    )
    trunk = load(folder).encoder.trunk
    assert set(trunk.state_dict()) == set(build(recipe.architecture).state_dict())
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert "explained" in lines[0]
    if make is mini_videomae:  # the norm behind pooling has no part in the task
        assert torch.equal(trunk.fc_norm.weight, torch.ones(128))
        started = pretrain.fresh(recipe.architecture, recipe.seed)
        assert not torch.equal(trunk.patch_embed.proj.weight, started.patch_embed.proj.weight)


def test_two_processes_hide_what_one_hides(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "cores", lambda: 1)
    recipe = small(mini_videomae)
    chosen = batches.open_videos(recipe, Home(tmp_path), videos, lambda _words, _share: None)
    whole = batches.batches(recipe, chosen)(1)
    parts = [batches.batches(recipe, chosen, Ranks(rank, 2))(1) for rank in (0, 1)]
    assert sorted(whole.tensors["mask"].tolist()) == sorted(int(part.tensors["mask"]) for part in parts)
    assert whole.tensors["mask"].dtype == torch.int64


def test_bf16_leaves_the_error_in_float32():
    torch.manual_seed(0)
    for make in (mini_videomae, mini_videomae_map):
        recipe = small(make)
        trunk = build(recipe.architecture)
        head = recipe.task.build_head(trunk, recipe.clip)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss, _ = recipe.task.loss(
                trunk, head, {"clips": torch.randn(2, 1, 3, 4, 16, 16), "mask": torch.tensor([1, 2])}
            )
        assert loss.dtype == torch.float32
        assert loss.isfinite()


def test_the_recipes_have_the_sources_numbers():
    paper, upstream = paper_videomae(), upstream_videomae()
    assert paper.task == TubeMasking(ratio=0.9, depth=4)
    assert upstream.task == TubeMasking(ratio=0.75)
    assert (paper.learning_rate, paper.betas, paper.weight_decay) == (1.5e-4, (0.9, 0.95), 0.05)
    assert upstream.learning_rate == pytest.approx(3e-4 * 192 / 256)
    for recipe in (paper, upstream):
        assert recipe.learning_rate * recipe.floor == pytest.approx(1e-5)
        assert (recipe.optimiser, recipe.schedule, recipe.clip.stride) == ("adamw", "cosine", 4)
        assert recipe.augmentation.flip == 0
    assert upstream.warm_up * 3200 == pytest.approx(40)
    assert (upstream.clip.size, upstream.batch_size) == (224, 192)


def test_another_batch_takes_its_share_of_the_rate_and_sees_as_many_videos():
    whole, half = paper_videomae(), paper_videomae(128)
    assert half.learning_rate == pytest.approx(whole.learning_rate / 2)
    assert half.steps * 128 == pytest.approx(whole.steps * 256, rel=1e-3)


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
def test_backbone_and_task_of_a_recipe_fit_and_what_is_painted_over_has_the_mean_colour(make):
    recipe = make()
    with torch.device("meta"):
        pretrain.refuse(build(recipe.architecture), recipe)
    assert recipe.normalisation == IMAGENET


def test_the_wrong_backbone_is_told_the_right_recipe():
    with pytest.raises(ValueError, match=r"mini-videomae on shufflenet_v1_x0_5: .*mini-videomae-map"):
        pretrain.refuse(build("shufflenet_v1_x0_5"), recipe_named("mini-videomae", "shufflenet_v1_x0_5"))
    with pytest.raises(ValueError, match=r"gives tokens.*mini-videomae and paper-videomae"):
        pretrain.refuse(build("videomae_vit_mini"), recipe_named("mini-videomae-map", "videomae_vit_mini"))
