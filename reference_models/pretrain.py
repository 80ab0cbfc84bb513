"""Pretraining: a recipe and videos in, a checkpoint folder out.

The same loop as finetuning and distillation (`bench.training`). The head is thrown away. A run that was cut off goes on
where it was; a run whose checkpoint is there already returns it.

Shapes: B videos of a batch, N clips of a video, T frames, H W rows and columns, D features.
"""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.encoder import normalise
from bench.home import Home
from bench.names import generator, seed_of
from bench.schema import ClipSpec, content_hash
from bench.stages.classifier import epochs_of, shuffled, stacked
from bench.training import Batch, Kept, Loss, MakeBatch, Plan, Report, TrainingLog, cores, train
from bench.video.datasets.embedded import embedded_pretraining
from bench.video.datasets.folder import folder_dataset
from bench.video.frame_store import FrameStore, build_store
from bench.video.index import VideoSet
from reference_models.backbones import build
from reference_models.checkpoints.config import CONFIG, About, CheckpointConfig
from reference_models.checkpoints.save import save
from reference_models.pretext.supervised import Labels
from reference_models.pretext.task import Task
from reference_models.recipes.recipe import Recipe

LICENCE = "Apache-2.0"
VERSION = 1
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
) -> Path:
    """Train a backbone on a recipe's task and write its checkpoint folder.

    Args:
        recipe: Everything about the training.
        home: Where videos, frames and unfinished trainings lie.
        folder: Of the checkpoint.
        device: `cpu`, `cuda` or `auto`.
        report: Progress; may raise to stop, nothing is lost.
        data: A folder of somebody's own videos, whose training split is used instead of the recipe's videos.

    Raises:
        ValueError: If the videos are too short for the task, the backbone refuses the clip, the loss is not finite, or
            the disk is full.
    """
    clip = recipe.clip
    trunk = fresh(recipe.architecture, recipe.seed)
    refuse(trunk, recipe)
    chosen = open_videos(recipe, home, data, lambda words, share: report(words, 0.1 * share))
    key = {"recipe": recipe.settings, "videos": chosen.digest, "version": VERSION}
    signature = f"{recipe.name} {content_hash(key)[:12]}"
    kept = Kept(home.training / f"pretrain-{content_hash(key)[:24]}", key)
    log_file = kept.folder / "training.jsonl"
    if _stands(folder, signature):
        report("it is there already", 1.0)
        return folder

    with torch.random.fork_rng([]):
        torch.manual_seed(seed_of("pretrain", recipe.name, recipe.seed, "head"))
        head = chosen.task.build_head(trunk, clip)
    learner = Learner(trunk, head)
    log = train(
        learner,
        task_loss(recipe, chosen.task),
        batches(recipe, chosen),
        plan_of(recipe),
        names=("pretrain", recipe.name, recipe.seed),
        device=device_named(device),
        report=lambda words, share: report(words, 0.1 + 0.9 * share),
        kept=kept,
        log_file=log_file,
    )
    about = About(
        name=recipe.title,
        architecture=recipe.architecture,
        normalisation=recipe.normalisation,
        clip=clip,
        pretext=recipe.task.words,
        family=recipe.task.family,
        pretrained_on=(chosen.name,),
        recipe=signature,
        licence=LICENCE if data is None else "",
    )
    save(folder, trunk.cpu(), about, story=story(recipe, chosen, log), files=(log_file,))
    log_file.unlink()
    kept.forget()
    return folder


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


@dataclass(frozen=True)
class Chosen:
    """The videos that are learnt from."""

    name: str
    task: Task
    """As the recipe has it, told the number of classes where it asks for them."""

    videos: VideoSet
    store: FrameStore
    too_short: int

    @property
    def digest(self) -> str:
        """Over who they are and their frames."""
        return content_hash({"manifest": self.videos.manifest_hash, "frames": self.store.digest})


