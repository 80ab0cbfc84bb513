"""Pretraining: a recipe and videos in, a checkpoint folder out.

The same loop as finetuning and distillation (`bench.training`). The head is thrown away. A run that was cut off goes on
where it was; a run whose checkpoint is there already returns it.

What is learnt from, and how it becomes batches, is in `batches`.
"""

import json
import math
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.cores import cores
from bench.environment import environment
from bench.home import Home
from bench.names import seed_of
from bench.ranks import ranks_here
from bench.schema import content_hash
from bench.training import Loss, Plan, Report, TrainingLog, train
from bench.unfinished import Kept
from bench.video.frame_store import Say, log_it
from bench.video.index import VideoSet
from reference_models.backbones import build
from reference_models.batches import Chosen, batches, open_videos, readied, readied_ahead
from reference_models.checkpoints.config import CONFIG, About, CheckpointConfig
from reference_models.checkpoints.save import save
from reference_models.pretext.task import Task
from reference_models.recipes.recipe import Recipe

LICENCE = "Apache-2.0"
LOG = "training.jsonl"
"""Beside the weights: what every step logged."""

VERSION = 3
"""Raised when the way from recipe to weights changes."""


class Learner(nn.Module):
    """Trunk and head, to be trained together."""

    def __init__(self, trunk: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = head


def pretrain(
    recipe: Recipe,
    *,
    home: Home,
    folder: Path,
    device: str = "auto",
    report: Report = lambda _words, _share: None,
    data: Path | VideoSet | None = None,
    stream: bool = False,
    say: Say = log_it,
) -> Path:
    """Train a backbone on a recipe's task and write its checkpoint folder.

    Args:
        recipe: Everything about the training.
        home: Where videos, frames and unfinished trainings lie.
        folder: Of the checkpoint. In the home's own folder of checkpoints an older one of this name is replaced.
        device: `cpu`, `cuda` or `auto`.
        report: Progress; may raise to stop, nothing is lost.
        data: Videos instead of the recipe's: a set, or a folder of somebody's own, of which the training split is used.
        stream: Store no frames: every clip is decoded anew, to the same weights.
        say: Told, before the work, how much will be written and where.

    Raises:
        ValueError: If the folder holds a checkpoint of another training, the videos are too short for the task, the
            backbone refuses the clip, the loss is not finite, or the disk is full.
    """
    ranks, where = ranks_here(device)
    trunk = fresh(recipe.architecture, recipe.seed)
    refuse(trunk, recipe)
    if not ranks.first:
        ranks.wait()  # the first makes videos and frames, the others find them
    chosen = open_videos(
        recipe,
        home,
        data,
        lambda words, share: report(words, 0.1 * share),
        stream=stream,
        say=say if ranks.first else log_it,
    )
    if ranks.first:
        ranks.wait()
    key = {"recipe": recipe.settings, "videos": chosen.digest, "version": VERSION, "processes": ranks.count}
    signature = f"{recipe.name} {content_hash(key)[:12]}"
    if _stands(folder, signature, replaceable=folder.parent == home.checkpoints):
        report("it is there already", 1.0)
        return folder

    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("pretrain", recipe.name, recipe.seed, "head"))
        head = chosen.task.build_head(trunk, recipe.clip)
    about = About(
        name=recipe.title,
        architecture=recipe.architecture,
        normalisation=recipe.normalisation,
        clip=recipe.clip,
        pretext=recipe.task.words,
        family=recipe.task.family,
        pretrained_on=(chosen.name,),
        recipe=signature,
        licence=LICENCE if data is None else "",
    )

    def milestone(step: int) -> None:
        if ranks.first:
            words = {"name": f"{recipe.title} (step {step})", "recipe": f"{signature} step {step}"}
            so_far = about.model_copy(update=words)
            save(folder.with_name(f"{folder.name}--step-{step}"), trunk, so_far)

    kept = Kept(home.training / f"pretrain-{content_hash(key)[:24]}", key)
    log_file = kept.folder / LOG
    make_batch = batches(recipe, chosen, ranks)
    log = train(
        Learner(trunk, head),
        task_loss(recipe, chosen.task),
        readied_ahead(recipe, make_batch) if where.type == "cpu" else make_batch,
        plan_of(recipe),
        names=("pretrain", recipe.name, recipe.seed),
        device=where,
        report=lambda words, share: report(words, 0.1 + 0.9 * share),
        kept=kept,
        log_file=log_file,
        milestones={step: partial(milestone, step) for step in recipe.milestones},
        clips_per_video=chosen.task.clips_per_video,
        ranks=ranks,
    )
    if ranks.first:
        save(
            folder,
            trunk.cpu(),
            about,
            story=story(recipe, chosen, log, cost(recipe, log, where, ranks.count)),
            files=(log_file,),
        )
        log_file.unlink()
        kept.forget()
    ranks.wait()
    return folder


def landed(recipe: Recipe, folder: Path) -> str:
    """Whether the run behind this checkpoint is where the recipe says; empty if the recipe says nothing."""
    steps = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return recipe.landing.verdict(steps) if recipe.landing else ""


