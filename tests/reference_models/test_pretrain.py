import json
import re
import shutil
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import typer
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner

from bench.cli import data as data_commands
from bench.encoder import weight_hash
from bench.home import Home
from bench.ranks import Ranks
from bench.schema import ClipSpec
from bench.training import Batch
from reference_models import batches, cli, pretrain
from reference_models.augmentation import Augmentation
from reference_models.checkpoints.load import load
from reference_models.dry_run import estimate
from reference_models.pretext.supervised import Labels
from reference_models.pretext.vcop import ClipOrder
from reference_models.pretrain import random_checkpoint
from reference_models.recipes.named import RECIPES, recipe_named
from reference_models.recipes.recipe import Recipe
from reference_models.recipes.supervised import mini_supervised
from reference_models.recipes.vcop import mini_vcop
from tests.reference_models import tiny

CLIP = ClipSpec(num_frames=4, resize=(20, 24), size=16)


class TinyNet(tiny.TinyNet):
    """For one number of frames."""

    def accepts(self, frames, height, width):
        return None if frames == 4 else f"tiny_net takes 4 frames, not {frames}"


@dataclass(frozen=True)
class Brighter:
    """Which of two clips comes first, in videos that brighten."""

    clips_per_video: int = 2
    words: str = "brighter or darker"
    family: str = "non-contrastive"
    draws: tuple[int, ...] = (0, 1)
    chance: tuple[()] = ()

    def refusal(self, trunk, clip):
        return None

    def span(self, clip):
        return 3 * clip.span

    def choose_frames(self, num_frames, clip, rng):
        start = int(rng.integers(num_frames - self.span(clip) + 1))
        return start + np.array([[0], [2 * clip.span]]) + np.arange(clip.num_frames)

    def make_example(self, places_NT, rng):
        turned = int(rng.integers(2))
        return {"clips": places_NT[::-1] if turned else places_NT, "target": np.asarray(turned)}

    def build_head(self, trunk, clip):
        return nn.Sequential(nn.BatchNorm1d(trunk.feature_dim, affine=False), nn.Linear(trunk.feature_dim, 2))

    def loss(self, trunk, head, batch):
        features = trunk(batch["clips"].flatten(0, 1)).unflatten(0, batch["clips"].shape[:2])
        logits = head(features[:, 1] - features[:, 0])
        accuracy = (logits.detach().argmax(1) == batch["target"]).float().mean()
        return functional.cross_entropy(logits, batch["target"]), {"accuracy": accuracy}


RECIPE = Recipe(
    name="test-brighter",
    title="Brighter",
    architecture="tiny_net",
    task=Brighter(),
    videos="motion",
    clip=CLIP,
    batch_size=4,
    steps=12,
    learning_rate=1e-2,
    weight_decay=0.0,
    augmentation=Augmentation(brightness=0.05, contrast=0.05, saturation=0.2),
)


@pytest.fixture(autouse=True)
def tiny_net(monkeypatch):
    tiny.list_as_tiny_net(TinyNet, monkeypatch)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brightening")
    for name in ("plain", "fancy"):
        for number in range(6):
            tiny.write_video(folder / name / f"v{number}.mp4", 24, number)
    return folder


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory):
    """Frames are decoded once for the whole file."""
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture
def home(shared_home, monkeypatch):
    monkeypatch.setattr(batches, "cores", lambda: 1)
    yield shared_home
    shutil.rmtree(shared_home.training, ignore_errors=True)


def train(home, folder, videos, recipe=RECIPE, **settings):
    path = pretrain.pretrain(recipe, home=home, folder=folder, device="cpu", data=videos, **settings)
    return load(path)


def test_a_recipe_and_videos_make_a_checkpoint_that_loads(home, videos, tmp_path):
    told = []
    loaded = train(home, tmp_path / "checkpoint", videos, report=lambda words, share: told.append(share))
    assert loaded.config.name == "Brighter"
    assert loaded.config.pretext == "brighter or darker"
    assert loaded.config.pretrained_on == (videos.name,)
    assert loaded.config.clip == CLIP
    assert told == sorted(told)
    assert told[-1] == 1.0
    card = (tmp_path / "checkpoint" / "README.md").read_text()
    assert "Trained for 12 steps of 4 videos" in card
    assert re.search(r"It took \d+\.\d minutes \(.+\)\.", card)
    lines = (tmp_path / "checkpoint" / "training.jsonl").read_text().splitlines()
    assert len(lines) == 12
    assert set(json.loads(lines[0])) == {"step", "loss", "rate", "accuracy"}
    assert not list(home.training.glob("*"))


