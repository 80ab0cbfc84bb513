"""What may be noised: every wrong input ends here, in a sentence that says what was found and what is expected."""

import operator
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from corruptions.bits import LARGEST_COLUMN, LARGEST_FRAME_NUMBER, LARGEST_ROW

if TYPE_CHECKING:
    import torch

    FrameNumbers = int | Sequence[int] | NDArray[np.integer[Any]] | torch.Tensor


def is_tensor(value: object) -> bool:
    """Whether this is a torch tensor, asked without importing torch: who has a tensor has imported it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def check_frames(frames: Any) -> None:
    """Refuse anything but uint8 RGB with the channels last."""
    if not isinstance(frames, np.ndarray) and not is_tensor(frames):
        raise ValueError(
            f"frames are a {type(frames).__name__}; expected a uint8 NumPy array or torch tensor, [T, H, W, 3] or [H, W, 3]"
        )
    dtype = str(frames.dtype).removeprefix("torch.")
    if dtype != "uint8":
        raise ValueError(f"frames are {dtype}; expected uint8, 0 to 255: noise comes before scaling and normalisation")
    shape = tuple(frames.shape)
    if len(shape) < 3:
        raise ValueError(f"frames have shape {shape}; expected a clip [T, H, W, 3] or a frame [H, W, 3]")
    if shape[-1] != 3:
        first = " (channels first? move them to the end)" if 3 in shape[-4:-1] else ""
        raise ValueError(f"frames have shape {shape}; expected RGB channels last, [T, H, W, 3] or [H, W, 3]{first}")


def checked_frame_numbers(frame_numbers: "FrameNumbers", expected_shape: tuple[int, ...]) -> list[int]:
    """The frame numbers, flat, one for each frame."""
    given: Any = frame_numbers.cpu().numpy() if is_tensor(frame_numbers) else frame_numbers  # type: ignore[union-attr]
    numbers = np.asarray(given)
    if numbers.size == 0:
        numbers = numbers.astype(np.int64)  # an empty list is float64 to NumPy
    if numbers.dtype.kind not in "iu":
        raise ValueError(f"frame_numbers are {frame_numbers!r}; expected integers, counted from 0 in the video")
    if numbers.shape != expected_shape:
        raise ValueError(
            f"frame_numbers have shape {numbers.shape} for frames of shape {expected_shape} + (H, W, 3); "
            "expected one number for each frame"
        )
    flat: list[int] = numbers.ravel().tolist()
    for number in flat:
        if not 0 <= number <= LARGEST_FRAME_NUMBER:
            raise ValueError(f"frame number {number} is not possible; frames are counted from 0")
    return flat


def corner(region: tuple[int, int, int, int] | None, height: int, width: int) -> tuple[int, int]:
    """Top and left of frames of this height and width in the full frame, checked to lie inside."""
    if region is None:
        region = (0, 0, height, width)
    try:
        top, left, full_height, full_width = (operator.index(number) for number in region)
    except (TypeError, ValueError):
        raise ValueError(f"region is {region!r}; expected four integers (top, left, full height, full width)") from None
    if top < 0 or left < 0 or top + height > full_height or left + width > full_width:
        raise ValueError(
            f"frames of {height} x {width} at top {top}, left {left} do not lie inside a full frame "
            f"of {full_height} x {full_width}; region is (top, left, full height, full width)"
        )
    if top + height - 1 > LARGEST_ROW or left + width - 1 > LARGEST_COLUMN:
        raise ValueError(
            f"a full frame of {full_height} x {full_width} is too large; "
            f"at most {LARGEST_ROW + 1} x {LARGEST_COLUMN + 1} can be noised"
        )
    return top, left


def check_video_id(video_id: object) -> None:
    """Refuse a video without a name."""
    if not isinstance(video_id, str) or not video_id:
        raise ValueError(f"video_id is {video_id!r}; expected the video's name, a string that is not empty")
