"""From uint8 clips to what a model says of each video, once for every model and condition.

One pass serves any number of models and conditions: a video is decoded once, noised once a condition, and every model
reads the same clips. What is finished is kept by blocks of videos, so a kill loses one block at most; how batches are
made up depends on the block alone, so a resumed run gives the same bytes as an unbroken one.

On a CPU as many threads as torch may use each prepare and read clips of their own, with one thread inside torch:
small operations split over several threads wait for the slowest, which on a busy machine is most of the time. So the
numbers do not depend on the number of threads either. On a GPU threads prepare and one reads.

Shapes: N videos, C conditions, V views, B clips of a batch, K numbers a model gives for one clip (features or logits).
"""

import hashlib
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.cache import Key
from bench.cores import cores
from bench.encoder import normalise
from bench.schema import CLEAN, Condition
from bench.stages.case import Case

BLOCK_VIDEOS = 32
"""Videos whose outputs are stored together: what a kill may cost."""

Values = NDArray[np.float32]
Job = TypeVar("Job")
Done = TypeVar("Done")


class Reader(NamedTuple):
    """A model that reads clips, and what names it in the cache."""

    read: Callable[[Tensor], Tensor]
    """[B, 3, T, H, W] float, normalised, to [B, K]."""

    key: Key


def features(case: Case, split: str, views: int, conditions: Sequence[Condition] = (CLEAN,)) -> dict[Condition, Values]:
    """The fixed trunk's features averaged over views, float32 [N, D], rows in the split's order."""
    return sweep(case, {"trunk": trunk_reader(case)}, split, views, conditions, case.clips.sets[split].ids)["trunk"]


def logits(
    case: Case, model: nn.Module, model_key: Key, split: str, views: int, conditions: Sequence[Condition] = (CLEAN,)
) -> dict[Condition, Values]:
    """A fitted model's logits averaged over views, float32 [N, K], rows in the split's order."""
    readers = {"model": module_reader(case, model, model_key)}
    return sweep(case, readers, split, views, conditions, case.clips.sets[split].ids)["model"]


def trunk_reader(case: Case) -> Reader:
    """The encoder as it was handed in."""
    if case.encoder.trunk is not None:
        lay_out(case.encoder.trunk, case.device)
    return Reader(case.encoder.encode, {"encoder": case.encoder_hash})


def module_reader(case: Case, model: nn.Module, model_key: Key) -> Reader:
    """A module fitted from the encoder; `model_key` says how."""
    return Reader(lay_out(model, case.device), {"encoder": case.encoder_hash, "fit": model_key})


def sweep(
    case: Case,
    models: Mapping[str, Reader],
    split: str,
    views: int,
    conditions: Sequence[Condition],
    video_ids: Sequence[str],
) -> dict[str, dict[Condition, Values]]:
    """What every model says of every video under every condition: the mean over views, float32 [N, K].

    Args:
        case: Gives clips, precision, device, cache and progress.
        models: By a name of the caller's choice.
        split: `train`, `validation` or `test`.
        views: Clips of a video, evenly spaced.
        conditions: Clean ones come from the frame store where nothing else is asked for.
        video_ids: Which videos, in which order.

    Raises:
        ValueError: If a model's output holds NaN or infinity, naming the video.
    """
    blocks = [tuple(video_ids[at : at + BLOCK_VIDEOS]) for at in range(0, len(video_ids), BLOCK_VIDEOS)]
    keys = {
        name: [_block_key(case, model, split, views, conditions, block) for block in blocks]
        for name, model in models.items()
    }
    found = {name: [_stored(case, key) for key in keys[name]] for name in models}
    missing = [{name: models[name] for name in models if found[name][at] is None} for at in range(len(blocks))]
    wanted = [video_id for block, readers in zip(blocks, missing, strict=True) if readers for video_id in block]
    done = 0
    with closing(_outputs(case, split, views, conditions, list(zip(blocks, missing, strict=True)))) as outputs:
        for at, (block, readers) in enumerate(zip(blocks, missing, strict=True)):
            if not readers:
                continue
            parts: dict[str, list[Values]] = {name: [] for name in readers}
            for videos in _jobs(block, views * len(conditions), case.device):
                case.report(f"clips of {videos[0]}", done / len(wanted))
                for name, values_NCK in next(outputs).items():
                    parts[name].append(values_NCK)
                done += len(videos)
            for name in readers:
                whole_NCK = np.concatenate(parts[name])
                case.cache.put("outputs", keys[name][at], {"values_NCK": whole_NCK})
                found[name][at] = whole_NCK
        case.report("clips", 1.0)
    return {
        name: {
            condition: np.concatenate([values[:, number] for values in found[name] if values is not None])
            for number, condition in enumerate(conditions)
        }
        for name in models
    }