def test_the_task_is_learnt(home, videos, tmp_path):
    recipe = replace(RECIPE, steps=100, batch_size=8, learning_rate=3e-2)
    train(home, tmp_path / "checkpoint", videos, recipe)
    lines = (tmp_path / "checkpoint" / "training.jsonl").read_text().splitlines()
    assert np.mean([json.loads(line)["accuracy"] for line in lines[-10:]]) > 0.9


def test_interrupted_and_started_again_gives_the_same_weights(home, videos, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.REPORT_EVERY_S", -1.0)
    whole = train(home, tmp_path / "whole", videos).encoder.weight_hash

    def stop(words, share):
        if share > 0.6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(home, tmp_path / "parts", videos, report=stop)
    assert not (tmp_path / "parts").exists()
    assert train(home, tmp_path / "parts", videos).encoder.weight_hash == whole


def test_a_checkpoint_that_is_there_is_not_trained_again(home, videos, tmp_path):
    first = train(home, tmp_path / "checkpoint", videos).encoder.weight_hash
    told = []
    again = train(home, tmp_path / "checkpoint", videos, report=lambda *words: told.append(words))
    assert again.encoder.weight_hash == first
    assert told[-1] == ("it is there already", 1.0)


def test_a_checkpoint_of_another_training_is_left_alone_but_for_an_older_one_in_the_homes_own_folder(
    home, videos, tmp_path
):
    other = replace(RECIPE, seed=1)
    first = train(home, tmp_path / "mine", videos).encoder.weight_hash
    with pytest.raises(ValueError, match="holds a checkpoint of another training"):
        train(home, tmp_path / "mine", videos, other)
    assert load(tmp_path / "mine").encoder.weight_hash == first

    first = train(home, home.checkpoints / "tiny", videos).encoder.weight_hash
    assert train(home, home.checkpoints / "tiny", videos, other).encoder.weight_hash != first


def test_training_moves_the_weights_of_the_random_checkpoint_of_the_same_seed(home, videos, tmp_path):
    random = load(random_checkpoint("tiny_net", 0, tmp_path / "random"))
    again = load(random_checkpoint("tiny_net", 0, tmp_path / "again"))
    other = load(random_checkpoint("tiny_net", 1, tmp_path / "other"))
    trained = train(home, tmp_path / "trained", videos, replace(RECIPE, steps=1, learning_rate=1e-12))
    assert random.encoder.weight_hash == again.encoder.weight_hash != other.encoder.weight_hash
    weights = trained.encoder.trunk.stem[0].weight
    assert torch.allclose(weights, random.encoder.trunk.stem[0].weight, atol=1e-9)
    assert random.config.pretext == ""


def test_the_supervised_task_reads_the_labels(home, videos, tmp_path):
    recipe = replace(RECIPE, task=Labels(clips_per_video=2), steps=3)
    chosen = batches.open_videos(recipe, home, videos, lambda _words, _share: None)
    assert chosen.task.num_classes == 2
    batch = batches.batches(recipe, chosen)(0)
    assert isinstance(batch, Batch)
    expected = [chosen.videos.video(video_id).label for video_id in batch.video_ids]
    assert batch.tensors["labels"].tolist() == expected
    assert batch.tensors["clips"].shape == (4, 2, 4, 16, 16, 3)
    assert train(home, tmp_path / "checkpoint", videos, recipe).config.pretext == "labels"


def test_too_short_videos_are_left_out_counted_and_refused_when_they_are_most(home, videos, tmp_path):
    mixed = shutil.copytree(videos, tmp_path / "mixed")
    for name in ("plain", "fancy"):
        tiny.write_video(mixed / name / "short.mp4", 11, 9)
    (mixed / "splits").mkdir()
    everything = sorted(path.relative_to(mixed).as_posix() for path in mixed.glob("*/*.mp4"))
    held_out = [f"{name}/v{number}.mp4" for name in ("plain", "fancy") for number in (4, 5)]
    (mixed / "splits" / "testlist01.txt").write_text("\n".join(held_out) + "\n")
    train_list = [f"{name} {1 + name.startswith('plain')}" for name in everything if name not in held_out]
    (mixed / "splits" / "trainlist01.txt").write_text("\n".join(train_list) + "\n")
    chosen = batches.open_videos(RECIPE, home, mixed, lambda _words, _share: None)
    shorts = [video_id for video_id in chosen.videos.ids if "short" in video_id]
    assert shorts == []
    long_task = replace(RECIPE, clip=CLIP.model_copy(update={"stride": 3}))
    with pytest.raises(ValueError, match="shorter than the 30 frames that brighter or darker needs"):
        batches.open_videos(long_task, home, mixed, lambda _words, _share: None)


def test_weights_at_a_milestone_are_a_checkpoint_of_their_own(home, videos, tmp_path):
    recipe = replace(RECIPE, milestones=(5, 9))
    last = train(home, tmp_path / "checkpoint", videos, recipe)
    fifth, ninth = (load(tmp_path / f"checkpoint--step-{step}") for step in (5, 9))
    assert fifth.config.name == "Brighter (step 5)"
    assert fifth.config.recipe == f"{last.config.recipe} step 5"
    assert len({one.encoder.weight_hash for one in (fifth, ninth, last)}) == 3
    short = replace(RECIPE, schedule="constant", warm_up=0.0)
    whole = train(home, tmp_path / "constant", videos, replace(short, milestones=(5,)))
    five = train(home, tmp_path / "five", videos, replace(short, steps=5))
    assert load(tmp_path / "constant--step-5").encoder.weight_hash == five.encoder.weight_hash
    assert whole.encoder.weight_hash != five.encoder.weight_hash


def test_processes_share_out_every_batch_and_see_the_same_clips_as_one(home, videos):
    chosen = batches.open_videos(RECIPE, home, videos, lambda _words, _share: None)
    alone = batches.batches(RECIPE, chosen)(3)
    shares = [batches.batches(RECIPE, chosen, Ranks(rank, 2))(3) for rank in range(2)]
    assert sorted(shares[0].video_ids + shares[1].video_ids) == sorted(alone.video_ids)
    for share in shares:
        for row, video_id in enumerate(share.video_ids):
            whole = alone.video_ids.index(video_id)
            assert all(torch.equal(share.tensors[name][row], alone.tensors[name][whole]) for name in alone.tensors)


def test_a_clip_that_the_backbone_refuses_is_said_before_any_work(home, videos, tmp_path):
    recipe = replace(RECIPE, clip=CLIP.model_copy(update={"num_frames": 8}))
    with pytest.raises(ValueError, match=r"clips of 8 x 16 x 16\. tiny_net takes 4 frames, not 8"):
        train(home, tmp_path / "checkpoint", videos, recipe)


def test_a_batch_is_the_same_whenever_it_is_asked_for(home, videos):
    chosen = batches.open_videos(RECIPE, home, videos, lambda _words, _share: None)
    make = batches.batches(RECIPE, chosen)
    make(5)
    late, early = make(2), batches.batches(RECIPE, chosen)(2)
    assert late.video_ids == early.video_ids
    assert all(torch.equal(late.tensors[name], early.tensors[name]) for name in late.tensors)


def test_every_recipe_has_its_own_hash_and_settings_are_json():
    made = [make() for make in RECIPES.values()]
    assert len({recipe.hash for recipe in made}) == len(made)
    assert [recipe.name for recipe in made] == list(RECIPES)
    assert json.loads(json.dumps(made[0].settings))["steps"] == made[0].steps


def test_the_supervised_anchor_sees_as_many_clips_in_as_many_steps():
    order, labels = mini_vcop(), mini_supervised("shufflenet_v1_x2")
    assert labels.architecture == "shufflenet_v1_x2"
    assert (labels.steps, labels.batch_size * labels.task.clips_per_video) == (
        order.steps,
        order.batch_size * order.task.clips_per_video,
    )


def test_a_wrong_recipe_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean mini-vcop"):
        recipe_named("mini_vcop")
    assert recipe_named("mini-vcop", "tiny_net").architecture == "tiny_net"


def test_a_dry_run_counts_clips_and_times_a_few_steps():
    told = estimate(RECIPE, "cpu")
    assert (told.steps, told.clips) == (12, 96)
    assert 0 < told.seconds < 60
    assert "12 steps, 96 clips" in told.words


def test_commands_print_rows_as_json():
    app = typer.Typer()
    app.command("recipes")(cli.recipes)
    app.command("other")(cli.backbones)
    result = CliRunner().invoke(app, ["recipes", "--json"])
    rows = json.loads(result.output)
    assert [row["name"] for row in rows] == list(RECIPES)


def test_weights_do_not_depend_on_the_callers_chance(tmp_path):
    torch.manual_seed(1)
    one = load(random_checkpoint("tiny_net", 0, tmp_path / "one"))
    torch.manual_seed(2)
    assert weight_hash("tiny_net", pretrain.fresh("tiny_net", 0).state_dict()) == one.encoder.weight_hash


def test_an_oracle_recovers_the_order_of_the_clips_from_their_frames():
    task, clip = ClipOrder(num_clips=3, gap=4), ClipSpec(num_frames=4)
    seen = set()
    for seed in range(60):
        rng = np.random.default_rng(seed)
        frames_NT = task.choose_frames(30, clip, rng)
        assert (np.diff(frames_NT[:, 0]) == 8).all()
        assert 0 <= frames_NT.min() <= frames_NT.max() < 30
        example = task.make_example(frames_NT, rng)
        places = example["clips"][:, 0].argsort().argsort()
        assert task.orders[int(example["target"])] == tuple(places)
        seen.add(int(example["target"]))
    assert seen == set(range(6))
    assert task.span(clip) == 20


def test_every_pair_of_clips_is_compared_and_chance_is_log_of_the_orders():
    task = ClipOrder(num_clips=4, dropout=0.0)
    head = task.build_head(TinyNet(), CLIP)
    assert list(zip(head.first, head.second, strict=True)) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    torch.manual_seed(0)
    batch = {"clips": torch.randn(16, 4, 3, 4, 8, 8), "target": torch.arange(16)}
    loss, numbers = task.loss(TinyNet(), head, batch)
    assert loss.item() == pytest.approx(np.log(24), abs=0.3)
    assert 0 <= numbers["accuracy"].item() <= 1


@pytest.mark.parametrize("queue", [3, 49])
def test_a_queue_smaller_than_a_batch_or_never_filled_is_refused_before_any_work(queue):
    task = SimpleNamespace(refusal=lambda _trunk, _clip: None, queue=queue)
    with pytest.raises(ValueError, match=f"keeps {queue} keys of other videos, and sees 4 videos a step, 48 in all"):
        pretrain.refuse(TinyNet(), replace(RECIPE, task=task))
    pretrain.refuse(TinyNet(), replace(RECIPE, task=SimpleNamespace(refusal=lambda _trunk, _clip: None, queue=48)))


def test_a_stream_gives_the_weights_of_a_store_and_keeps_no_frames(home, videos, tmp_path):
    said = []
    other = Home(tmp_path / "home")
    streamed = train(other, tmp_path / "streamed", videos, stream=True, say=said.append)
    stored = train(home, tmp_path / "stored", videos)
    assert streamed.encoder.weight_hash == stored.encoder.weight_hash
    assert streamed.config == stored.config
    assert not list(other.frames.rglob("*.npy"))
    (words,) = said
    assert "Nothing of them is stored; a frame store would take about 0.0 GB" in words


@pytest.fixture
def named(videos, tmp_path, monkeypatch):
    """The front door's pretrain with the tests' recipe, and the same videos as a data set that has lists."""
    (tmp_path / "classes.txt").write_text("plain\nfancy\n")
    lines = [f"{name}/v{number}.mp4 {name}\n" for name in ("plain", "fancy") for number in range(6)]
    (tmp_path / "train.txt").write_text("".join(lines))
    monkeypatch.setenv("REELPROOF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("reference_models.recipes.named.recipe_named", lambda _name, _architecture: RECIPE)
    app = typer.Typer()
    app.command("pretrain")(cli.pretrain)
    app.add_typer(data_commands, name="data")
    lists = ["--root", str(videos), "--annotations", str(tmp_path / "train.txt")]

    def call(*words):
        result = CliRunner().invoke(app, list(map(str, words)))
        if result.exception:
            raise result.exception
        return result.output

    return SimpleNamespace(call=call, lists=lists)


def test_a_data_set_is_taken_by_name_and_a_subset_of_it_by_its_manifest(named, tmp_path):
    manifest, (whole, few) = tmp_path / "few.json", (tmp_path / "whole", tmp_path / "few")
    named.call("data", "subset", "lists", *named.lists, "--size", 8, "-o", manifest)
    named.call("pretrain", "tiny", "--videos", "lists", *named.lists, "--out", whole)
    named.call("pretrain", "tiny", "--videos", "lists", *named.lists, "--subset", manifest, "--out", few)
    assert "out of 12 in train" in (whole / "README.md").read_text()
    assert "out of 8 in train 8" in (few / "README.md").read_text()
    assert load(whole).config.licence == load(few).config.licence == ""
    assert load(whole).encoder.weight_hash != load(few).encoder.weight_hash


def test_where_the_videos_come_from_is_said_once(named, videos, tmp_path):
    with pytest.raises(ValueError, match="either --data or --videos"):
        named.call("pretrain", "tiny", "--videos", "lists", "--data", videos)
    with pytest.raises(ValueError, match="name it with --videos"):
        named.call("pretrain", "tiny", "--data", videos, "--subset", tmp_path / "few.json")
    with pytest.raises(ValueError, match="say where kinetics400 lies"):
        named.call("pretrain", "tiny", "--videos", "kinetics400")
