"""From a checkpoint folder to a canonical copy that nobody edits any more."""

import os
import shutil
from pathlib import Path

from bench.home import Home
from reference_models.checkpoints.load import Loaded, load

KEPT = ("config.json", "model.safetensors", "README.md")


def keep(checkpoint: Path, home: Home) -> tuple[Loaded, Path]:
    """Load a checkpoint folder, and copy what belongs to it under its weight hash.

    Raises:
        ValueError: If it does not load whole; the sentence says what to do.
    """
    loaded = load(checkpoint)
    final = home.weights / loaded.encoder.weight_hash
    if not final.exists():
        half = home.weights / f".half-{os.getpid()}-{final.name}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        try:
            for name in KEPT:
                if (checkpoint / name).exists():
                    shutil.copyfile(checkpoint / name, half / name)
            half.rename(final)
        except OSError as error:
            shutil.rmtree(half, ignore_errors=True)
            if not final.exists():
                raise ValueError(
                    f"Could not copy the checkpoint to {final}: {error.strerror}. Free some space."
                ) from error
    return loaded, final
