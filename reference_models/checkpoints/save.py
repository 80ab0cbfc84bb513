"""Writing a checkpoint folder: whole or not at all."""

import os
import shutil
from importlib import metadata
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from bench.encoder import weight_hash
from reference_models.checkpoints.config import CARD, CONFIG, WEIGHTS, About, CheckpointConfig
from reference_models.checkpoints.model_card import model_card


def save(folder: Path, module: nn.Module, about: About, *, story: str = "", files: tuple[Path, ...] = ()) -> Path:
    """Write the checkpoint; one that stands there already is replaced.

    Args:
        folder: Where to.
        module: The trunk, without a head.
        about: What its maker says of it.
        story: A paragraph or two for the model card: how it was trained and what came out.
        files: Copied into the folder, such as the log of the training.

    Raises:
        ValueError: If the folder holds something else than a checkpoint, or the disk is full.
    """
    if folder.exists() and not (folder / CONFIG).exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} holds something else than a checkpoint. Name a new folder.")
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in module.state_dict().items()}
    width = getattr(module, "feature_dim", None)
    assert isinstance(width, int), "a backbone says how wide its features are"
    config = CheckpointConfig(
        **about.model_dump(),
        feature_dim=width,
        weight_hash=weight_hash(about.architecture, tensors),
        reelproof=_version(),
    )
    parameters = sum(parameter.numel() for parameter in module.parameters())
    half, old = (folder.parent / f".{kind}-{os.getpid()}-{folder.name}" for kind in ("half", "old"))
    try:
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        save_file(tensors, half / WEIGHTS, metadata={"format": "pt"})
        (half / CONFIG).write_text(config.model_dump_json(indent=2) + "\n")
        (half / CARD).write_text(model_card(config, parameters, story))
        for file in files:
            shutil.copyfile(file, half / file.name)
        if folder.exists():
            folder.rename(old)
        half.rename(folder)
    except OSError as error:
        raise ValueError(
            f"Could not write the checkpoint {folder}: {error.strerror or error}. Free some space and run it again."
        ) from error
    finally:
        shutil.rmtree(half, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
    return folder


def _version() -> str:
    try:
        return metadata.version("reelproof")
    except metadata.PackageNotFoundError:
        return ""