def open_videos(recipe: Recipe, home: Home, data: Path | None, report: Report) -> Chosen:
    """Make or find the recipe's videos and their frames; leave out what is too short for the task."""
    if data is None:
        videos = embedded_pretraining(
            recipe.videos, home.videos, workers=cores(), report=lambda words, share: report(words, share / 2)
        )
        name = recipe.videos
    else:
        videos = folder_dataset(data).train
        name = data.resolve().name
    store = build_store(
        videos,
        resize=recipe.clip.resize,
        folder=home.frames,
        workers=cores(),
        progress=lambda done, total: report("decoding", 0.5 + done / total / 2),
        unreadable="leave_out",
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


def batches(recipe: Recipe, chosen: Chosen) -> MakeBatch:
    """From step to batch: every video once an epoch, in an order of that epoch."""
    clip, task, videos = recipe.clip, chosen.task, chosen.videos
    names = ("pretrain", recipe.name, recipe.seed)
    order, ids = shuffled(*names), videos.ids
    labels = [video.label for video in videos.videos]

    def example(at: int, epoch: int) -> dict[str, NDArray[Any]]:
        rng = generator(*names, epoch, ids[at])
        frames_NT = task.choose_frames(chosen.store.num_frames(ids[at]), clip, rng)
        clips_NTHWC = np.stack([_cropped_clip(chosen.store, ids[at], frames_T, clip, rng) for frames_T in frames_NT])
        made = dict(task.make_example(clips_NTHWC, rng))
        made["colours"] = rng.uniform(-1, 1, size=(len(made["clips"]), 3)).astype(np.float32)
        if labels[at] is not None:
            made["labels"] = np.asarray(labels[at])
        return made

    def make(step: int) -> Batch:
        chosen_places = order(step, recipe.batch_size, len(ids))
        epochs = epochs_of(step, recipe.batch_size, len(ids))
        examples = [example(at, epoch) for at, epoch in zip(chosen_places, epochs, strict=True)]
        return Batch(tuple(ids[at] for at in chosen_places), stacked(examples))

    return make


def _cropped_clip(
    store: FrameStore, video_id: str, frames_T: NDArray[np.int64], clip: ClipSpec, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A square from a place of its own for every clip, so that places tell nothing about order."""
    height, width = store.frame_size(video_id)
    top, left = int(rng.integers(height - clip.size + 1)), int(rng.integers(width - clip.size + 1))
    return store.clip(video_id, frames_T, (top, left, clip.size))


def task_loss(recipe: Recipe, task: Task) -> Loss:
    """Colours, normalisation, then the task's own loss."""
    strengths = torch.tensor([recipe.brightness, recipe.contrast, recipe.saturation])

    def loss(learner: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        clips_BNTHWC, colours_BN3 = batch.pop("clips"), batch.pop("colours")
        clips = clips_BNTHWC.flatten(0, 1)
        if strengths.any():
            clips = jittered(clips, colours_BN3.flatten(0, 1) * strengths.to(clips.device))
        normal_BNCTHW = normalise(clips, recipe.normalisation).unflatten(0, clips_BNTHWC.shape[:2])
        assert isinstance(learner, Learner), "made by pretrain"
        return task.loss(learner.trunk, learner.head, {**batch, "clips": normal_BNCTHW})

    return loss


def jittered(clips_BTHWC: Tensor, changes_B3: Tensor) -> Tensor:
    """Clips with other brightness, contrast and saturation, one change a clip, as floats from 0 to 255.

    All three are one matrix and one offset for the three colours of a pixel. Saturation moves every pixel from or to its
    grey (ITU-R BT.601 weights), contrast from or to the clip's mean colour.
    """
    brightness_B, contrast_B, saturation_B = (1 + changes_B3).unbind(1)
    pixels_BCN = clips_BTHWC.flatten(1, 3).transpose(1, 2).float().contiguous()  # by colours: the product is then fast
    to_grey_CC = torch.tensor([0.299, 0.587, 0.114], device=pixels_BCN.device).expand(3, 3)
    same_CC = torch.eye(3, device=pixels_BCN.device)
    saturate_BCC = saturation_B[:, None, None] * same_CC + (1 - saturation_B)[:, None, None] * to_grey_CC
    matrix_BCC = (brightness_B * contrast_B)[:, None, None] * saturate_BCC
    mean_BC1 = saturate_BCC @ pixels_BCN.mean(2, keepdim=True)
    offset_BC1 = (brightness_B * (1 - contrast_B))[:, None, None] * mean_BC1
    changed_BCN = torch.baddbmm(offset_BC1, matrix_BCC, pixels_BCN).clamp_(0, 255)
    return changed_BCN.transpose(1, 2).contiguous().view(clips_BTHWC.shape)


def device_named(device: str) -> torch.device:
    """`auto` is a GPU where there is one."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def plan_of(recipe: Recipe, steps: int | None = None) -> Plan:
    """The recipe as the loop wants it."""
    return Plan(
        steps=steps or recipe.steps,
        optimiser=recipe.optimiser,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        warm_up=recipe.warm_up,
        rates={"head": recipe.head_rate},
        clip_gradient=recipe.clip_gradient,
        precision=recipe.precision,
    )


def story(recipe: Recipe, chosen: Chosen, log: TrainingLog) -> str:
    """What happened, for the model card."""
    left_out = f" ({chosen.too_short} more were too short or unreadable)" if chosen.too_short else ""
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
        f"Trained for {recipe.steps} steps of {recipe.batch_size} videos, out of {len(chosen.videos)} in "
        f"{chosen.name}{left_out}. Means over the steps around it:\n\n" + "\n".join(table) + "\n\n"
        "Every step is in `training.jsonl`.\n"
    )


def _around(values: list[float], at: int, reach: int = 5) -> float:
    near = values[max(0, at - reach) : at + reach + 1]
    return math.fsum(near) / len(near)


def _stands(folder: Path, signature: str) -> bool:
    """Whether the checkpoint of this very training is there."""
    path = folder / CONFIG
    return path.exists() and CheckpointConfig.model_validate_json(path.read_bytes()).recipe == signature
