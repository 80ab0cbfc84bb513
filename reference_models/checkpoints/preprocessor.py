"""The colours of a repository of the Hub: what its preprocessor_config.json does to pixels from 0 to 255.

Source: transformers 5.23.0, video_processing_utils.py and models/vivit/video_processing_vivit.py: x * rescale_factor,
minus 1 for ViViT (`offset`), then minus image_mean over image_std. Ours: x / 255, minus mean, over std.
"""

from pathlib import Path
from typing import Any

from bench.schema import Normalisation
from reference_models.checkpoints.json_file import read_json

FILES = ("video_preprocessor_config.json", "preprocessor_config.json")


def colours_beside(path: Path) -> Normalisation | None:
    """What such a file beside `path` asks for; None where there is none.

    Raises:
        ValueError: If it cannot be read as such.
    """
    file = next((path.with_name(name) for name in FILES if path.with_name(name).is_file()), None)
    if file is None:
        return None
    said: dict[str, Any] = read_json(file)
    try:
        normalises = said.get("do_normalize", True)
        mean = said["image_mean"] if normalises else [0.0] * 3
        std = said["image_std"] if normalises else [1.0] * 3
        factor = 255 * (said.get("rescale_factor", 1 / 255) if said.get("do_rescale", True) else 1.0)
        kind = said.get("image_processor_type") or said.get("video_processor_type") or ""
        offset = 1.0 if said.get("offset", kind.startswith("Vivit")) else 0.0
        return Normalisation(
            mean=tuple((float(m) + offset) / factor for m in mean), std=tuple(float(s) / factor for s in std)
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ValueError(
            f"{file} does not say how colours are normalised ({type(error).__name__}: {error}). Give --mean and --std."
        ) from error