def conduct(case: Case, name: str, model: Reader, split: str) -> tuple[str, ...]:
    """What is odd about a model in eval mode: a sentence each if it is stochastic, or mixes the clips of a batch.

    The first clips of the split are read twice, then in two halves. Two readings may differ by 1e-5 of the largest
    output, halves by 1e-3 (5e-2 under bf16): other batch sizes take other kernels, another normalisation differs by far more.
    """
    ids = case.clips.sets[split].ids[: _batch_clips(case.device)]
    key = {"model": model.key, "clips": case.suite.clip_set(case.dataset.name, split, 1), "videos": _digest(ids)}
    stored = case.cache.get("conduct", key)
    if stored is None:
        clips = np.concatenate([_clips(case, split, video_id, 1, (CLEAN,)) for video_id in ids])
        half = (len(clips) + 1) // 2
        with one_thread():
            once, again = _read(case, model, clips), _read(case, model, clips)
            halves = np.concatenate([_read(case, model, part) for part in (clips[:half], clips[half:]) if len(part)])
        if bad := [video_id for video_id, row in zip(ids, once + halves, strict=True) if not np.isfinite(row).all()]:
            raise ValueError(f"{name} gives NaN or infinity for video {bad[0]}. Nothing is scored from such a model.")
        scale = float(np.abs(once).max()) or 1.0
        stored = {"repeat": np.abs(once - again).max() / scale, "halves": np.abs(once - halves).max() / scale}
        stored = {word: np.array(value, dtype=np.float64) for word, value in stored.items()}
        case.cache.put("conduct", key, stored)
    repeat, halves_differ = float(stored["repeat"]), float(stored["halves"])
    if repeat > 1e-5:
        return (
            f"{name} is stochastic in eval mode: the same clips read twice differ by {repeat:.1e} of its largest output.",
        )
    if halves_differ > (1e-3 if case.suite.precision == "fp32" else 5e-2):
        return (
            f"{name} depends on what else is in the batch: half a batch differs by {halves_differ:.1e} of its largest output.",
        )
    return ()


