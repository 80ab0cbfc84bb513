"""Pretraining: a recipe and videos in, a checkpoint folder out.

The same loop as finetuning and distillation (`bench.training`). The head is thrown away. A run that was cut off goes on
where it was; a run whose checkpoint is there already returns it.

Shapes: B videos of a batch, N rows of a video, R frames of a row, H W rows and columns, C colours.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.cores import cores
from bench.encoder import normalise
from bench.environment import environment
from bench.home import Home
from bench.names import generator, seed_of
from bench.ranks import ALONE, Ranks, ranks_here
from bench.schema import content_hash
from bench.stages.classifier import epochs_of, shuffled, stacked
from bench.training import Batch, Kept, Loss, MakeBatch, Plan, Report, TrainingLog, train
from bench.video.datasets.embedded import embedded_pretraining
from bench.video.datasets.own import own_videos
from bench.video.embedded.sets import Family
from bench.video.frame_list import FrameReader
from bench.video.frame_store import Say, build_store, log_it, open_stream
from bench.video.index import VideoSet
from reference_models.augmentation import Cut, augmented
from reference_models.backbones import build
from reference_models.by_source import by_source
from reference_models.checkpoints.config import CONFIG, About, CheckpointConfig
from reference_models.checkpoints.save import save
from reference_models.pretext.supervised import Labels
from reference_models.pretext.task import Task
from reference_models.recipes.recipe import Recipe

LICENCE = "Apache-2.0"
AUGMENT = "augment "
"""Before the names of what was drawn for the augmentation, in a batch."""

LOG = "training.jsonl"
"""Beside the weights: what every step logged."""

VERSION = 2
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
    data: Path | None = None,
    stream: bool = False,
    say: Say = log_it,
) -> Path:
    """Train a backbone on a recipe's task and write its checkpoint folder.

    Args:
        recipe: Everything about the training.
        home: Where videos, frames and unfinished trainings lie.
        folder: Of the checkpoint.
        device: `cpu`, `cuda` or `auto`.
        report: Progress; may raise to stop, nothing is lost.
        data: A folder of somebody's own videos, whose training split is used instead of the recipe's videos.
        stream: Store no frames: every clip is decoded anew, to the same weights.
        say: Told, before the work, how much will be written and where.

    Raises:
        ValueError: If the videos are too short for the task, the backbone refuses the clip, the loss is not finite, or
            the disk is full.
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
    if _stands(folder, signature):
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
    log = train(
        Learner(trunk, head),
        task_loss(recipe, chosen.task),
        batches(recipe, chosen, ranks),
        plan_of(recipe),
        names=("pretrain", recipe.name, recipe.seed),
        device=where,
        report=lambda words, share: report(words, 0.1 + 0.9 * share),
        kept=kept,
        log_file=log_file,
        milestones={step: partial(milestone, step) for step in recipe.milestones},
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


@dataclass(frozen=True)
class Chosen:
    """The videos that are learnt from."""

    name: str
    task: Task
    """As the recipe has it, told the number of classes where it asks for them."""

    videos: VideoSet
    store: FrameReader
    too_short: int

    @property
    def digest(self) -> str:
        """Over who they are and their frames."""
        return content_hash({"manifest": self.videos.manifest_hash, "frames": self.store.digest})


def open_videos(
    recipe: Recipe, home: Home, data: Path | None, report: Report, *, stream: bool = False, say: Say = log_it
) -> Chosen:
    """Make or find the recipe's videos and their frames; leave out what is too short for the task."""
    if data is None:
        family, _, long = recipe.videos.partition("-")
        if family not in get_args(Family):
            raise ValueError(f"{recipe.name} learns from {recipe.videos}. Give the folder of its videos with --data.")
        videos = embedded_pretraining(
            family,
            home.videos,
            workers=cores(),
            report=lambda words, share: report(words, share / 2),
            long=long == "long",
        )
        name = recipe.videos
    else:
        videos = own_videos(data, home.videos, lambda words, share: report(words, share / 2)).train
        name = data.name
    store: FrameReader = (open_stream if stream else build_store)(
        videos,
        resize=recipe.clip.resize,
        folder=home.frames,
        workers=cores(),
        progress=lambda done, total: report("decoding", 0.5 + done / total / 2),
        unreadable="leave_out",
        say=say,
    )
    readable = [video_id for video_id in videos.ids if video_id not in store.left_out]
    span = recipe.task.span(recipe.clip)
    long_enough = [video_id for video_id in readable if store.num_frames(video_id) >= span]
    if 2 * len(long_enough) < len(videos):
        raise ValueError(
            f"Of {len(videos)} videos in {name}, {len(store.left_out)} could not be read and "
            f"{len(readable) - len(long_enough)} are shorter than the {span} frames that {recipe.task.words} needs. "
            "More than half would be left out: take longer videos, or a recipe with fewer or shorter clips."
        )
    task = recipe.task
    if isinstance(task, Labels):
        task = replace(task, num_classes=len(videos.class_names))
    return Chosen(name, task, videos.only(long_enough), store, len(videos) - len(long_enough))


def batches(recipe: Recipe, chosen: Chosen, ranks: Ranks = ALONE) -> MakeBatch:
    """From step to this process's share of a batch: every video once an epoch, in an order of that epoch."""
    clip, task, videos, augmentation = recipe.clip, chosen.task, chosen.videos, recipe.augmentation
    names = ("pretrain", recipe.name, recipe.seed)
    order, ids = order_of(recipe, videos), videos.ids
    labels = [video.label for video in videos.videos]

    def example(at: int, epoch: int) -> dict[str, NDArray[Any]]:
        rng = generator(*names, epoch, ids[at])
        frames_NR = task.choose_frames(chosen.store.num_frames(ids[at]), clip, rng)
        drawn = augmentation.draw(rng, task.draws, chosen.store.frame_size(ids[at]), clip.size)
        made = dict(task.make_example(np.stack(read(ids[at], frames_NR, drawn.cuts)), rng))
        made |= {f"{AUGMENT}{name}": array for name, array in drawn.arrays.items()}
        if labels[at] is not None:
            made["labels"] = np.asarray(labels[at])
        return made

    def read(video_id: str, frames_NR: NDArray[np.int64], cuts: Sequence[Cut]) -> list[NDArray[np.uint8]]:
        if augmentation.samples:
            return chosen.store.clips(video_id, list(frames_NR), [None] * len(frames_NR))
        rows_RHWC = chosen.store.clips(video_id, list(frames_NR), [(cut.top, cut.left, cut.size) for cut in cuts])
        return [row[:, :, ::-1] if cut.mirrored else row for row, cut in zip(rows_RHWC, cuts, strict=True)]

    def make(step: int) -> Batch:
        chosen_places = ranks.share(order(step, recipe.batch_size))
        epochs = ranks.share(epochs_of(step, recipe.batch_size, len(ids)))
        examples = [example(at, epoch) for at, epoch in zip(chosen_places, epochs, strict=True)]
        return Batch(tuple(ids[at] for at in chosen_places), stacked(examples))

    return make


def order_of(recipe: Recipe, videos: VideoSet) -> Callable[[int, int], list[int]]:
    """From step and batch size to the positions of its videos, as the recipe has it."""
    names = ("pretrain", recipe.name, recipe.seed)
    if recipe.batches == "by_source":
        return by_source(videos.sources, *names)
    order = shuffled(*names)
    return lambda step, batch_size: order(step, batch_size, len(videos))


def task_loss(recipe: Recipe, task: Task) -> Loss:
    """Augmentation, normalisation, then the task's own loss."""

    def loss(learner: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        clips_BNRHWC = batch.pop("clips")
        drawn = {name: batch.pop(f"{AUGMENT}{name}").flatten(0, 1) for name in _augmented_by(batch)}
        clips = augmented(clips_BNRHWC.flatten(0, 1), drawn, recipe.clip.size)
        normal_BNCRHW = normalise(clips, recipe.normalisation).unflatten(0, clips_BNRHWC.shape[:2])
        assert isinstance(learner, Learner), "made by pretrain"
        return task.loss(learner.trunk, learner.head, {**batch, "clips": normal_BNCRHW})

    return loss


def _augmented_by(batch: dict[str, Tensor]) -> list[str]:
    return [name.removeprefix(AUGMENT) for name in batch if name.startswith(AUGMENT)]


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
    return f"It took {log.seconds_per_step * recipe.steps / 60:.1f} minutes ({several}{where})."


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


def _stands(folder: Path, signature: str) -> bool:
    """Whether the checkpoint of this very training is there."""
    path = folder / CONFIG
    return path.exists() and CheckpointConfig.model_validate_json(path.read_bytes()).recipe == signature
