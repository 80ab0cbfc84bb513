"""The noise of a clip in plain torch operations, on whatever device the tensor lives; the same bits as everywhere.

torch has no full set of operations on unsigned 64-bit integers, so the words are signed here: sums and products wrap
around to the same bits, and a mask after each right shift removes what the sign has put in. Where a clip is small, half
the time is the cost of calling an operation, so there are few of them, and constants are tensors: a Python number is made
into one at each call.

Shapes: F frames, R rows, W 64-bit words a row, N = 3 * columns values a row.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.bits import FIRST_FACTOR, GOLDEN, LANES, MASK, ROW_SHIFT, SECOND_FACTOR
from corruptions.tables import VALUES, alias_table


def add_noise(
    frames_FRN: Tensor,
    keys_F2: NDArray[np.uint64],
    family: str,
    constant: float,
    first_row: int,
    first_value: int,
    out_FRN: Tensor,
) -> None:
    """Fill `out_FRN` with the frames and their noise; the frames begin at that row and that value of the full frame."""
    device = frames_FRN.device
    _, num_rows, num_values = frames_FRN.shape
    lane = first_value % LANES
    num_words = -(-(lane + num_values) // LANES)
    starts_F11, twists_F11 = torch.from_numpy(keys_F2.T.reshape(2, -1, 1, 1).view(np.int64)).to(device)

    z_FRW = _circle_steps(first_row, num_rows, first_value // LANES, num_words, device) + starts_F11
    shifted_FRW = torch.empty_like(z_FRW)
    _mix(z_FRW, 30, shifted_FRW)
    z_FRW *= _FIRST_FACTOR
    z_FRW ^= twists_F11
    _mix(z_FRW, 27, shifted_FRW)
    z_FRW *= _SECOND_FACTOR
    _mix(z_FRW, 31, shifted_FRW)

    own = slice(lane, lane + num_values)
    bits_FRN = z_FRW.view(torch.int16)[..., own]
    scratch_FRN = shifted_FRW.view(torch.int16)[..., own]  # memory at hand is faster than new memory
    place_FRN = frames_FRN.to(torch.int16)
    place_FRN *= _VALUES
    torch.bitwise_and(bits_FRN, _BYTE, out=scratch_FRN)
    place_FRN |= scratch_FRN
    places_I = place_FRN.view(torch.uint16).to(torch.int32).view(-1)
    change_FRN = torch.index_select(_table_on(family, constant, device), 0, places_I).view(place_FRN.shape)
    # The change where the threshold is reached, else none: written as arithmetic, which torch vectorises and torch.where
    # on 16-bit integers it does not.
    torch.bitwise_or(bits_FRN, _BYTE, out=scratch_FRN)
    scratch_FRN.ge_(change_FRN)
    change_FRN *= scratch_FRN
    change_FRN ^= bits_FRN
    out_FRN.copy_(change_FRN)  # the low byte


def _mix(z: Tensor, shift: int, shifted: Tensor) -> None:
    """Do `z ^= z >> shift` as if z were unsigned."""
    torch.bitwise_right_shift(z, shift, out=shifted)
    shifted &= _WITHOUT_SIGN[shift]
    z ^= shifted


def _signed(word: int) -> Tensor:
    return torch.tensor(word - (1 << 64) if word >> 63 else word, device="cpu")


_FIRST_FACTOR, _SECOND_FACTOR = _signed(FIRST_FACTOR), _signed(SECOND_FACTOR)
_WITHOUT_SIGN = {shift: _signed(MASK >> shift) for shift in (30, 27, 31)}
_VALUES, _BYTE = (torch.tensor(number, dtype=torch.int16, device="cpu") for number in (VALUES, VALUES - 1))
"""Tensors without axes in the processor's memory: an operation on any device takes them as numbers."""


@lru_cache(maxsize=8)
def _circle_steps(first_row: int, num_rows: int, first_word: int, num_words: int, device: torch.device) -> Tensor:
    """`corruptions.bits.circle_steps` as signed integers on a device."""
    rows_R1 = torch.arange(first_row, first_row + num_rows, device=device)[:, None]
    words_W = torch.arange(first_word, first_word + num_words, device=device)
    return ((rows_R1 << ROW_SHIFT) + words_W) * _signed(GOLDEN)


@lru_cache(maxsize=64)
def _table_on(family: str, constant: float, device: torch.device) -> Tensor:
    """The alias table with alias XOR column in place of the alias: what has to change in the random bits' low byte."""
    column = np.arange(VALUES, dtype=np.int16)
    changes = (alias_table(family, constant).reshape(VALUES, VALUES) ^ column).ravel()
    return torch.from_numpy(changes).to(device)
