"""What a recipe learns from: its videos, and from the number of a step to its batch, augmented and normalised.

Shapes: B videos of a batch, N rows of a video, R frames of a row, H W rows and columns, C colours.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.cores import cores
from bench.encoder import normalise
from bench.home import Home
from bench.names import generator
from bench.ranks import ALONE, Ranks
from bench.schema import content_hash
from bench.stages.classifier import epochs_of, shuffled, stacked
from bench.training import Batch, MakeBatch, Report
from bench.video.datasets.embedded import embedded_pretraining
from bench.video.datasets.own import own_videos
from bench.video.embedded.sets import Family
from bench.video.frame_list import FrameReader
from bench.video.frame_store import Say, build_store, log_it, open_stream
from bench.video.index import VideoSet
from reference_models.augmentation import Cut, augmented
from reference_models.by_source import by_source
from reference_models.pretext.supervised import Labels
from reference_models.pretext.task import Task
from reference_models.recipes.recipe import Recipe

AUGMENT = "augment "
"""Before the names of what was drawn for the augmentation, in a batch."""


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
    recipe: Recipe, home: Home, data: Path | VideoSet | None, report: Report, *, stream: bool = False, say: Say = log_it
) -> Chosen:
    """Make or find the recipe's videos and their frames; leave out what is too short for the task."""
    if data is None:
        family, _, long = recipe.videos.partition("-")
        if family not in get_args(Family):
            raise ValueError(
                f"{recipe.name} learns from {recipe.videos}. Name the data set and where it lies, "
                "--videos kinetics400 --root DIR, or give a folder of videos with --data."
            )
        videos = embedded_pretraining(
            family,
            home.videos,
            workers=cores(),
            report=lambda words, share: report(words, share / 2),
            long=long == "long",
        )
        name = recipe.videos
    elif isinstance(data, VideoSet):
        videos, name = data, data.name
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
        made = dict(task.make_example(np.arange(frames_NR.size).reshape(frames_NR.shape), rng))
        assert made["clips"].dtype == np.int64, "a task shows places, not pixels"
        made["clips"] = read(ids[at], frames_NR, made["clips"], drawn.cuts)
        made |= {f"{AUGMENT}{name}": array for name, array in drawn.arrays.items()}
        if labels[at] is not None:
            made["labels"] = np.asarray(labels[at])
        return made

    def read(
        video_id: str, frames_NR: NDArray[np.int64], shown_NR: NDArray[np.int64], cuts: Sequence[Cut]
    ) -> NDArray[np.uint8]:
        """The pixels of the places that are shown, [N, R, H, W, C]."""
        numbers_NR = list(frames_NR.ravel()[shown_NR])
        if augmentation.samples:
            return np.stack(chosen.store.clips(video_id, numbers_NR, [None] * len(numbers_NR)))
        cuts_N = [cuts[place // frames_NR.shape[1]] for place in shown_NR[:, 0]]
        rows_RHWC = chosen.store.clips(video_id, numbers_NR, [(cut.top, cut.left, cut.size) for cut in cuts_N])
        return np.stack([mirrored(row) if cut.mirrored else row for row, cut in zip(rows_RHWC, cuts_N, strict=True)])

    def make(step: int) -> Batch:
        chosen_places = ranks.share(order(step, recipe.batch_size))
        epochs = ranks.share(epochs_of(step, recipe.batch_size, len(ids)))
        examples = [example(at, epoch) for at, epoch in zip(chosen_places, epochs, strict=True)]
        return Batch(tuple(ids[at] for at in chosen_places), stacked(examples))

    return make


def mirrored(row_RHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Left for right. By torch: NumPy copies a reversed view pixel by pixel, which takes ten times as long."""
    found: NDArray[np.uint8] = torch.from_numpy(row_RHWC).flip(2).numpy()
    return found


def order_of(recipe: Recipe, videos: VideoSet) -> Callable[[int, int], list[int]]:
    """From step and batch size to the positions of its videos, as the recipe has it."""
    names = ("pretrain", recipe.name, recipe.seed)
    if recipe.batches == "by_source":
        return by_source(videos.sources, *names)
    order = shuffled(*names)
    return lambda step, batch_size: order(step, batch_size, len(videos))


def readied_ahead(recipe: Recipe, make_batch: MakeBatch) -> MakeBatch:
    """The same batches, augmented and normalised by the threads that make them: for a training on the CPU.

    There the core that makes batches has time, and the one that computes has not; a GPU augments faster than either.
    """

    def make(step: int) -> Batch:
        batch = make_batch(step)
        return batch._replace(tensors=readied(recipe, batch.tensors))

    return make


def readied(recipe: Recipe, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """A batch whose clips, [B, N, R, H, W, 3] as stored, are augmented and normalised: [B, N, 3, R, H, W]."""
    clips_BNRHWC = batch["clips"]
    drawn = {name: batch[f"{AUGMENT}{name}"].flatten(0, 1) for name in _augmented_by(batch)}
    clips = augmented(clips_BNRHWC.flatten(0, 1), drawn, recipe.clip.size)
    normal_BNCRHW = normalise(clips, recipe.normalisation).unflatten(0, clips_BNRHWC.shape[:2])
    others = {name: tensor for name, tensor in batch.items() if not name.startswith(AUGMENT)}
    return {**others, "clips": normal_BNCRHW}


def _augmented_by(batch: dict[str, Tensor]) -> list[str]:
    return [name.removeprefix(AUGMENT) for name in batch if name.startswith(AUGMENT)]
