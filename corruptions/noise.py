"""Noise on frames and clips: uint8 in, uint8 out, the same bits on every machine and device.

Every bit is a function of (definition, severity, video id, frame number, row, column, channel): the result does not
depend on how frames are batched, sliced, cropped, ordered or spread over workers. `corruptions.tables` says which noise
it is, `corruptions.bits` where the randomness comes from. Three engines draw the same pixels: `corruptions.compiled`
(numba, when installed) and `corruptions.arrays` (NumPy) in the processor's memory, `corruptions.tensors` (torch
operations) on any device.

Shapes: F frames, R rows, C columns, N = 3 * C values a row.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from corruptions import inputs
from corruptions.bits import frame_keys
from corruptions.definition import TABLES, Definition, checked_severity
from corruptions.tables import mean_shift

if TYPE_CHECKING:
    import torch

    from corruptions.inputs import FrameNumbers

    Frames = TypeVar("Frames", NDArray[np.uint8], torch.Tensor)

Engine = Literal["auto", "compiled", "plain", "torch"]

# Values worked on at a time: enough to drown the cost of a call, few enough to need far less than 64 MiB.
ARRAY_BLOCK = 1 << 18
TENSOR_BLOCK = 1 << 20
ACCELERATOR_BLOCK = 1 << 21


def corrupt(
    frames: "Frames",
    definition: Definition | str,
    severity: int,
    *,
    video_id: str,
    frame_numbers: "FrameNumbers",
    region: tuple[int, int, int, int] | None = None,
    engine: Engine = "auto",
) -> "Frames":
    """The frames with noise, in new memory; the input is left alone.

    Args:
        frames: uint8 RGB of one video, channels last: a clip [T, H, W, 3], a frame [H, W, 3], or several clips
            [..., T, H, W, 3]. A NumPy array, or a torch tensor on any device.
        definition: Which noise; its full name does as well.
        severity: 1 to 5.
        video_id: The video's name, the same one wherever this video is noised.
        frame_numbers: The frames' numbers in the video, counted from 0; one for each frame, in the shape of
            `frames` without its last three axes (so a single integer for a single frame).
        region: (top, left, full height, full width) when `frames` is cut out of larger frames: the noise is then
            that of this region of the full frame.
        engine: "auto" is the fastest at hand: compiled for frames in the processor's memory if numba is installed, else
            plain. "plain" does without numba: NumPy for frames in the processor's memory, tensors included, torch
            operations on other devices. "torch" uses torch operations for any tensor. All give the same bits.

    Returns:
        Frames of the same type, shape and device.
    """
    if isinstance(definition, str):
        definition = Definition.parse(definition)
    severity = checked_severity(severity)
    inputs.check_video_id(video_id)
    inputs.check_frames(frames)
    top, left = inputs.corner(region, frames.shape[-3], frames.shape[-2])
    numbers = inputs.checked_frame_numbers(frame_numbers, tuple(frames.shape[:-3]))
    if definition.hold:
        numbers = [0] * len(numbers)
    keys_F2 = frame_keys(definition.name, severity, video_id, numbers)

    chosen = _module_for(engine, frames)

    # A tensor in the processor's memory and the array that `numpy()` makes of it are the same bytes.
    given: Any = frames
    torch = sys.modules["torch"] if inputs.is_tensor(given) else None
    if chosen == "tensors":
        most = TENSOR_BLOCK if given.device.type == "cpu" else ACCELERATOR_BLOCK
        out: Any = given.new_empty(given.shape)
    else:
        most = ARRAY_BLOCK
        given = given.numpy() if torch else given
        out = np.empty(given.shape, np.uint8)

    if 0 not in given.shape:
        add_noise = importlib.import_module(f"corruptions.{chosen}").add_noise  # numba and torch: when they are used
        frames_FRC3, out_FRC3 = (x.reshape(-1, *x.shape[-3:]) for x in (given, out))
        for at_F, at_R in _blocks(frames_FRC3.shape, most):
            add_noise(
                _values(frames_FRC3[at_F, at_R]),
                keys_F2[at_F],
                definition.family,
                definition.constant(severity),
                top + at_R.start,
                3 * left,
                _values(out_FRC3[at_F, at_R]),
            )
    noisy: Frames = torch.from_numpy(out) if torch and chosen != "tensors" else out
    return noisy


def _blocks(shape: tuple[int, ...], most: int) -> Iterator[tuple[slice, slice]]:
    """Frames and rows of about `most` values: some whole frames, or some rows of one frame."""
    num_frames, num_rows, num_columns, _ = shape
    rows = max(1, min(num_rows, most // (3 * num_columns)))
    frames = max(1, most // (3 * num_columns * num_rows))
    for f in range(0, num_frames, frames):
        for r in range(0, num_rows, rows):
            yield slice(f, f + frames), slice(r, r + rows)


def _values(block_FRC3: Any) -> Any:
    """The block as [F, R, 3 * C], copied only if it does not lie in one piece."""
    in_one_piece = block_FRC3.contiguous() if inputs.is_tensor(block_FRC3) else np.ascontiguousarray(block_FRC3)
    return in_one_piece.reshape(*block_FRC3.shape[:2], -1)


def _module_for(engine: Engine, frames: Any) -> Literal["compiled", "arrays", "tensors"]:
    """The module that does the work; an engine that cannot do it is refused."""
    if engine not in get_args(Engine):
        raise ValueError(f"engine is {engine!r}; expected one of {', '.join(get_args(Engine))}")
    if engine == "torch":
        if not inputs.is_tensor(frames):
            raise ValueError(f"the torch engine works on tensors, not on a {type(frames).__name__}; use engine='auto'")
        return "tensors"
    elsewhere = inputs.is_tensor(frames) and frames.device.type != "cpu"
    if engine == "compiled":
        if elsewhere:
            raise ValueError(f"the compiled engine does not reach {frames.device}; use engine='auto'")
        if not _has_numba():
            raise ValueError("the compiled engine needs numba, which is not installed; use engine='auto'")
    if elsewhere:
        return "tensors"
    return "arrays" if engine == "plain" or not _has_numba() else "compiled"


@cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@dataclass(frozen=True)
class Noise:
    """One definition as a corruption that the conformance kit can judge (see `corruptions.conformance.Corruption`)."""

    definition: Definition

    works_on: ClassVar[Literal["value"]] = "value"
    is_random: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The definition's full name."""
        return self.definition.name

    @property
    def mean_shift(self) -> tuple[float, ...]:
        """The most that the expected mean of any frame can move, severities 1 to 5, in grey levels."""
        constants = TABLES[self.definition.table].constants[self.definition.family]
        return tuple(float(np.abs(mean_shift(self.definition.family, c)).max()) for c in constants)

    def __call__(
        self,
        frames: "Frames",
        severity: int,
        *,
        video_id: str,
        frame_numbers: "FrameNumbers",
        region: tuple[int, int, int, int] | None = None,
    ) -> "Frames":
        """See `corrupt`."""
        return corrupt(frames, self.definition, severity, video_id=video_id, frame_numbers=frame_numbers, region=region)