@contextmanager
def arithmetic(precision: Literal["fp32", "bf16"], device: torch.device) -> Iterator[None]:
    """The suite's precision: float32 without TF32, or bf16 autocast; deterministic cuDNN, settings put back afterwards."""
    with ExitStack() as settings:
        if device.type == "cuda":
            settings.callback(setattr, torch.backends.cuda.matmul, "allow_tf32", torch.backends.cuda.matmul.allow_tf32)
            torch.backends.cuda.matmul.allow_tf32 = False
            settings.enter_context(
                torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
            )
        settings.enter_context(torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"))
        yield


@contextmanager
def one_thread() -> Iterator[int]:
    """One thread inside torch, here and in threads that start meanwhile; yields how many there were."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield threads
    finally:
        torch.set_num_threads(threads)


def lay_out(module: nn.Module, device: torch.device) -> nn.Module:
    """The module in eval mode on the device, its 3D kernels channels last, as the clips are: same values, fewer copies."""
    module.to(device).eval()
    for tensor in module.parameters():
        if tensor.dim() == 5:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last_3d)
    return module


def _outputs(
    case: Case,
    split: str,
    views: int,
    conditions: Sequence[Condition],
    work: Sequence[tuple[Sequence[str], Mapping[str, Reader]]],
) -> Generator[dict[str, Values], None, None]:
    """By model the outputs for every few videos of the blocks that have readers, in order."""
    jobs = [
        (videos, readers)
        for block, readers in work
        if readers
        for videos in _jobs(block, views * len(conditions), case.device)
    ]

    def prepare(job: tuple[Sequence[str], Mapping[str, Reader]]) -> NDArray[np.uint8]:
        return np.concatenate([_clips(case, split, video_id, views, conditions) for video_id in job[0]])

    def read(job: tuple[Sequence[str], Mapping[str, Reader]], clips: NDArray[np.uint8]) -> dict[str, Values]:
        videos, readers = job
        return {
            name: _averaged(name, _read(case, reader, clips), videos, conditions, views)
            for name, reader in readers.items()
        }

    with one_thread() as threads, ExitStack() as pools:
        if case.device.type == "cpu":
            done = _ahead(lambda job: read(job, prepare(job)), jobs, threads)
            yield from pools.enter_context(closing(done))
        else:
            prepared = pools.enter_context(closing(_ahead(prepare, jobs, cores() // 2)))
            for job, clips in zip(jobs, prepared, strict=True):
                yield read(job, clips)


def _jobs(block: Sequence[str], clips_per_video: int, device: torch.device) -> list[Sequence[str]]:
    """The videos of a block, a few at a time: about a batch of clips together, one video at least."""
    count = max(1, _batch_clips(device) // clips_per_video)
    return [block[at : at + count] for at in range(0, len(block), count)]


def _averaged(
    name: str, values_XK: Values, videos: Sequence[str], conditions: Sequence[Condition], views: int
) -> Values:
    """Outputs of the clips of some videos, as `_clips` orders them, to means over views [N, C, K]."""
    values_NCVK = values_XK.reshape(len(videos), len(conditions), views, -1)
    bad_NC = ~np.isfinite(values_NCVK).all(axis=(2, 3))
    if bad_NC.any():
        video, condition = np.argwhere(bad_NC)[0]
        raise ValueError(
            f"The output of the {name} holds NaN or infinity for video {videos[video]} ({conditions[condition]}). "
            "Nothing is scored from such a model."
        )
    means_NCK: Values = values_NCVK.mean(axis=2, dtype=np.float64).astype(np.float32)
    return means_NCK


def _read(case: Case, reader: Reader, clips_BTHWC: NDArray[np.uint8]) -> Values:
    """What the model says of these clips, a batch at a time."""
    size, found = _batch_clips(case.device), []
    with torch.inference_mode(), arithmetic(case.suite.precision, case.device):
        for at in range(0, len(clips_BTHWC), size):
            clips = torch.from_numpy(clips_BTHWC[at : at + size]).to(case.device)
            found.append(reader.read(normalise(clips, case.encoder.normalisation)).float().cpu().numpy())
    return np.concatenate(found)


def _clips(case: Case, split: str, video_id: str, views: int, conditions: Sequence[Condition]) -> NDArray[np.uint8]:
    """The views of a video under every condition, one after the other: [C * V, T, H, W, 3]."""
    if all(condition == CLEAN for condition in conditions):
        return np.concatenate([case.clips.views(split, video_id, views)] * len(conditions))
    return np.concatenate([clips for _, clips in case.clips.noisy_views(split, video_id, views, conditions)])


def _ahead(work: Callable[[Job], Done], jobs: Iterable[Job], workers: int) -> Generator[Done, None, None]:
    """The results of these jobs in order, made by threads a little before they are asked for."""
    waiting: deque[Future[Done]] = deque()
    with ThreadPoolExecutor(max(1, workers), "clips", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _batch_clips(device: torch.device) -> int:
    """Clips read together. Eight fit the caches of a CPU best; a GPU wants more."""
    return 8 if device.type == "cpu" else 32


def _stored(case: Case, key: Key) -> Values | None:
    entry = case.cache.get("outputs", key)
    return None if entry is None else entry["values_NCK"]


def _block_key(
    case: Case, model: Reader, split: str, views: int, conditions: Sequence[Condition], block: Sequence[str]
) -> Key:
    return {
        "model": model.key,
        "clips": case.suite.clip_set(case.dataset.name, split, views),
        "normalisation": case.encoder.normalisation.model_dump(mode="json"),
        "conditions": [str(condition) for condition in conditions],
        "videos": _digest(block),
    }


def _digest(video_ids: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(video_ids).encode()).hexdigest()
