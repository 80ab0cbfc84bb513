"""Our own contestants: backbones, pretext tasks, checkpoints, recipes.

They are judged through the same door as anyone's, and never train on the noise they are graded with.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from reference_models.checkpoints.load import Loaded


def load(name_or_path: str | Path) -> "Loaded":
    """A checkpoint, ready to be judged: `bench.run.evaluate(load(path).encoder, ...)`.

    Args:
        name_or_path: A checkpoint folder, the name of one that `reelproof pretrain` made, or `hf://ORG/NAME@commit`.

    Raises:
        ValueError: If it does not load whole; the sentence says what to do.
    """
    from reference_models.checkpoints.load import load as read  # noqa: PLC0415  (torch, only when it is needed)

    return read(name_or_path)
