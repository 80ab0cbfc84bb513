"""A checkpoint as an ONNX file: features and layers as outputs, any number of clips, parity shown.

The file is what the features-only track takes. Exported by `torch.export`; onnx, onnxscript and onnxruntime come with the
extra `onnx`. The pixels are normalised clips as in the contract of an encoder; the colours stand in the file's metadata.
"""

import importlib.util
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from bench.encoder import layer_modules, layer_outputs
from bench.schema import Frozen
from reference_models.backbones import FRAMES, SIZE, parse
from reference_models.checkpoints.load import Loaded, load
from reference_models.hub import is_address

OPSET = 18
TOLERANCE = 1e-4
"""Largest difference to torch that is let through, as a share of the largest value of the same output."""

INPUT, OUTPUT = "clips", "features"
MODEL = "model.onnx"


class Parity(Frozen):
    """How far onnxruntime is from torch on random clips."""

    largest_difference: float = Field(ge=0)
    """Over all outputs: the largest difference, as a share of the largest value of that output."""

    lowest_cosine: float
    """Between the two features of a clip, the lowest of all clips."""

    clips: int


class Exported(Frozen):
    """What was written, by what, and how well it agrees."""

    file: Path
    architecture: str
    clip: tuple[int, int, int]
    """Frames, height and width that the file takes; the number of clips is free."""

    outputs: tuple[str, ...]
    opset: int
    versions: dict[str, str]
    parity: Parity


def export_onnx(
    folder: Path, out: Path | None = None, clip: tuple[int, int] | None = None, *, with_layers: bool = True
) -> Exported:
    """Write a checkpoint as ONNX and compare it with torch.

    Args:
        folder: A checkpoint folder.
        out: The file to write; `model.onnx` in the folder where it is not given.
        clip: Frames and size of the clips that it shall take; by default those of the checkpoint, else 16 x 112.
        with_layers: Whether its layers are outputs too (for CKA).

    Raises:
        ValueError: If the libraries are missing, the clip is none that the network takes, an operator has no
            translation, or the two differ by more than the tolerance. Nothing is left behind then.
    """
    _need_libraries()
    if out is None and is_address(folder):
        raise ValueError(f"Name the file to write for {folder} with -o.")
    loaded = load(folder)
    frames, size = clip or _clip(loaded)
    if refusal := loaded.encoder.accepts(frames, size, size):
        raise ValueError(f"{refusal}. Name another clip.")
    file = out or folder / MODEL
    half = file.with_name(f".half-{file.name}")
    module = WithLayers(loaded.encoder.trunk, with_layers=with_layers).eval()
    outputs = (OUTPUT, *layer_modules(loaded.encoder.trunk)) if with_layers else (OUTPUT,)
    try:
        _export(module, torch.rand(2, 3, frames, size, size), half, outputs, loaded)
        parity = compare(module, half, torch.rand(3, 3, frames, size, size, generator=torch.Generator().manual_seed(0)))
        if parity.largest_difference > TOLERANCE:
            raise ValueError(
                f"The exported {loaded.config.architecture} differs from torch by {parity.largest_difference:.1e} of its "
                f"largest value (allowed are {TOLERANCE:.0e}), so it was not kept. Try other versions of torch and onnxruntime."
            )
        half.replace(file)
    finally:
        half.unlink(missing_ok=True)
    return Exported(
        file=file,
        architecture=loaded.config.architecture,
        clip=(frames, size, size),
        outputs=outputs,
        opset=OPSET,
        versions=_versions(),
        parity=parity,
    )


class WithLayers(nn.Module):
    """A trunk whose outputs are its feature and its layers, one after the other."""

    def __init__(self, trunk: nn.Module, *, with_layers: bool) -> None:
        super().__init__()
        self.trunk = trunk
        self.with_layers = with_layers

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        if not self.with_layers:
            return (self.trunk(clips),)
        outputs = layer_outputs(self.trunk, clips)
        return (outputs.pop("pooled"), *outputs.values())


def compare(module: nn.Module, file: Path, clips: Tensor) -> Parity:
    """Run both on the same clips, of another number than the file was traced with."""
    import onnxruntime  # noqa: PLC0415  (an extra)

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    found = session.run(None, {INPUT: clips.numpy()})
    with torch.inference_mode():
        expected = [output.numpy() for output in module(clips)]
    differences = [_difference(ours, theirs) for ours, theirs in zip(expected, found, strict=True)]
    return Parity(
        largest_difference=max(differences), lowest_cosine=_cosine(expected[0], found[0]), clips=clips.shape[0]
    )


def _difference(expected: np.ndarray, found: np.ndarray) -> float:
    if expected.shape != found.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(expected - found).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))


def _cosine(expected: np.ndarray, found: np.ndarray) -> float:
    lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    return float(((expected * found).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)).min())


def _export(module: WithLayers, clips: Tensor, file: Path, outputs: tuple[str, ...], loaded: Loaded) -> None:
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                module,
                (clips,),
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        first_line = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise ValueError(
            f"{loaded.config.architecture} cannot be written as ONNX by torch {torch.__version__}: {first_line}"
        ) from error
    assert program is not None
    program.model.metadata_props.update(_metadata(loaded, outputs))
    program.save(str(file), external_data=False)


def _metadata(loaded: Loaded, outputs: tuple[str, ...]) -> dict[str, str]:
    """What the file says of itself."""
    return {
        "reelproof.name": loaded.config.name,
        "reelproof.architecture": loaded.config.architecture,
        "reelproof.weight_hash": loaded.config.weight_hash,
        "reelproof.normalisation": loaded.config.normalisation.model_dump_json(),
        "reelproof.layers": json.dumps(outputs[1:]),
        "reelproof.opset": str(OPSET),
        "reelproof.versions": json.dumps(_versions()),
    }


def _clip(loaded: Loaded) -> tuple[int, int]:
    """The clip of the checkpoint's training, else the one its network is built for, else the paper's."""
    trained = loaded.config.clip
    if trained is not None:
        return trained.num_frames, trained.size
    return parse(loaded.config.architecture)[1] or (FRAMES, SIZE)


def _need_libraries() -> None:
    needed = ("onnx", "onnxscript", "onnxruntime")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        raise ValueError(f"{' and '.join(missing)} must be installed to write ONNX: pip install 'reelproof[onnx]'.")


def _versions() -> dict[str, str]:
    import onnxruntime  # noqa: PLC0415  (an extra; its distribution has several names)

    versions = {name: metadata.version(name) for name in ("onnx", "onnxscript")}
    return {"torch": str(torch.__version__), **versions, "onnxruntime": str(onnxruntime.__version__)}


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter talks of its own deprecations and of optional packages; none of it is the user's business."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
