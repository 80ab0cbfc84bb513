"""From a checkpoint to a canonical copy that nobody edits any more."""

import os
import shutil
from pathlib import Path

from bench.home import Home
from reference_models.hub import SOURCE, fetch, is_address
from submissions.checkpoint import ONNX, Arrived, arrive, onnx_file

KEPT = ("config.json", "preprocessor_config.json", "video_preprocessor_config.json", "model.safetensors", "README.md")


def keep(checkpoint: Path, home: Home) -> tuple[Arrived, Path]:
    """Load a checkpoint folder, an ONNX file, or either from the Hub, and copy what belongs to it under its weight hash.

    Raises:
        ValueError: If it does not load whole; the sentence says what to do.
    """
    fetched = fetch(checkpoint) if is_address(checkpoint) else None
    if fetched:
        checkpoint = fetched.folder
    loaded = arrive(checkpoint)
    final = home.weights / loaded.encoder.weight_hash
    if not final.exists():
        half = home.weights / f".half-{os.getpid()}-{final.name}"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        try:
            file = onnx_file(checkpoint)
            copied = {name: checkpoint / name for name in KEPT} if file is None else {ONNX: file}
            if fetched:
                copied[SOURCE] = checkpoint / SOURCE
            for name, source in copied.items():
                if source.exists():
                    shutil.copyfile(source, half / name)
            half.rename(final)
        except OSError as error:
            shutil.rmtree(half, ignore_errors=True)
            if not final.exists():
                raise ValueError(
                    f"Could not copy the checkpoint to {final}: {error.strerror}. Free some space."
                ) from error
    return loaded, final
