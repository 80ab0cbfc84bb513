"""From uint8 clips to what a model says of each video, once for every model and condition.

One pass serves any number of models and conditions: a video is decoded once, noised once a condition, and every model
reads the same clips. Clips are prepared by threads while the model computes. What is finished is kept by blocks of
videos, so a kill loses one block at most; how batches are made up depends on the block alone, so a resumed run gives
the same bytes as an unbroken one.

Shapes: N videos, C conditions, V views, B clips of a batch, K numbers a model gives for one clip (features or logits).
"""

import hashlib
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.cache import Key
from bench.encoder import normalise
from bench.schema import CLEAN, Condition
from bench.stages.case import Case

BLOCK_VIDEOS = 32
"""Videos whose outputs are stored together: what a kill may cost."""

Values = NDArray[np.float32]


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

    def prepare(video_id: str) -> NDArray[np.uint8]:
        return _clips(case, split, video_id, views, conditions)

    done = 0
    with closing(_ahead(prepare, wanted)) as prepared:
        for at, (block, readers) in enumerate(zip(blocks, missing, strict=True)):
            if not readers:
                continue
            said = _read_block(case, readers, prepared, block, conditions, views, (done, len(wanted)))
            done += len(block)
            for name, values in said.items():
                case.cache.put("outputs", keys[name][at], {"values_NCK": values})
                found[name][at] = values
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
        once, again = _read(case, model, clips), _read(case, model, clips)
        halves = np.concatenate([_read(case, model, part) for part in (clips[:half], clips[half:]) if len(part)])
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
    matmul = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with (
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
            torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"),
        ):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = matmul


def lay_out(module: nn.Module, device: torch.device) -> nn.Module:
    """The module in eval mode on the device, its 3D kernels channels last, as the clips are: same values, fewer copies."""
    module.to(device).eval()
    for tensor in module.parameters():
        if tensor.dim() == 5:
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last_3d)
    return module


def _read_block(
    case: Case,
    readers: Mapping[str, Reader],
    prepared: Iterator[NDArray[np.uint8]],
    block: Sequence[str],
    conditions: Sequence[Condition],
    views: int,
    progress: tuple[int, int],
) -> dict[str, Values]:
    """The models' outputs for the videos of one block, averaged over views: [N, C, K]."""
    size = _batch_clips(case.device)
    outputs: dict[str, list[Values]] = {name: [] for name in readers}
    waiting: list[NDArray[np.uint8]] = []

    def read_waiting(count: int) -> None:
        batch = np.stack(waiting[:count])
        del waiting[:count]
        for name, reader in readers.items():
            outputs[name].append(_read(case, reader, batch))

    before, total = progress
    for number, video_id in enumerate(block):
        case.report(f"clips of {video_id}", (before + number) / total)
        waiting.extend(next(prepared))
        while len(waiting) >= size:
            read_waiting(size)
    if waiting:
        read_waiting(len(waiting))
    case.report("clips", (before + len(block)) / total)

    means = {}
    for name, batches in outputs.items():
        values_NCVK = np.concatenate(batches).reshape(len(block), len(conditions), views, -1)
        _refuse_not_finite(name, values_NCVK, block, conditions)
        means[name] = values_NCVK.mean(axis=2, dtype=np.float64).astype(np.float32)
    return means


def _read(case: Case, reader: Reader, clips_BTHWC: NDArray[np.uint8]) -> Values:
    with torch.inference_mode(), arithmetic(case.suite.precision, case.device):
        clips = torch.from_numpy(clips_BTHWC).to(case.device)
        output_BK = reader.read(normalise(clips, case.encoder.normalisation))
        values: Values = output_BK.float().cpu().numpy()
    return values


def _clips(case: Case, split: str, video_id: str, views: int, conditions: Sequence[Condition]) -> NDArray[np.uint8]:
    """The views of a video under every condition, one after the other: [C * V, T, H, W, 3]."""
    if all(condition == CLEAN for condition in conditions):
        return np.concatenate([case.clips.views(split, video_id, views)] * len(conditions))
    return np.concatenate([clips for _, clips in case.clips.noisy_views(split, video_id, views, conditions)])


def _ahead(
    prepare: Callable[[str], NDArray[np.uint8]], video_ids: Iterable[str]
) -> Generator[NDArray[np.uint8], None, None]:
    """The clips of these videos in order, made by threads a little before they are asked for."""
    workers = _preparing_threads()
    waiting: deque[Future[NDArray[np.uint8]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="clips") as pool:
        try:
            for video_id in video_ids:
                waiting.append(pool.submit(prepare, video_id))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _preparing_threads() -> int:
    """Half of the cores, eight at most: the other half belongs to the model."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(8, cores // 2))


def _batch_clips(device: torch.device) -> int:
    """Clips read together. Eight fit the caches of a CPU best; a GPU wants more."""
    return 8 if device.type == "cpu" else 32


def _refuse_not_finite(name: str, values_NCVK: Values, block: Sequence[str], conditions: Sequence[Condition]) -> None:
    bad_NC = ~np.isfinite(values_NCVK).all(axis=(2, 3))
    if bad_NC.any():
        video, condition = np.argwhere(bad_NC)[0]
        raise ValueError(
            f"The output of the {name} holds NaN or infinity for video {block[video]} ({conditions[condition]}), "
            f"and for {int(bad_NC.sum()) - 1} more of this block of {bad_NC.size}. Nothing is scored from such a model."
        )


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
