"""What a recipe would cost on this machine, before it is started."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from bench.device import device_named
from bench.names import generator
from bench.stages.classifier import stacked
from bench.training import Batch, train
from reference_models.backbones import build
from reference_models.batches import AUGMENT
from reference_models.counts import cost
from reference_models.pretext.supervised import Labels
from reference_models.pretrain import Learner, fresh, plan_of, refuse, task_loss
from reference_models.recipes.recipe import Recipe

CALIBRATION_STEPS = 4
"""The first two warm up caches and kernels and are not timed."""

CALIBRATION_CLIPS = 8
"""In a timed step, about: a whole batch of a large recipe may not fit here. Time is taken to grow with the clips."""


@dataclass(frozen=True)
class Estimate:
    """Of one recipe."""

    recipe: str
    steps: int
    clips: int
    gflops_per_clip: float
    """Forward; training takes about three times that."""

    seconds: float
    """Of the training; making and decoding videos comes on top where they are not there yet."""

    device: str

    @property
    def words(self) -> str:
        """For people."""
        hours = f"{self.seconds / 3600:.1f} hours" if self.seconds > 5400 else f"{self.seconds / 60:.1f} minutes"
        total = 3 * self.gflops_per_clip * self.clips / 1e3
        return (
            f"{self.recipe}: {self.steps} steps, {self.clips:,} clips of {self.gflops_per_clip:.2f} GFLOPs forward "
            f"({total:,.1f} TFLOPs in all with the backward passes); about {hours} on this machine ({self.device})."
        )


def estimate(recipe: Recipe, device: str = "auto") -> Estimate:
    """Time a few steps on made-up videos."""
    clip = recipe.clip
    trunk = fresh(recipe.architecture, recipe.seed)
    refuse(trunk, recipe)
    with torch.device("meta"):
        macs, _ = cost(build(recipe.architecture).eval(), torch.empty(1, 3, clip.num_frames, clip.size, clip.size))
    task = Labels(recipe.task.clips_per_video, 2) if isinstance(recipe.task, Labels) else recipe.task
    num_videos = min(recipe.batch_size, max(2, CALIBRATION_CLIPS // task.clips_per_video))
    ends: list[float] = []

    def made_up(step: int) -> Batch:
        examples = []
        for at in range(num_videos):
            rng = generator("dry run", step, at)
            drawn = recipe.augmentation.draw(rng, task.draws, clip.resize, clip.size)
            frame = clip.resize if recipe.augmentation.samples else (clip.size, clip.size)
            frames_NR = task.choose_frames(task.span(clip), clip, rng)
            example = dict(task.make_example(np.arange(frames_NR.size).reshape(frames_NR.shape), rng))
            example["clips"] = rng.integers(0, 256, (*example["clips"].shape, *frame, 3), dtype=np.uint8)
            example |= {f"{AUGMENT}{name}": array for name, array in drawn.arrays.items()}
            example["labels"] = np.asarray(rng.integers(2))
            examples.append(example)
        return Batch(tuple(f"made up {at}" for at in range(num_videos)), stacked(examples))

    loss = task_loss(recipe, task)

    def timed(learner: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if where.type == "cuda":
            torch.cuda.synchronize()
        ends.append(time.monotonic())
        return loss(learner, batch)

    where = device_named(device)
    learner = Learner(trunk, task.build_head(trunk, clip))
    plan = replace(plan_of(recipe, steps=CALIBRATION_STEPS), accumulate=1)
    train(learner, timed, made_up, plan, names=("dry run",), device=where)
    ends.append(time.monotonic())
    step_s = (ends[-1] - ends[2]) / (CALIBRATION_STEPS - 2) * recipe.batch_size / num_videos
    clips = recipe.steps * recipe.batch_size * task.clips_per_video
    return Estimate(recipe.name, recipe.steps, clips, 2 * macs / 1e9, step_s * recipe.steps, str(where))
