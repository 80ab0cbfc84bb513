"""What a person hands in: a checkpoint folder, or an ONNX file for the features-only track."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import ValidationError

from bench.onnx_encoder import OnnxEncoder, open_onnx
from bench.schema import LoadReport
from reference_models.checkpoints.config import CONFIG, About
from reference_models.checkpoints.load import Loaded, load
from reference_models.hub import SOURCE, fetch, is_address

ONNX = "model.onnx"
"""Name of the kept copy."""


@dataclass(frozen=True)
class LoadedOnnx:
    """An ONNX file that can be judged."""

    encoder: OnnxEncoder
    config: About
    """What the file says of itself."""

    report: LoadReport


Arrived = Loaded | LoadedOnnx


def arrive(checkpoint: str | Path, device: torch.device | None = None) -> Arrived:
    """Load what was handed in.

    Args:
        checkpoint: A checkpoint folder (or the name of one), an ONNX file, a folder that holds only such a file, or
            an address on the Hub of one of these. What was fetched from there says so in its load report.
        device: Where an ONNX file shall be computed; the CPU where it is not said.

    Raises:
        ValueError: If it does not load whole; the sentence says what to do.
    """
    if is_address(checkpoint):
        checkpoint = fetch(checkpoint).folder
    file = onnx_file(Path(checkpoint))
    arrived = load(checkpoint) if file is None else _arrive_onnx(file, device or torch.device("cpu"))
    source = Path(checkpoint) / SOURCE
    if not source.is_file():
        return arrived
    recognised = f"{arrived.report.recognised}, from {source.read_text().strip()}"
    return replace(arrived, report=arrived.report.model_copy(update={"recognised": recognised}))


def onnx_file(checkpoint: Path) -> Path | None:
    """The ONNX file meant; None where it is a checkpoint folder. One beside a config.json is an export, not the checkpoint."""
    if checkpoint.suffix == ".onnx" and checkpoint.is_file():
        return checkpoint
    inside = checkpoint / ONNX
    return inside if inside.is_file() and not (checkpoint / CONFIG).exists() else None


def _arrive_onnx(file: Path, device: torch.device) -> LoadedOnnx:
    encoder = open_onnx(file, name=file.name, device=device)
    says = encoder.properties
    try:
        config = About(
            name=says.get("reelproof.name") or f"onnx {encoder.weight_hash[:8]}",
            architecture=_architecture(says.get("reelproof.architecture", "")),
            normalisation=encoder.normalisation,
        )
    except ValidationError as error:
        raise ValueError(
            f"{file}: reelproof.name is {says['reelproof.name'][:80]!r}; letters, digits, spaces and .-_ are allowed, at most 80."
        ) from error
    encoder.name, encoder.architecture = config.name, config.architecture
    report = LoadReport(
        loaded=encoder.tensors,
        expected=encoder.tensors,
        recognised=f"ONNX file, {encoder.feature_dim} features, run by onnxruntime's {encoder.provider}",
    )
    return LoadedOnnx(encoder, config, report)


def _architecture(said: str) -> str:
    """What the file calls itself, if that is a plain word."""
    plain = said.replace("_", "").replace(".", "").replace("-", "").replace("@", "").isalnum() and len(said) <= 60
    return f"{said} (ONNX)" if plain else "ONNX"
