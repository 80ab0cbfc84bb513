"""Conditions as people type them: `shot`, `shot#3`, `shot/imagenet-c@source/held/v1#3`, `clean`.

Everything here is at position `source`: a file holds decoded frames at their own size. Noise at position `input` belongs
on the frames that a model sees, after resize and crop, and no file holds these.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.schema import CLEAN, Condition
from corruptions.definition import FAMILIES, SEVERITIES, Definition, checked_severity
from corruptions.noise import corrupt

Frames = NDArray[np.uint8]


def definition_named(name: str) -> Definition:
    """The noise of that family under the default table, or of that full name.

    Raises:
        ValueError: There is no such noise, or it does not belong on the frames of a file.
    """
    definition = Definition.parse(name) if "/" in name else Definition(name)
    if definition.position != "source":
        raise ValueError(
            f"{definition.name} belongs on the frames a model sees, after resize and crop; a video file holds frames "
            f"at their own size. Use {Definition(definition.family, definition.table, hold=definition.hold).name}."
        )
    return definition


def noise(name: str, severity: int) -> Condition:
    """One noise at one severity.

    Raises:
        ValueError: There is no such noise or severity.
    """
    return Condition(corruption=definition_named(name).name, severity=checked_severity(severity))


def conditions_named(words: Sequence[str]) -> tuple[Condition, ...]:
    """The conditions of these words, each once; the benchmark's twenty where there are no words.

    Args:
        words: `clean`, a noise (all severities), or noise#severity; a noise is a family or a full name.

    Raises:
        ValueError: A word names no condition.
    """
    found: dict[Condition, None] = {}
    for word in words or FAMILIES:
        name, mark, level = word.partition("#")
        if word == "clean":
            found[CLEAN] = None
        elif not mark:
            found.update((noise(name, severity), None) for severity in SEVERITIES)
        elif level.isdecimal():
            found[noise(name, int(level))] = None
        else:
            raise ValueError(
                f"{word!r} is no condition; expected clean, a noise such as shot, or noise#severity: shot#3."
            )
    return tuple(found)


def folder_of(condition: Condition) -> str:
    """The condition's name as a folder: `shot-ucf101-p@source-v1-severity-3`."""
    if condition == CLEAN:
        return str(condition)
    return f"{condition.corruption.replace('/', '-')}-severity-{condition.severity}"


def under(condition: Condition, frames_THW3: Frames, video_id: str, first_frame: int) -> Frames:
    """Consecutive frames of a video under a condition; the same array where it is clean."""
    if condition == CLEAN:
        return frames_THW3
    numbers = range(first_frame, first_frame + len(frames_THW3))
    return corrupt(frames_THW3, condition.corruption, condition.severity, video_id=video_id, frame_numbers=numbers)
