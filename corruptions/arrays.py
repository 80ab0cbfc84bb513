"""The noise of a block of frames in plain NumPy; the same bits as everywhere.

Shapes: F frames, R rows, N = 3 * columns values a row.
"""

import numpy as np
from numpy.typing import NDArray

from corruptions.bits import LANES, circle_steps, random_lanes
from corruptions.tables import alias_table


def add_noise(
    frames_FRN: NDArray[np.uint8],
    keys_F2: NDArray[np.uint64],
    family: str,
    constant: float,
    first_row: int,
    first_value: int,
    out_FRN: NDArray[np.uint8],
) -> None:
    """Fill `out_FRN` with the frames and their noise; the frames begin at that row and value of the full frame."""
    _, num_rows, num_values = frames_FRN.shape
    lane = first_value % LANES
    num_words = -(-(lane + num_values) // LANES)
    steps_RW = circle_steps(first_row, num_rows, first_value // LANES, num_words)
    bits_FRN = random_lanes(keys_F2, steps_RW)[..., lane : lane + num_values]

    place_FRN = frames_FRN.astype(np.uint16)
    place_FRN <<= np.uint16(8)
    place_FRN |= (bits_FRN & np.int16(255)).view(np.uint16)
    entry_FRN = np.empty(place_FRN.shape, np.int16)
    # mode="clip" spares a copy of the output; no place lies outside.
    alias_table(family, constant).take(place_FRN.astype(np.intp), out=entry_FRN, mode="clip")
    # bits where the threshold is not reached, else entry; np.where takes four times as long on random choices.
    below_FRN = (bits_FRN | np.int16(255)) < entry_FRN
    entry_FRN ^= (entry_FRN ^ bits_FRN) * below_FRN
    np.copyto(out_FRN, entry_FRN.view(np.uint16), casting="unsafe")  # the low byte
