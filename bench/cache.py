"""What was computed once is not computed again.

An entry is a file named by the hash of its key; the whole key stands inside and is compared when the entry is read,
so a file in the wrong place is noticed. Writing goes through a temporary name and a rename: after a kill an entry is
whole or absent. A damaged entry is removed and counts as absent.
"""

import json
import logging
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from bench.schema import content_hash

Arrays = dict[str, NDArray[Any]]
Key = dict[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Cache:
    """Named arrays by key. The key is everything that determines the content, as JSON values."""

    folder: Path

    def path(self, kind: str, key: Key) -> Path:
        """Where the entry of this key lies, whether it exists or not."""
        return self.folder / kind / f"{content_hash({'kind': kind, 'key': key})}.safetensors"

    def get(self, kind: str, key: Key) -> Arrays | None:
        """The arrays stored under the key; None if there are none."""
        path = self.path(kind, key)
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="numpy") as entry:
                stored = json.loads((entry.metadata() or {}).get("key", "null"))
                arrays = {name: entry.get_tensor(name) for name in entry.keys()}  # noqa: SIM118  (not a dict)
        except (SafetensorError, OSError, ValueError) as error:
            log.warning("cache entry %s is damaged (%s); it will be computed again", path.name, error)
            path.unlink(missing_ok=True)
            return None
        if stored != json.loads(json.dumps(key)):
            log.warning("cache entry %s holds another key; it will be computed again", path.name)
            path.unlink(missing_ok=True)
            return None
        return arrays

    def put(self, kind: str, key: Key, arrays: Arrays) -> None:
        """Store the arrays under the key; whole or not at all."""
        content = save(
            {name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata={"key": json.dumps(key)}
        )
        write_atomically(self.path(kind, key), content)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is whole or absent, also after a kill or on a full disk.

    Raises:
        ValueError: If there is no space left, naming the file and its size.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".half-", suffix=path.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise ValueError(
            f"Could not write {path} ({len(content) / 2**20:.1f} MiB): {error.strerror}. "
            "Free some space or set REELPROOF_HOME to another disk."
        ) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
