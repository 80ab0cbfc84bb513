"""What stands in a checkpoint's config.json."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from bench.schema import ClipSpec, Frozen, Hash, ModelName, Normalisation

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"


def name_of_folder(folder: Path) -> str:
    """What a checkpoint is called that nobody has named: its folder's name, in the characters that a name may have."""
    return re.sub(r"^\W+|[^\w .+()·/@-]", "", folder.resolve().name)[:80] or "checkpoint"


class About(Frozen):
    """What its maker says of a checkpoint."""

    name: ModelName
    """Shown on the board where the submission names no other."""

    architecture: str
    """Name in reference_models.backbones."""

    normalisation: Normalisation = Normalisation()
    clip: ClipSpec | None = None
    """The clips it was trained with; none for a network that was not trained."""

    pretext: str = ""
    """What it was trained to answer; empty for a network that was not trained."""

    family: Literal["", "contrastive", "non-contrastive"] = ""
    pretrained_on: tuple[str, ...] = ()
    """Data sets whose videos were seen in pretraining, labels or not."""

    recipe: str = ""
    """Name of the recipe that made it, with its version of Reelproof."""

    licence: str = ""
    owner: str = ""


class CheckpointConfig(About):
    """config.json: what its maker says, and what was found when it was saved."""

    layout: Literal[1] = 1
    """Of the folder. A reader refuses a layout that it does not know."""

    feature_dim: Annotated[int, Field(gt=0)]
    weight_hash: Hash
    """As `bench.encoder.weight_hash` gives it; compared when the checkpoint is loaded."""

    reelproof: str = ""
    """Version that saved it."""
