"""Tubes: what of a clip is hidden, and what is to be drawn there.

Source: Tong et al., "VideoMAE", NeurIPS 2022, sections 3.2 and 3.3; MCG-NJU/VideoMAE at 14ef8d8, masking_generator.py and
engine_for_pretraining.py (CC-BY-NC: written from the specification). One mask over space is drawn for a clip and holds for
all its frames, so that nothing hidden can be copied from the frame before.

Differs from the source:
- the mask follows from a number that is drawn with the example: it is the same on any device, and whatever shares the batch;
- the source undoes the colour normalisation before it standardises a patch. Standardising a patch undoes it by itself; only
  the 1e-6 below is then in normalised units, which a patch that is not one colour cannot tell.

Shapes: B clips, C colours, T H W frames, rows, columns; N tubelets of V pixels, counted by time, row, column; P positions
over space.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EPSILON = 1e-6

Tubelet = tuple[int, int, int]
"""Frames, rows and columns."""

Over = Literal["tubelet", "clip", "time", "nothing"]
"""What the pixels to be drawn are standardised over. The source's is the tubelet: where most of a picture is still ground,
most of what is asked for is then its grain. Over the clip a tubelet counts by how far it stands out; `time` takes every
pixel's mean over time away first, and what moves is left. Over nothing the network's own colours are asked for, as in the
variant without normalised pixels of He et al., "Masked Autoencoders", CVPR 2022, table 1d. Clip and time are ours."""


def grid_of(clip_THW: tuple[int, int, int], tubelet: Tubelet) -> tuple[int, int, int]:
    """Tubelets along each axis."""
    frames, rows, columns = (whole // part for whole, part in zip(clip_THW, tubelet, strict=True))
    return frames, rows, columns


def cannot_hide(clip_THW: tuple[int, int, int], tubelet: Tubelet, ratio: float) -> str | None:
    """None if some positions would be hidden and some not, else what is wrong, as a sentence."""
    if any(whole % part for whole, part in zip(clip_THW, tubelet, strict=True)):
        return f"clips of {times(clip_THW)} do not divide into tubelets of {times(tubelet)}; take a clip of whole ones."
    _, rows, columns = grid_of(clip_THW, tubelet)
    positions = rows * columns
    if not 0 < int(ratio * positions) < positions:
        return (
            f"of {positions} positions over space, {int(ratio * positions)} would be hidden; "
            "take larger frames, smaller patches or another ratio, so that some are hidden and some are seen."
        )
    return None


def drawn_of(tubelet: Tubelet, shrink: int) -> Tubelet:
    """What is drawn of a tubelet, with so many times fewer rows and columns."""
    frames, rows, columns = tubelet
    return frames, rows // shrink, columns // shrink


def cannot_draw(tubelet: Tubelet, shrink: int) -> str | None:
    """None if a drawing so many times smaller has whole pixels, else what is wrong, as a sentence."""
    if any(side % shrink for side in tubelet[1:]):
        return f"tubelets of {times(tubelet)} cannot be drawn {shrink} times smaller; take a divisor."
    return None


def times(sizes: tuple[int, ...]) -> str:
    """`16 x 56 x 56`."""
    return " x ".join(map(str, sizes))


def draw_mask(rng: np.random.Generator) -> NDArray[np.int64]:
    """The number from which a clip's mask follows."""
    return np.asarray(rng.integers(2**63 - 1))


def hidden_tubes(masks_B: Tensor, grid: tuple[int, int, int], ratio: float) -> Tensor:
    """Which tubelets of each clip are hidden, [B, N] of booleans: exactly int(ratio x P) positions, in all their frames."""
    frames, rows, columns = grid
    positions = rows * columns
    hidden_BP = np.zeros((len(masks_B), positions), bool)
    for hidden_P, mask in zip(hidden_BP, masks_B.tolist(), strict=True):
        hidden_P[np.random.default_rng(mask).permutation(positions)[: int(ratio * positions)]] = True
    return torch.from_numpy(hidden_BP).to(masks_B.device).repeat(1, frames)


def cut_up(clips_BCTHW: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """A view of the clips by tubelets of this grid: every axis as (tubelet, place in it), [B, C, ., ., ., ., ., .]."""
    frames, rows, columns = grid
    return clips_BCTHW.unflatten(4, (columns, -1)).unflatten(3, (rows, -1)).unflatten(2, (frames, -1))


def tubelets(clips_BCTHW: Tensor, tubelet: Tubelet) -> Tensor:
    """The clips cut up: [B, N, V, C], the pixels of a tubelet by time, row, column."""
    frames, rows, columns = clips_BCTHW.shape[2:]
    cut = cut_up(clips_BCTHW, grid_of((frames, rows, columns), tubelet))
    return cut.permute(0, 2, 4, 6, 3, 5, 7, 1).flatten(4, 6).flatten(1, 3)


def to_draw(clips_BCTHW: Tensor, tubelet: Tubelet, over: Over) -> Tensor:
    """What is to be drawn, [B, N, V x C]: (x - mean) / (sqrt(unbiased variance) + 1e-6) within each colour."""
    if over == "tubelet":
        return standardised(tubelets(clips_BCTHW, tubelet), axis=2).flatten(2)
    if over == "nothing":
        return tubelets(clips_BCTHW, tubelet).flatten(2)
    if over == "time":
        clips_BCTHW = clips_BCTHW - clips_BCTHW.mean(2, keepdim=True)
    return tubelets(standardised(clips_BCTHW.flatten(2), axis=2).view(clips_BCTHW.shape), tubelet).flatten(2)


def standardised(x: Tensor, axis: int) -> Tensor:
    """Along an axis."""
    middle = x.mean(axis, keepdim=True)
    spread = x.var(axis, keepdim=True).sqrt()
    return (x - middle) / (spread + EPSILON)


def drawing_error(drawn_BMV: Tensor, target_BMV: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean squared error over what was hidden.

    Returns:
        Loss; and `explained`, the share by which the error is less than that of a grey tubelet, which draws the mean: 0 for
        who has learnt nothing, 1 for a perfect drawing. The grey tubelet's loss is (V - 1) / V, less where one is all of
        one colour; where pixels are standardised over the clip, it is the hidden ones' mean square.
    """
    with torch.autocast(drawn_BMV.device.type, enabled=False):
        error = (drawn_BMV.float() - target_BMV).square().mean()
        return error, {"explained": 1 - error.detach() / target_BMV.square().mean()}
