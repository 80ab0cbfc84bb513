"""The noise of a clip in plain torch operations, on whatever device the tensor lives; the same bits as everywhere.

torch has no full set of operations on unsigned 64-bit integers, so the words are signed here: sums and products wrap
around to the same bits, and a mask after each right shift removes what the sign has put in.

Shapes: F frames, R rows, W 64-bit words a row, N = 3 * columns values a row.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.bits import FIRST_FACTOR, GOLDEN, LANES, MASK, ROW_SHIFT, SECOND_FACTOR
from corruptions.tables import alias_table


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
    keys_2F11 = torch.from_numpy(keys_F2.view(np.int64)).to(device).T[:, :, None, None]

    rows_R1 = torch.arange(first_row, first_row + num_rows, device=device)[:, None]
    words_W = torch.arange(num_words, device=device) + first_value // LANES
    z_FRW = ((rows_R1 << ROW_SHIFT) + words_W) * _signed(GOLDEN) + keys_2F11[0]
    shifted_FRW = torch.empty_like(z_FRW)
    _mix(z_FRW, 30, shifted_FRW)
    z_FRW *= _signed(FIRST_FACTOR)
    z_FRW ^= keys_2F11[1]
    _mix(z_FRW, 27, shifted_FRW)
    z_FRW *= _signed(SECOND_FACTOR)
    _mix(z_FRW, 31, shifted_FRW)

    own = slice(lane, lane + num_values)
    bits_FRN = z_FRW.view(torch.int16)[..., own]
    scratch_FRN = shifted_FRW.view(torch.int16)[..., own]  # memory at hand is faster than new memory
    torch.bitwise_and(bits_FRN, 255, out=scratch_FRN)
    place_FRN = frames_FRN.to(torch.int32)
    place_FRN <<= 8
    place_FRN |= scratch_FRN
    table = _table_on(family, constant, device)
    entry_FRN = table.index_select(0, place_FRN.view(-1)).view(place_FRN.shape)
    # bits where the threshold is not reached, else entry: written as arithmetic, which torch vectorises and
    # torch.where on 16-bit integers it does not.
    torch.bitwise_or(bits_FRN, 255, out=scratch_FRN)
    scratch_FRN.lt_(entry_FRN)
    bits_FRN -= entry_FRN
    bits_FRN *= scratch_FRN
    entry_FRN += bits_FRN
    out_FRN.copy_(entry_FRN)  # the low byte


def _mix(z: Tensor, shift: int, shifted: Tensor) -> None:
    """Do `z ^= z >> shift` as if z were unsigned."""
    torch.bitwise_right_shift(z, shift, out=shifted)
    shifted &= MASK >> shift
    z ^= shifted


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


@lru_cache(maxsize=64)
def _table_on(family: str, constant: float, device: torch.device) -> Tensor:
    return torch.tensor(alias_table(family, constant), device=device)
