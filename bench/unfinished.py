"""The state of an unfinished training: written whole, gone on with to the same bits, refused where it is another's.

What is kept are weights, buffers, the optimiser's slots and the log, as of a number of steps; everything else in a step
follows from its number (`bench.training`).
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from bench.cache import Key, write_atomically
from bench.schema import content_hash

HALF_LIVES_S = 600.0
"""Age after which a half-written file is nobody's."""

LAYOUT = "1"
"""Of the state file."""


@dataclass(frozen=True)
class Kept:
    """Where the state of an unfinished training is kept, and what training it belongs to."""

    folder: Path
    key: Key
    """All that determines the training; a state of another one is refused."""

    every_s: float = 120.0

    @property
    def path(self) -> Path:
        """The one file: written whole or not at all."""
        return self.folder / "state.safetensors"

    def forget(self) -> None:
        """Remove the state: for a caller who has stored the outcome."""
        self.path.unlink(missing_ok=True)
        remove_old_halves(self.folder)
        with contextlib.suppress(OSError):  # not there, or somebody else's file in it
            self.folder.rmdir()


@dataclass
class Run:
    """What changes in a training, apart from the step."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    columns: dict[str, list[float]]


def save_state(run: Run, kept: Kept, step: int) -> None:
    """Write weights, buffers, optimiser and log as of this many steps."""
    tensors = {f"module/{name}": tensor for name, tensor in run.module.state_dict().items()}
    for name, parameter in run.module.named_parameters():
        for slot, value in run.optimiser.state.get(parameter, {}).items():
            if value is not None:
                tensors[f"optimiser/{name}/{slot}"] = torch.as_tensor(value)
    for name, values in run.columns.items():
        tensors[f"log/{name}"] = torch.tensor(values, dtype=torch.float64)
    whole = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
    metadata = {"layout": LAYOUT, "training": content_hash(kept.key), "step": str(step)}
    write_atomically(kept.path, save(whole, metadata=metadata))


def resume(run: Run, kept: Kept) -> int:
    """Put the kept state into the run; the number of steps that are done.

    Raises:
        ValueError: If the state is damaged, belongs to another training, or does not fit the module.
    """
    if not kept.path.exists():
        return 0
    try:
        with safe_open(kept.path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{kept.path} is damaged ({error}). Delete it, and the training starts anew.") from error
    if (metadata.get("layout"), metadata.get("training")) != (LAYOUT, content_hash(kept.key)):
        raise ValueError(
            f"{kept.folder} holds the state of another training: other settings, data or code. "
            "Give another folder, or delete this one to start anew."
        )
    _refuse_misfits(run.module, tensors, kept.folder)
    run.module.load_state_dict(_below("module/", tensors))
    for name, parameter in run.module.named_parameters():
        if slots := _below(f"optimiser/{name}/", tensors):
            # As the parameter lies in memory: the order of operations, and so the last bit, can depend on it.
            run.optimiser.state[parameter] = {
                slot: value if slot == "step" else torch.empty_like(parameter).copy_(value)
                for slot, value in slots.items()
            }
    run.columns.update({name: values.tolist() for name, values in _below("log/", tensors).items()})
    remove_old_halves(kept.folder)
    return int(metadata["step"])


def _refuse_misfits(module: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Before anything is loaded: the code of a network or head may have changed under settings that did not."""
    found = {name: list(tensor.shape) for name, tensor in tensors.items() if not name.startswith("log/")}
    wanted = {f"module/{name}": list(tensor.shape) for name, tensor in module.state_dict().items()}
    parameters = {name: list(parameter.shape) for name, parameter in module.named_parameters()}
    for slot in _below("optimiser/", tensors):  # which there are is the optimiser's affair
        parameter, _, kind = slot.rpartition("/")
        if parameter in parameters:
            wanted[f"optimiser/{slot}"] = [] if kind == "step" else parameters[parameter]
    misfits = [
        f"{name} is {found.get(name, 'missing')}, wanted {wanted.get(name, 'nowhere')}"
        for name in wanted | found
        if found.get(name) != wanted.get(name)
    ]
    if misfits:
        more = f"; and {len(misfits) - 3} more" if len(misfits) > 3 else ""
        raise ValueError(
            f"{folder} holds the state of a network or head whose code has changed since: {'; '.join(misfits[:3])}{more}. "
            "Delete that folder, and the training starts anew."
        )


def remove_old_halves(folder: Path) -> None:
    """Remove what a killed process left half-written; another process may be writing the young ones."""
    for half in folder.glob(".half-*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - half.stat().st_mtime > HALF_LIVES_S:
                half.unlink()


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
