"""What pretraining costs beside the network: clips a second of every task, against the bare backbone.

    python -m benchmarks.pretrain [--quick] [--json] [--only TASK]

Embedded videos are made here and decoded into a frame store. For every task of the `mini-*` recipes and two backbones,
R(2+1)D-10 and a ShuffleNet half as wide as the common one, by the clock, median of the steps, one thread inside torch. The
arms are measured in turn, a few steps at a time, so that what else goes on in the machine falls on all of them:

- bare: the network alone, on random clips, in the very passes that a step of the task makes through it: as many clips in as
  many calls, forward and backward where it learns, forward alone where the slow copy of TDL and RSPNet makes keys. A method's
  own passes through the network are the network's price, not that of data or head;
- learning: the same without the slow copy's passes: forward and backward of the clips that are learnt from, in one call;
- task: forward and backward of all that the task trains or asks (trunk, head, the decoder of playback rate and VideoMAE, the
  slow copy), on a batch that is read and augmented already;
- store: whole steps of the one training loop, which reads clips from the store, augments them, asks the task, updates;
- stream: the same, every video decoded from its file when it is needed (ShuffleNet only).

VideoMAE shows its transformer a part of a clip's tokens; its bare arms are given whole clips.

Speed is counted in clips that are learnt from, in every arm, so that shares are shares of time. Three are printed. Lost is
1 - store / bare, which has a promise; lost against learning alone is 1 - store / learning; lost to data, augmentation and the
loop is 1 - store / task, and what lies between the first and the last is what the method computes beside its passes.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from bench.names import generator
from bench.training import Loss, keep_large_buffers, train
from bench.video.datasets.embedded import video_set
from bench.video.embedded.encode import encode
from bench.video.embedded.sets import EmbeddedSet, Family, path_of, render
from bench.video.frame_store import FrameStore, build_store, open_stream
from bench.video.index import VideoSet
from reference_models.batches import Chosen, batches, readied_ahead
from reference_models.pretext.momentum import MomentumEncoder
from reference_models.pretext.supervised import Labels
from reference_models.pretext.task import Task
from reference_models.pretrain import Learner, fresh, plan_of, task_loss
from reference_models.recipes.named import RECIPES
from reference_models.recipes.recipe import Recipe

NUM_VIDEOS = 8
WARM_UP = 1
"""Steps that are not timed, whenever an arm has its turn."""

ROUNDS = 3
"""Turns of every arm, unless the run is to be quick."""

SHUFFLENET, R2PLUS1D = "shufflenet_v1_x0_5", "r2plus1d_10"
PROMISES = {SHUFFLENET: 0.25, R2PLUS1D: 0.15}
"""The share of the bare network's speed that may be lost."""

ARMS = ("store", "task", "bare", "learning", "stream")

SHARES = {"lost against learning alone": "learning", "lost to data, augmentation, loop": "task"}
"""What else is printed, and against which arm."""


def on(recipe: Recipe, architecture: str, batch_size: int) -> Recipe:
    """The recipe on this backbone, or on its own where the task refuses it."""
    refused = recipe.task.refusal(fresh(architecture, 0), recipe.clip)
    return replace(recipe, architecture=recipe.architecture if refused else architecture, batch_size=batch_size)


def made(name: str, folder: Path, recipe: Recipe) -> tuple[VideoSet, FrameStore]:
    """A few videos of the set that the recipe learns from, as files and as frames."""
    family, _, long = name.partition("-")
    whole = EmbeddedSet(cast(Family, family), "pretrain-long" if long else "pretrain")
    videos = video_set(whole.family, whole.split, folder)
    some = videos.only(list(videos.ids[:NUM_VIDEOS]))
    for video_id in some.ids:
        path = path_of(folder, video_id)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            encode(render(video_id), path)
    return some, build_store(some, resize=recipe.clip.resize, folder=folder / "frames")


class Pass(NamedTuple):
    """One call of the network in a step."""

    clips: int
    learns: bool
    """Forward and backward; otherwise forward alone."""


@dataclass
class Overheard:
    """Stands where a task does, and keeps what the task was last asked and which passes it made."""

    task: Task
    asked: tuple[nn.Module, nn.Module, dict[str, Tensor]] | None = None
    passes: tuple[Pass, ...] = ()

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The task's own."""
        self.asked = (trunk, head, dict(batch))
        copies = [part.trunk for part in head.modules() if isinstance(part, MomentumEncoder)]
        with passes_of(trunk, *copies) as made:
            found = self.task.loss(trunk, head, batch)
        self.passes = tuple(made)
        return found

    def again_s(self, steps: int) -> list[float]:
        """Seconds of forward and backward passes on what it was last asked."""
        assert self.asked is not None, "a step was made before"
        trunk, head, batch = self.asked
        for module in (trunk, head):
            module.train()  # the loop has left them in eval mode

        def once() -> None:
            for module in (trunk, head):
                module.zero_grad(set_to_none=True)
            self.task.loss(trunk, head, dict(batch))[0].backward()

        return steps_s(once, steps)


@contextlib.contextmanager
def passes_of(*networks: nn.Module) -> Iterator[list[Pass]]:
    """The passes that are made through these networks, in order."""
    made: list[Pass] = []

    def overhear(own: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward_features(clips_BCTHW: Tensor) -> Tensor:
            made.append(Pass(len(clips_BCTHW), torch.is_grad_enabled()))
            return own(clips_BCTHW)

        return forward_features

    for network in networks:
        network.forward_features = overhear(network.forward_features)  # type: ignore[assignment,arg-type]
    yield made
    for network in networks:
        del network.forward_features


def steps_s(once: Callable[[], None], steps: int) -> list[float]:
    """Seconds of so many calls, with as many threads as the training loop takes."""
    times = []
    keep_large_buffers()
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads <= 2 else threads)
    for _ in range(WARM_UP + steps):
        begun = time.perf_counter()
        once()
        times.append(time.perf_counter() - begun)
    torch.set_num_threads(threads)
    return times[WARM_UP:]


