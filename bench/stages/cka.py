"""CKA: how do an encoder's layers relate, and how much of them does finetuning keep?

The stage stores Gram matrices only: of every layer, over minibatches of test videos (middle view) in the order of a
hash of their ids. Every map follows from these, in bench.statistics.similarity. A layer's output is flattened per
video, centred over the minibatch, scaled by a power of two that the first minibatch fixes (so that features of size
1e-15 do not vanish in a float32 product) and multiplied while it is at hand: a later in-place operation finds nothing
to spoil, and no more than one layer is held.

Shapes: L layers, N videos of a minibatch, P numbers a layer gives for one video.
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.cache import Arrays, Key
from bench.encoder import Encoder, layer_modules, normalise
from bench.forward import arithmetic, lay_out, one_thread
from bench.guesses import Grams, StageOutput
from bench.stages import finetune
from bench.stages.case import Case

COLUMNS_AT_ONCE = 2**18
"""Numbers a video that go into one float32 product; products are added in float64."""

Matrices = dict[str, NDArray[np.float32]]
Scales = dict[str, float]


def run(case: Case) -> StageOutput:
    """Gram matrices of the encoder, and of the model finetuned from it with the first seed."""
    videos = sorted(case.dataset.test.ids, key=lambda name: hashlib.sha256(name.encode()).digest())
    videos = videos[: case.suite.cka.videos]
    size = min(case.suite.cka.batch, len(videos))
    if size < 4:
        return StageOutput(remarks=(f"CKA needs four test videos; {case.dataset.name} has {len(videos)}.",))
    batches = [videos[at : at + size] for at in range(0, len(videos) - size + 1, size)]
    grams = [_grams(case, "pretrained", case.encoder, {"encoder": case.encoder_hash}, batches)]
    remarks: tuple[str, ...] = ()
    if case.encoder.trunk is None:
        remarks = (f"{finetune.FEATURES_ONLY} Its layers are compared among themselves only.",)
    else:
        seed = case.suite.finetune.seeds[0]
        trunk = finetune.fit(case, seed).trunk
        grams.append(
            _grams(case, "finetuned", trunk, {"fit": finetune.model_key(case, seed)}, batches, grams[0].layers)
        )
    return StageOutput(grams=tuple(grams), facts={"videos": len(batches) * size, "batch": size}, remarks=remarks)


def module_grams(module: nn.Module, clips_NCTHW: Tensor, layers: Mapping[str, nn.Module], scales: Scales) -> Matrices:
    """Gram matrix of each of these layers and of the pooled feature, in execution order.

    Args:
        module: Run once on the clips.
        clips_NCTHW: One minibatch, normalised.
        layers: Submodules whose outputs are compared. One that is called twice counts with its last output.
        scales: A power of two for each layer; those that are missing are found here, and kept.
    """
    found: Matrices = {}

    def keep(name: str) -> Callable[[nn.Module, object, object], None]:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor):
                found.pop(name, None)
                found[name] = gram(name, output, scales)

        return hook

    handles = [layer.register_forward_hook(keep(name)) for name, layer in layers.items()]
    try:
        pooled = module(clips_NCTHW)
    finally:
        for handle in handles:
            handle.remove()
    found.pop("pooled", None)
    return {**found, "pooled": gram("pooled", pooled, scales)}


def gram(name: str, output: Tensor, scales: Scales) -> NDArray[np.float32]:
    """X X' of one layer's output [N, ...], centred over the minibatch and scaled.

    Raises:
        ValueError: If the output is not finite.
    """
    with torch.autocast(output.device.type, enabled=False):
        values = output.detach()
        if values.dim() == 5 and values.is_contiguous(memory_format=torch.channels_last_3d):
            values = values.permute(0, 2, 3, 4, 1)  # the order of features does not matter; this one needs no copy
        values_NP = values.flatten(1).float()
        mean_P = values_NP.mean(dim=0)
        if name not in scales:
            largest = max(float((part - mean).abs().max()) for part, mean in _parts(values_NP, mean_P))
            if not np.isfinite(largest):
                raise ValueError(
                    f"The output of layer {name} holds NaN or infinity. No similarity is computed from it."
                )
            scales[name] = float(2.0 ** -np.floor(np.log2(largest))) if largest > 0 else 1.0
        total_NN = torch.zeros(len(values_NP), len(values_NP), dtype=torch.float64, device=values_NP.device)
        for part_NP, part_mean_P in _parts(values_NP, mean_P):
            centred_NP = (part_NP - part_mean_P) * scales[name]
            total_NN += (centred_NP @ centred_NP.T).double()
    gram_NN: NDArray[np.float32] = total_NN.float().cpu().numpy()
    if not np.isfinite(gram_NN).all():
        raise ValueError(f"The output of layer {name} holds NaN or infinity. No similarity is computed from it.")
    return gram_NN


def _parts(values_NP: Tensor, mean_P: Tensor) -> list[tuple[Tensor, Tensor]]:
    starts = range(0, values_NP.shape[1], COLUMNS_AT_ONCE)
    return [(values_NP[:, at : at + COLUMNS_AT_ONCE], mean_P[at : at + COLUMNS_AT_ONCE]) for at in starts]


def _grams(
    case: Case,
    name: Literal["pretrained", "finetuned"],
    model: Encoder | nn.Module,
    model_key: Key,
    batches: list[list[str]],
    layers: tuple[str, ...] = (),
) -> Grams:
    """The Gram matrices of one model over all minibatches, each kept as soon as it is computed."""
    scales: Scales = {}
    matrices: list[Matrices] = []
    for number, batch in enumerate(batches):
        case.report(f"layers of the {name} model", number / len(batches))
        key = {
            "model": model_key,
            "encoder": case.encoder_hash,
            "clips": case.suite.clip_set(case.dataset.name, "test", 1),
            "cka": case.suite.cka.version,
            "first": _digest(batches[0]),
            "videos": _digest(batch),
        }
        stored = case.cache.get("grams", key)
        if stored is None:
            found = _minibatch(case, model, batch, layers, scales)
            stored = {f"{at:05d} {layer}": matrix for at, (layer, matrix) in enumerate(found.items())}
            stored |= {f"scale {layer}": np.array([scales[layer]]) for layer in found}
            case.cache.put("grams", key, stored)
        scales |= {
            word.removeprefix("scale "): float(array[0]) for word, array in stored.items() if word.startswith("scale ")
        }
        matrices.append(_in_order(stored))
    names = tuple(matrices[0])
    return Grams(
        case.dataset.name,
        name,
        tuple(video_id for batch in batches for video_id in batch),
        names,
        np.stack([np.stack([matrix[layer] for matrix in matrices]) for layer in names]),
    )


def _minibatch(
    case: Case, model: Encoder | nn.Module, batch: list[str], layers: tuple[str, ...], scales: Scales
) -> Matrices:
    clips = torch.from_numpy(np.concatenate([case.clips.views("test", video_id, 1) for video_id in batch]))
    with one_thread(), torch.inference_mode(), arithmetic(case.suite.precision, case.device):
        clips_NCTHW = normalise(clips.to(case.device), case.encoder.normalisation)
        if isinstance(model, nn.Module):
            lay_out(model, case.device)
            return module_grams(model, clips_NCTHW, _named(model, layers), scales)
        if model.trunk is not None:
            lay_out(model.trunk, case.device)
            names = tuple(model.layers(clips_NCTHW[:1]))
            return module_grams(model.trunk, clips_NCTHW, _named(model.trunk, names), scales)
        return {name: gram(name, output, scales) for name, output in model.layers(clips_NCTHW).items()}


def _named(module: nn.Module, names: tuple[str, ...]) -> dict[str, nn.Module]:
    """The layers of these names: the module's own where it names them, else submodules."""
    own = layer_modules(module)
    names = tuple(name for name in names if name != "pooled")
    return {name: own[name] for name in names} if set(names) <= set(own) else layer_modules(module, names)


def _in_order(stored: Arrays) -> Matrices:
    return {word[6:]: stored[word] for word in sorted(stored) if not word.startswith("scale ")}


def _digest(video_ids: list[str]) -> str:
    return hashlib.sha256("\0".join(video_ids).encode()).hexdigest()
