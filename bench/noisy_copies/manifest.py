"""What a copy on disk holds: one row a file, with digests; while the copy grows, a journal that a kill cannot harm.

`manifest.json` appears by one rename when a copy is whole. Until then `unfinished/rows.jsonl` has the identity of the copy in
its first line and a row a line after it. A row is written after its file has been renamed into its place.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.video.decode import PIXEL_CONTRACT
from bench.video.index import VideoSet

FORMAT = 1
NAME = "manifest.json"
UNFINISHED = "unfinished"
JOURNAL = "rows.jsonl"


@dataclass(frozen=True)
class Row:
    """One file of a copy."""

    video_id: str
    condition: str
    file: str
    """Below the copy's folder, POSIX."""

    num_frames: int
    height: int
    width: int
    frames_digest: str
    """SHA-256 over the frames' RGB bytes and then their shape, as in `185x240x320x3`."""

    file_bytes: int
    file_digest: str
    """SHA-256."""

    original_digest: str
    """SHA-256 of the file that was copied."""


Rows = dict[tuple[str, str], Row]
"""By video id and condition."""


def identity(videos: VideoSet) -> dict[str, Any]:
    """What must be alike for two exports to be parts of one copy."""
    return {
        "format": FORMAT,
        "videos": videos.name,
        "videos_hash": videos.manifest_hash,
        "pixel_contract": PIXEL_CONTRACT,
        "decoder": f"av {version('av')}",
    }


def read_rows(out: Path, own: Mapping[str, Any]) -> Rows:
    """The rows of the copy in a folder; none where it is new or empty.

    Raises:
        ValueError: The folder holds something else, or another copy.
    """
    manifest, journal = out / NAME, out / UNFINISHED / JOURNAL
    if journal.exists():
        found, rows = _parsed(journal, _journal_lines)
    elif manifest.exists():
        found, rows = _parsed(manifest, lambda text: (json.loads(text), json.loads(text)["files"]))
    elif not out.exists():
        return {}
    elif not out.is_dir():
        raise ValueError(f"{out} is a file; expected a folder.")
    elif any(path.name != UNFINISHED and not path.name.startswith(".") for path in out.iterdir()):
        raise ValueError(f"{out} is not empty and holds no export; choose a new folder.")
    else:
        return {}
    if other := [
        f"{name} {found.get(name)!r}, not {value!r}" for name, value in own.items() if found.get(name) != value
    ]:
        raise ValueError(f"{out} holds another export ({'; '.join(other)}); choose a new folder.")
    return {(row.video_id, row.condition): row for row in rows}


def write_manifest(out: Path, own: Mapping[str, Any], videos: VideoSet, rows: Rows) -> Path:
    """The rows in the order of conditions and videos, and each video's class."""
    ordered = [asdict(rows[key]) for key in sorted(rows, key=lambda key: (key[1], key[0]))]
    classes = {video.video_id: videos.class_names[video.label] for video in videos.videos if video.label is not None}
    content = {**own, "classes": classes, "files": ordered}
    _write_whole(out / NAME, out / UNFINISHED / NAME, json.dumps(content, ensure_ascii=False, indent=1) + "\n")
    return out / NAME


class Journal:
    """The rows so far; begun anew with those that still hold."""

    def __init__(self, out: Path, own: Mapping[str, Any], rows: Iterable[Row]) -> None:
        path = out / UNFINISHED / JOURNAL
        text = "".join(_line(content) for content in (own, *map(asdict, rows)))
        _write_whole(path, path.with_suffix(".new"), text)
        self._file = path.open("a", encoding="utf-8")

    def add(self, row: Row) -> None:
        """Write one row, to the disk itself."""
        self._file.write(_line(asdict(row)))
        self._file.flush()
        os.fsync(self._file.fileno())

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _parsed(path: Path, parse: Any) -> tuple[dict[str, Any], list[Row]]:
    try:
        found, rows = parse(path.read_text(encoding="utf-8"))
        return dict(found), [Row(**row) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; choose a new folder.") from error


def _journal_lines(text: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    # What follows the last line break is half a row: the process was killed while it wrote it.
    found, *rows = [json.loads(line) for line in text.split("\n")[:-1]]
    return found, rows


def _line(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False) + "\n"


def _write_whole(path: Path, beside: Path, text: str) -> None:
    with beside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