def random_checkpoint(architecture: str, seed: int, folder: Path) -> Path:
    """A checkpoint of a network as it is initialised: where the scale begins."""
    about = About(
        name=f"Random initialisation ({architecture})",
        architecture=architecture,
        recipe=f"random initialisation, seed {seed}",
        licence=LICENCE,
    )
    return save(folder, fresh(architecture, seed), about)


def fresh(architecture: str, seed: int) -> nn.Module:
    """A backbone as it is initialised under this seed, the caller's chance untouched."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("initialisation", architecture, seed))
        return build(architecture)


def refuse(trunk: nn.Module, recipe: Recipe) -> None:
    """Ask backbone and task before any work is done."""
    clip = recipe.clip
    if refusal := trunk.accepts(clip.num_frames, clip.size, clip.size):  # type: ignore[operator]
        raise ValueError(f"{recipe.name} has clips of {clip.num_frames} x {clip.size} x {clip.size}. {refusal}.")
    if refusal := recipe.task.refusal(trunk, clip):
        raise ValueError(f"{recipe.name} on {recipe.architecture}: {refusal}")
    queue = getattr(recipe.task, "queue", 0)
    if queue and not recipe.batch_size <= queue <= recipe.steps * recipe.batch_size:
        raise ValueError(
            f"{recipe.name} keeps {queue} keys of other videos, and sees {recipe.batch_size} videos a step, "
            f"{recipe.steps * recipe.batch_size} in all. Take a queue that holds a batch at least and can be filled once."
        )


def task_loss(recipe: Recipe, task: Task) -> Loss:
    """Augmentation and normalisation where they are still to be done, then the task's own loss."""

    def loss(learner: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        assert isinstance(learner, Learner), "made by pretrain"
        ready = readied(recipe, batch) if batch["clips"].dtype == torch.uint8 else batch
        return task.loss(learner.trunk, learner.head, ready)

    return loss


def plan_of(recipe: Recipe, steps: int | None = None) -> Plan:
    """The recipe as the loop wants it."""
    return Plan(
        steps=steps or recipe.steps,
        optimiser=recipe.optimiser,
        learning_rate=recipe.learning_rate,
        schedule=recipe.schedule,
        drops=recipe.drops,
        floor=recipe.floor,
        betas=recipe.betas,
        accumulate=recipe.accumulate,
        weight_decay=recipe.weight_decay,
        warm_up=recipe.warm_up,
        rates={"head": recipe.head_rate},
        clip_gradient=recipe.clip_gradient,
        precision=recipe.precision,
    )


def cost(recipe: Recipe, log: TrainingLog, device: torch.device, processes: int) -> str:
    """Minutes and machine, in a sentence; empty where an earlier process trained to the end."""
    if not log.seconds_per_step:
        return ""
    machine = environment(device.type)
    where = machine.accelerator or f"{machine.cpu}, {cores()} cores"
    several = f"{processes} processes, each on " if processes > 1 else ""
    apart = " Batch statistics, negatives and queues were each process's own." if processes > 1 else ""
    return f"It took {log.seconds_per_step * recipe.steps / 60:.1f} minutes ({several}{where}).{apart}"


def story(recipe: Recipe, chosen: Chosen, log: TrainingLog, cost: str) -> str:
    """What happened, for the model card."""
    left_out = f" ({chosen.too_short} more were too short or unreadable)" if chosen.too_short else ""
    together = ", the videos of a source together" if recipe.batches == "by_source" else ""
    milestones = [round(share * (recipe.steps - 1)) for share in (0, 0.5, 1)]
    numbers = [name for name in log.columns if name != "rate"]
    table = [
        f"| Step | {' | '.join(numbers)} |",
        f"|---|{'---|' * len(numbers)}",
        *(
            f"| {at + 1} | " + " | ".join(f"{_around(log.columns[name], at):.3f}" for name in numbers) + " |"
            for at in milestones
        ),
    ]
    return (
        f"Trained for {recipe.steps} steps of {recipe.batch_size} videos{together}, out of {len(chosen.videos)} in "
        f"{chosen.name}{left_out}. {cost} Means over the steps around it:\n\n" + "\n".join(table) + "\n\n"
        f"Every step is in `{LOG}`.\n"
    )


def _around(values: list[float], at: int, reach: int = 5) -> float:
    near = values[max(0, at - reach) : at + reach + 1]
    return math.fsum(near) / len(near)


def _stands(folder: Path, signature: str, *, replaceable: bool) -> bool:
    """Whether the checkpoint of this very training is there."""
    path = folder / CONFIG
    if not path.exists():
        return False
    there = CheckpointConfig.model_validate_json(path.read_bytes()).recipe
    if there != signature and not replaceable:
        raise ValueError(
            f"{folder} holds a checkpoint of another training ({there or 'of no recipe'}; this one is {signature}). "
            "Name another folder, or remove that one."
        )
    return there == signature
