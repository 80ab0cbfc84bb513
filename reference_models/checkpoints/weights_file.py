"""Reading the tensors of somebody's file without running what is in it.

safetensors, or what `torch.save` writes, read with `weights_only=True`: of a pickle's programs only those that make
tensors are followed, and that one which makes a bag of settings (VideoMAE's authors save theirs beside the weights).
What a file claims beyond its own size (a compressed archive, a tensor larger than its storage) is refused before it takes
memory, and what it asks for otherwise is bounded by its size.
"""

import argparse
import re
import warnings
import zipfile
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from bench.memory_limit import memory_for
from bench.schema import Normalisation
from reference_models.checkpoints.json_file import read_json
from reference_models.checkpoints.preprocessor import colours_beside
from reference_models.checkpoints.shards import INDEX, read_shards

CONTAINERS = ("state_dict", "model", "module", "model_state", "model_state_dict", "network", "net")
"""Where in a checkpoint its authors put the weights, in the order in which they are looked for."""

DEEPEST = 16
"""Levels of parts in a file; an optimiser's tensors stand four deep."""

FOLDER_FILES = ("model.safetensors", INDEX, "pytorch_model.bin")
"""What a folder of the Hub holds, beside its config.json."""


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file, by key."""

    tensors: dict[str, Tensor]
    where: str
    """In which part of the file they stood, in words."""

    config: dict[str, object]
    """The config.json beside it; empty where there is none."""

    colours: Normalisation | None = None
    """What a repository's preprocessor_config.json asks for; None where there is none."""

    beside: dict[str, str] = field(default_factory=dict)
    """Tensors of the file that are none of its weights, by the way to them (`/optimizer/state/0/exp_avg`), and why."""


def read_weights(path: Path) -> WeightsFile:
    """The tensors of a file, or of a folder with one.

    Raises:
        ValueError: If it cannot be read whole and safely. The sentence says why.
    """
    if path.is_dir():
        path = _file_in(path)
    if not path.is_file():
        raise ValueError(f"There is no file {path}.")
    content = _content(path)
    tensors, where = _find(content, path)
    for key, tensor in tensors.items():
        _check(key, tensor, path)
    beside = _beside(content, tensors.values(), path)
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    size = path.stat().st_size
    if path.name != INDEX and (claimed := sum(storages.values())) > size:
        raise ValueError(f"{path} claims {claimed:,} bytes of weights and has {size:,}. Copy or download it again.")
    if all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
        where += ", every key without its `module.`"
    config = _config_beside(path)
    return WeightsFile(tensors, where, config, colours_beside(path) if config else None, beside)


def _file_in(folder: Path) -> Path:
    found = [folder / name for name in FOLDER_FILES if (folder / name).is_file()]
    if not found:
        raise ValueError(f"{folder} holds neither {' nor '.join(FOLDER_FILES)}. Name the file itself.")
    return found[0]


def _content(path: Path) -> object:
    if path.name == INDEX:
        return read_shards(path)
    return _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)


def _safetensors(path: Path) -> object:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}). Copy or download it again.") from error


def _torch_file(path: Path) -> object:
    if zipfile.is_zipfile(path):
        _refuse_compressed(path)
    try:
        with (
            warnings.catch_warnings(),
            torch.serialization.safe_globals([argparse.Namespace]),
            memory_for(path.stat().st_size),
        ):
            warnings.simplefilter("ignore")  # about old storage classes; what they hold is read all the same
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a hostile file may fail in any way; all of them mean the same to its owner
        raise ValueError(
            f"{path} cannot be read as weights alone: {_why_not(error)}. Files that hold more than tensors and settings, "
            "or are cut short, are not opened. Load it yourself where you trust it, and save its state_dict."
        ) from error


def _why_not(error: Exception) -> str:
    """In short. torch's own words run over a page and advise to trust the file."""
    wordless = re.search(
        r"WeightsUnpickler error:\s*$", str(error), re.MULTILINE
    )  # torch keeps a MemoryError's words: none
    if wordless or isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "it asks for more memory than its size can need"
    if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it holds {found[1]}"
    lines = [
        line for line in str(error).splitlines() if line.strip() and not line.startswith("Weights only load failed")
    ]
    return f"{type(error).__name__} {lines[0].strip()[:200] if lines else ''}".strip().rstrip(".")


def _refuse_compressed(path: Path) -> None:
    """`torch.save` stores its tensors as they are; a compressed archive can unfold to any size."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}). Copy or download it again.") from error
    unfolded = sum(entry.file_size for entry in entries)
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or unfolded > path.stat().st_size:
        raise ValueError(
            f"{path} is a compressed archive that unfolds to {unfolded:,} bytes; torch.save makes none. "
            "Save the state_dict again with torch.save or as safetensors."
        )


def _find(content: object, path: Path) -> tuple[dict[str, Tensor], str]:
    """The mapping from keys to tensors in what was read, and where it stood."""
    where = "the file itself"
    for _ in range(3):
        if not isinstance(content, Mapping):
            break
        tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
        inside = next((name for name in CONTAINERS if isinstance(content.get(name), Mapping)), None)
        if inside is None:
            if tensors:
                return tensors, where
            break
        content, where = content[inside], f"its {inside!r}"
    kind = f"keys {', '.join(map(str, list(content)[:5]))}" if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(f"{path} holds no state_dict: there is {kind or 'nothing'}. Looked in {', '.join(CONTAINERS)}.")


def _beside(content: object, kept: Collection[Tensor], path: Path) -> dict[str, str]:
    """Every tensor of what was read that is not among those kept: where it stands, and why it is left.

    Parts may hold each other, or one part many times: each is gone through once.
    """
    found: dict[str, str] = {}
    waiting: deque[tuple[tuple[str, ...], object]] = deque([((), content)])
    seen = {id(tensor) for tensor in kept}
    while waiting:
        way, value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            found["/" + "/".join(way)] = "beside the weights" + (f", in its {way[0]!r}" if len(way) > 1 else "")
        inside = vars(value) if isinstance(value, argparse.Namespace) else value
        if isinstance(inside, Mapping | list | tuple | set):
            if len(way) == DEEPEST:
                raise ValueError(
                    f"{path} is nested deeper than {DEEPEST} levels. Save the state_dict of the trunk alone."
                )
            items = inside.items() if isinstance(inside, Mapping) else enumerate(inside)
            waiting += [((*way, str(key)), item) for key, item in items]
    return found


def _check(key: str, tensor: Tensor, path: Path) -> None:
    """Refuse what is no plain block of numbers of the size it claims."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
        raise ValueError(f"{path}: {key} is no dense tensor. Save the weights as plain tensors.")
    claimed, there = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if claimed > there:
        raise ValueError(
            f"{path}: {key} has the shape {list(tensor.shape)}, {claimed:,} bytes, but {there:,} bytes are there. "
            "Save the weights as plain, contiguous tensors."
        )


def _config_beside(path: Path) -> dict[str, object]:
    beside = path.with_name("config.json")
    return read_json(beside) if beside.is_file() else {}
