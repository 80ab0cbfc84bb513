"""The JSON files that stand beside weights, read within bounds."""

import json
from pathlib import Path

MOST_BYTES = 16 * 2**20
"""The largest encoders of the Hub have an index of some 0.1 MB; settings have a few thousand bytes."""


def read_json(path: Path) -> dict[str, object]:
    """An object in a file beside weights.

    Raises:
        ValueError: If it is too large to be one, is no JSON, or no object.
    """
    try:
        if (size := path.stat().st_size) > MOST_BYTES:
            raise ValueError(f"{path} has {size:,} bytes; such a file has some thousand. Copy or download it again.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        words = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise ValueError(f"{path} is no JSON ({words}). Copy it again.") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds a {type(content).__name__} where fields are expected. Copy it again.")
    return content
