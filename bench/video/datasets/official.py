"""What the files of official data sets have in common: a description, lists to find and read, videos to point at."""

import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.video.index import Dataset, Video, VideoSet
from bench.video.splitting import carve

VALIDATION_SHARE = 0.1


@dataclass(frozen=True)
class Description:
    """A data set in words, for somebody who wants to have it."""

    name: str
    title: str
    num_videos: int | None
    """Of all official lists; None where that depends on what one has, as with the next two."""

    num_classes: int | None
    gigabytes: float | None
    """Of the official files, about."""

    licence: str
    source: str
    """What counts as one recording: it does not cross the split that is made here, and intervals resample it."""

    layout: str
    """Which files are expected where below the root."""

    obtain: str


def read_lines(path: Path) -> list[str]:
    """Lines with something on them, stripped, in NFC; CRLF and a byte order mark do no harm."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text.") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    return [unicodedata.normalize("NFC", line.strip()) for line in text.splitlines() if line.strip()]


def read_class_numbers(path: Path) -> tuple[str, ...]:
    """The classes of a classInd.txt: `1 class`, a line for each, in the order of their numbers."""
    numbered: dict[int, str] = {}
    for line in read_lines(path):
        number, _, name = line.partition(" ")
        if not number.isdecimal() or not name.strip():
            raise ValueError(f"{path} has a line {line!r}; expected a number and a class.")
        numbered[int(number)] = name.strip()
    if sorted(numbered) != list(range(1, len(numbered) + 1)):
        raise ValueError(f"{path} does not number its classes from 1 on.")
    return tuple(numbered[number] for number in sorted(numbered))


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ValueError(f"{path} is no JSON, or was cut short ({error}).") from error


def find(name: str, *places: Path) -> Path:
    """A file or folder of this name in the first place that has it."""
    for place in places:
        if (place / name).exists():
            return place / name
    raise ValueError(f"there is no {name} in {' or '.join(map(str, places))}.")


def first_folder(*places: Path) -> Path:
    """The first of these folders that is there, else the last."""
    return next((place for place in places[:-1] if place.is_dir()), places[-1])


def with_validation(
    description: Description,
    rest: Sequence[Video],
    test: Sequence[Video],
    class_names: Sequence[str],
    *,
    shared_sources_because: str = "",
) -> Dataset:
    """The data set, with about a tenth of its training videos carved off for validation by whole sources."""
    names = tuple(class_names)
    held_out = carve(rest, names, VALIDATION_SHARE, "validation")
    train = tuple(video for video in rest if video.source not in held_out)
    validation = tuple(video for video in rest if video.source in held_out)
    return Dataset(
        name=description.name,
        train=VideoSet(f"{description.name} train", train, names),
        validation=VideoSet(f"{description.name} validation", validation, names),
        test=VideoSet(f"{description.name} test", tuple(test), names),
        pretrain=VideoSet(f"{description.name} pretrain", train, names),
        licence=description.licence,
        shared_sources_because=shared_sources_because,
    )