def whole_steps_s(recipe: Recipe, chosen: Chosen, task: Overheard, steps: int) -> list[float]:
    """Seconds of steps of the training loop."""
    ends: list[float] = []
    loss = task_loss(recipe, cast(Task, task))

    def timed(learner: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        ends.append(time.perf_counter())
        return loss(learner, batch)

    trunk = fresh(recipe.architecture, 0)
    learner = Learner(trunk, chosen.task.build_head(trunk, recipe.clip))
    train(
        learner,
        cast(Loss, timed),
        readied_ahead(recipe, batches(recipe, chosen)),
        plan_of(recipe, WARM_UP + steps),
        names=("benchmark",),
        device=torch.device("cpu"),
    )
    ends.append(time.perf_counter())
    return [after - before for before, after in pairwise(ends[WARM_UP:])]


def bare_steps_s(recipe: Recipe, passes: Sequence[Pass], steps: int) -> list[float]:
    """Seconds of these passes through the network alone, with as many threads as the training loop takes."""
    clip, most = recipe.clip, max(one.clips for one in passes)
    clips = torch.from_numpy(
        generator("benchmark").normal(size=(most, clip.num_frames, clip.size, clip.size, 3)).astype(np.float32)
    ).permute(0, 4, 1, 2, 3)
    trunk = fresh(recipe.architecture, 0).to(memory_format=torch.channels_last_3d).train()  # type: ignore[call-overload]

    def once() -> None:
        trunk.zero_grad(set_to_none=True)
        learnt = torch.zeros(())
        for one in passes:
            with torch.set_grad_enabled(one.learns):
                total = trunk(clips[: one.clips]).sum()
            learnt = learnt + total
        learnt.backward()

    return steps_s(once, steps)


def measured(recipe: Recipe, folder: Path, steps: int, rounds: int, *, stream: bool) -> list[dict[str, Any]]:
    """Clips a second of all arms of a recipe."""
    videos, store = made(recipe.videos, folder, recipe)
    task = replace(recipe.task, num_classes=len(videos.class_names)) if isinstance(recipe.task, Labels) else recipe.task
    chosen = Chosen(recipe.videos, task, videos, store, 0)
    clips = recipe.batch_size * task.clips_per_video
    asked = Overheard(task)
    in_one_call = (Pass(clips, learns=True),)
    seconds: dict[str, list[float]] = {arm: [] for arm in ARMS if stream or arm != "stream"}
    for _ in range(rounds):
        seconds["store"] += whole_steps_s(recipe, chosen, asked, steps)
        seconds["task"] += asked.again_s(steps)
        passes = asked.passes or in_one_call
        bare = bare_steps_s(recipe, passes, steps)
        seconds["bare"] += bare
        seconds["learning"] += bare if passes == in_one_call else bare_steps_s(recipe, in_one_call, steps)
        if stream:
            files = open_stream(videos, resize=recipe.clip.resize, folder=folder / "frames")
            seconds["stream"] += whole_steps_s(recipe, replace(chosen, store=files), Overheard(task), steps)
    return [
        {
            "task": recipe.name.removeprefix("mini-"),
            "backbone": recipe.architecture,
            "arm": arm,
            "clips_per_s": clips / median(of_steps),
        }
        for arm, of_steps in seconds.items()
    ]


def ratios(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The shares lost, by task and backbone."""
    speed = {(row["task"], row["backbone"], row["arm"]): row["clips_per_s"] for row in rows}
    shares = {}
    for (task, backbone, arm), whole in speed.items():
        if arm == "store":
            promise = f" (at most {PROMISES[backbone]})" if backbone in PROMISES else ""
            for words, against in ((f"lost{promise}", "bare"), *SHARES.items()):
                shares[f"{task} on {backbone}: {words}"] = 1 - whole / speed[task, backbone, against]
    return shares


def main(arguments: Sequence[str]) -> None:
    """Run, and print a table or JSON."""
    parser = argparse.ArgumentParser(description="What pretraining costs beside the network.")
    parser.add_argument("--quick", action="store_true", help="under 40 s")
    parser.add_argument("--json", action="store_true", help="print the rows, and nothing else")
    parser.add_argument("--only", default="", help="one task, such as vcop")
    settings = parser.parse_args(arguments)
    recipes = [make() for name, make in RECIPES.items() if name.startswith(f"mini-{settings.only}")]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        for recipe in recipes:
            small = on(recipe, SHUFFLENET, 4 if settings.quick else recipe.batch_size)
            steps, rounds = (3, 1) if settings.quick else (8, ROUNDS)
            rows += measured(small, Path(name), steps, rounds, stream=not settings.quick)
        for recipe in recipes[:1] if settings.quick else recipes:
            large = on(recipe, R2PLUS1D, 1 if settings.quick else 2)
            if large.architecture == R2PLUS1D:
                steps, rounds = (1, 1) if settings.quick else (2, ROUNDS)
                rows += measured(large, Path(name), steps, rounds, stream=False)
    if settings.json:
        print(json.dumps({"rows": rows, "ratios": ratios(rows)}))
        return
    for row in rows:
        print(f"{row['task']:<14}{row['backbone']:<22}{row['arm']:<8}{row['clips_per_s']:7.1f} clips/s")
    print()
    for what, ratio in ratios(rows).items():
        print(f"{what}: {ratio:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
