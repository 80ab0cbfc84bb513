"""Recipes of CVRL, TDL and RSPNet: the sources' numbers, queues that fill, and a training from files to a checkpoint."""

import json
from dataclasses import replace

import pytest
import torch

from bench.home import Home
from bench.schema import ClipSpec
from reference_models import batches, pretrain
from reference_models.augmentation import Augmentation
from reference_models.checkpoints.load import load
from reference_models.recipes.cvrl import mini_cvrl, paper_cvrl, upstream_cvrl
from reference_models.recipes.recipe import PAPER_AUGMENTATION
from reference_models.recipes.rspnet import mini_rspnet, paper_rspnet, upstream_rspnet
from reference_models.recipes.tdl import mini_tdl, paper_tdl, upstream_tdl
from tests.reference_models.tiny import TinyNet, list_as_tiny_net, write_video

MINI = {recipe.name: recipe for recipe in (mini_cvrl(), mini_tdl(), mini_rspnet())}
WITH_QUEUE = (mini_tdl(), mini_rspnet(), paper_tdl(), paper_rspnet(), upstream_tdl(), upstream_rspnet())


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Six videos of 24 grey frames that grow brighter, each with a pattern."""
    folder = tmp_path_factory.mktemp("brightening")
    for number in range(6):
        write_video(folder / ("plain", "fancy")[number % 2] / f"v{number}.mp4", 24, number)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def tiny_net(monkeypatch):
    list_as_tiny_net(TinyNet, monkeypatch)
    monkeypatch.setattr(batches, "cores", lambda: 1)


def tiny(name):
    """A mini recipe on clips of four frames, with everything that can be drawn."""
    recipe = MINI[name]
    small = {setting: size for setting, size in (("queue", 8), ("least_shift", 4)) if hasattr(recipe.task, setting)}
    return replace(
        recipe,
        architecture="tiny_net",
        task=replace(recipe.task, **small),
        clip=ClipSpec(num_frames=4, resize=(20, 24), size=16),
        augmentation=Augmentation(
            crop="resized", flip=0.5, hue=0.1, grayscale=0.2, blur=(1.0, 0.1), solarise=(0.0, 0.2)
        ),
        batch_size=4,
        steps=3,
    )


@pytest.mark.parametrize("name", MINI)
def test_videos_become_a_checkpoint_that_holds_the_trunk_alone(name, home, videos, tmp_path):
    recipe = tiny(name)
    folder = pretrain.pretrain(recipe, home=home, folder=tmp_path / name, device="cpu", data=videos)
    loaded = load(folder)
    assert loaded.config.family == "contrastive"
    assert loaded.config.pretext == recipe.task.words
    assert set(loaded.encoder.trunk.state_dict()) == set(TinyNet().state_dict())
    lines = [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert set(recipe.task.chance) <= set(lines[0])
    assert "3 steps of 4 videos, the videos of a source together, out of" in (folder / "README.md").read_text()


def test_videos_too_short_for_the_task_are_refused(home, videos, tmp_path):
    recipe = replace(tiny("mini-rspnet"), clip=ClipSpec(num_frames=16, resize=(20, 24), size=16))
    with pytest.raises(ValueError, match="shorter than the 32 frames that relative speed perception needs"):
        pretrain.pretrain(recipe, home=home, folder=tmp_path / "none", device="cpu", data=videos)


@pytest.mark.parametrize("recipe", WITH_QUEUE, ids=lambda recipe: recipe.name)
def test_a_queue_takes_a_batch_and_is_filled_early(recipe):
    assert recipe.batch_size <= recipe.task.queue
    assert recipe.task.queue <= recipe.steps * recipe.batch_size / 5


def test_the_papers_recipes_have_the_sources_numbers():
    cvrl, tdl, rspnet = paper_cvrl(), paper_tdl(), paper_rspnet()
    assert (cvrl.batch_size, cvrl.learning_rate, cvrl.weight_decay) == (1024, 0.32, 1e-6)
    assert (tdl.batch_size, tdl.learning_rate, tdl.weight_decay, tdl.task.queue) == (16, 0.003, 1e-4, 500)
    assert (rspnet.batch_size, rspnet.learning_rate, rspnet.weight_decay, rspnet.task.queue) == (128, 0.1, 1e-4, 16384)
    assert [recipe.clip.stride for recipe in (cvrl, tdl, rspnet)] == [2, 4, 1]
    assert all(recipe.optimiser == "sgd" and recipe.clip.size == 112 for recipe in (cvrl, tdl, rspnet))


def test_a_smaller_batch_takes_its_share_of_the_rate_and_sees_as_many_videos():
    whole, eighth = paper_cvrl(), paper_cvrl(batch_size=128)
    assert eighth.learning_rate == pytest.approx(whole.learning_rate / 8)
    assert eighth.steps * 128 == pytest.approx(whole.steps * 1024, rel=1e-3)


def test_the_sources_augmentation_blurs_the_first_view_and_inverts_the_second():
    assert upstream_cvrl().augmentation.blur == (1.0, 0.1)
    assert upstream_cvrl().augmentation.solarise == (0.0, 0.2)


def test_the_paper_adds_grayscale_and_gamma_to_its_list():
    assert replace(paper_cvrl().augmentation, grayscale=0.0, gamma=None, gamma_probability=1.0) == PAPER_AUGMENTATION
    assert paper_cvrl().augmentation.grayscale > 0
    assert paper_cvrl().augmentation.gamma


@pytest.mark.parametrize("name", MINI)
def test_bf16_leaves_similarities_in_float32(name):
    torch.manual_seed(0)
    recipe = tiny(name)
    trunk = TinyNet()
    head = recipe.task.build_head(trunk, recipe.clip)
    batch = {
        "clips": torch.randn(4, len(recipe.task.draws), 3, 4, 16, 16),
        "blended": torch.zeros(4, dtype=torch.int64),
    }
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss, _ = recipe.task.loss(trunk, head, batch)
    assert loss.dtype == torch.float32
    assert loss.isfinite()
