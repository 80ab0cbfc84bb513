"""Centred kernel alignment of layers, from stored minibatch Gram matrices alone.

Source: Nguyen, Raghu, Kornblith, "Do Wide and Deep Networks Learn the Same Things?", ICLR 2021, equations 2 and 3: the
unbiased HSIC of Song et al. (JMLR 2012), averaged over minibatches, over the roots of the layers' own averages.

HSIC is computed as the inner product of U-centred Gram matrices, Székely & Rizzo (Annals of Statistics, 2014), which is
the same number. U-centring takes out whatever is constant along a row or a column, so Grams of features that were
centred, nearly centred or not centred give the same result; those of centred ones only lose fewer digits.

The unbiased estimate may be negative. A layer whose own HSIC is not positive has no similarity: NaN, never a clamped number.

Shapes: L M layers, B minibatches, N videos of a minibatch.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from bench.guesses import Grams
from bench.names import generator
from bench.statistics.intervals import LEVEL, Estimate, freedom

Floats = NDArray[np.float64]

PERMUTATIONS = 20

ROUNDING = 2.0**-21
"""Of a float32 Gram matrix, relative to its largest entry."""


def similarity_map(rows: Grams, columns: Grams) -> Floats:
    """Similarity of every layer of one model with every layer of another (or the same), [L, M].

    Raises:
        ValueError: If the two were not computed on the same videos in the same minibatches.
    """
    _same_videos(rows, columns)
    rows_LBNN, columns_MBNN = u_centred(rows.grams_LBNN), u_centred(columns.grams_LBNN)
    cross_LM = hsic(rows_LBNN, columns_MBNN).mean(axis=0)
    return _ratio(cross_LM, own_hsic(rows_LBNN).mean(axis=0)[:, None], own_hsic(columns_MBNN).mean(axis=0)[None])


def kept(before: Grams, after: Grams, sources: Sequence[str] | None = None) -> Estimate:
    """Mean similarity of the layers that both models have, each with itself, and its 95 % interval.

    The interval is Student's, from the jackknife over sources: all videos of one are taken out of their minibatches.

    Args:
        before: Of one model.
        after: Of another, on the same videos.
        sources: Of the videos, in their order; every video is its own where this is None.
    """
    _same_videos(before, after)
    names = _shared_names(before, after)
    grams_2LBNN = np.stack([one.grams_LBNN[[one.layers.index(name) for name in names]] for one in (before, after)])
    batches, size = grams_2LBNN.shape[2:4]
    parts_BX = np.stack([_parts(grams_2LBNN[:, :, batch]) for batch in range(batches)])
    value = float(_mean_ratio(parts_BX.mean(axis=0))[0])

    names_G, source_N = np.unique(sources or before.video_ids, return_inverse=True)
    source_BN = source_N.reshape(batches, size)
    left_out = np.empty(len(names_G))
    for source in range(len(names_G)):
        parts = []
        for batch in range(batches):
            others = np.flatnonzero(source_BN[batch] != source)
            if len(others) == size:
                parts.append(parts_BX[batch])
            elif len(others) >= 4:
                parts.append(_parts(grams_2LBNN[:, :, batch][:, :, others][:, :, :, others]))
        left_out[source] = _mean_ratio(np.mean(parts, axis=0))[0] if parts else np.nan
    sizes_G = np.bincount(source_N).astype(np.float64)
    spread = ((left_out - left_out.mean()) ** 2).sum() * (len(names_G) - 1) / len(names_G)
    half = float(stdtrit(freedom(sizes_G), (1 + LEVEL) / 2) * np.sqrt(spread)) if len(names_G) > 1 else float("nan")
    return Estimate(value, max(value - half, -1.0), min(value + half, 1.0))


def shuffled_maps(rows: Grams, columns: Grams, permutations: int = PERMUTATIONS) -> Floats:
    """Maps with the videos of the second model shuffled within each minibatch, [permutations, L, M]: what chance gives."""
    _same_videos(rows, columns)
    rows_LBNN, columns_MBNN = u_centred(rows.grams_LBNN), u_centred(columns.grams_LBNN)
    own = own_hsic(rows_LBNN).mean(axis=0)[:, None], own_hsic(columns_MBNN).mean(axis=0)[None]
    maps = []
    for number in range(permutations):
        shuffled_MBNN = np.empty_like(columns_MBNN)
        for batch in range(columns_MBNN.shape[1]):
            order = generator("shuffled videos", number, batch).permutation(columns_MBNN.shape[-1])
            shuffled_MBNN[:, batch] = columns_MBNN[:, batch][:, order][:, :, order]
        maps.append(_ratio(hsic(rows_LBNN, shuffled_MBNN).mean(axis=0), *own))
    return np.stack(maps)


def permutation_floor(rows: Grams, columns: Grams, permutations: int = PERMUTATIONS) -> float:
    """The similarity that 95 % of all pairs of layers stay below when the videos of one model are shuffled."""
    maps = shuffled_maps(rows, columns, permutations)
    known = maps[np.isfinite(maps)]
    return float(np.quantile(known, LEVEL)) if len(known) else float("nan")


def kept_by_chance(before: Grams, after: Grams, permutations: int = PERMUTATIONS) -> float:
    """What `kept` would be if the layers had nothing to do with each other: its mean over shufflings."""
    names = _shared_names(before, after)
    rows, columns = ([one.layers.index(name) for name in names] for one in (before, after))
    diagonals = shuffled_maps(before, after, permutations)[:, rows, columns]
    known = diagonals[np.isfinite(diagonals)]
    return float(known.mean()) if len(known) else float("nan")


def u_centred(grams_LBNN: NDArray[np.floating]) -> Floats:
    """Gram matrices without diagonal, rows and columns summing to zero, in float64."""
    size = grams_LBNN.shape[-1]
    if size < 4:
        raise ValueError(f"A minibatch of {size} videos is too small: the unbiased estimate needs four.")
    grams = grams_LBNN.astype(np.float64)
    diagonal = np.arange(size)
    grams[..., diagonal, diagonal] = 0
    largest = np.abs(grams).max(axis=(-2, -1), keepdims=True)
    sums = grams.sum(axis=-1)
    grams -= (sums[..., :, None] + sums[..., None, :]) / (size - 2)
    grams += sums.sum(axis=-1)[..., None, None] / ((size - 1) * (size - 2))
    grams[..., diagonal, diagonal] = 0
    # What is left of a layer that says the same of every video is float32 rounding; its likeness to itself would be 1.
    grams[np.broadcast_to(np.abs(grams).max(axis=(-2, -1), keepdims=True) < ROUNDING * largest, grams.shape)] = 0
    return grams


def hsic(rows_LBNN: Floats, columns_MBNN: Floats) -> Floats:
    """Unbiased HSIC of every pair of layers in every minibatch, [B, L, M], from U-centred Grams."""
    size = rows_LBNN.shape[-1]
    rows_BLX, columns_BMX = (
        grams.swapaxes(0, 1).reshape(grams.shape[1], len(grams), -1) for grams in (rows_LBNN, columns_MBNN)
    )
    pairs_BLM: Floats = rows_BLX @ columns_BMX.swapaxes(1, 2) / (size * (size - 3))
    return pairs_BLM


def own_hsic(grams_LBNN: Floats) -> Floats:
    """Unbiased HSIC of every layer with itself, [B, L]."""
    size = grams_LBNN.shape[-1]
    own_BL: Floats = np.einsum("lbij,lbij->bl", grams_LBNN, grams_LBNN) / (size * (size - 3))
    return own_BL


def _parts(grams_2LNN: NDArray[np.floating]) -> Floats:
    """Of one minibatch of two models: cross HSIC of each layer, and the layers' own, one after the other, [3 L]."""
    before_LNN, after_LNN = u_centred(grams_2LNN)
    size = before_LNN.shape[-1]
    pairs = ((before_LNN, after_LNN), (before_LNN, before_LNN), (after_LNN, after_LNN))
    parts: Floats = np.concatenate([np.einsum("lij,lij->l", one, other) for one, other in pairs]) / (size * (size - 3))
    return parts


def _ratio(cross: Floats, own_rows: Floats, own_columns: Floats) -> Floats:
    # The roots are taken before the product: tiny HSICs would underflow in it.
    with np.errstate(divide="ignore", invalid="ignore"):
        positive = (own_rows > 0) & (own_columns > 0)
        ratio: Floats = np.where(positive, cross / (np.sqrt(own_rows) * np.sqrt(own_columns)), np.nan)
    return ratio


def _mean_ratio(parts: Floats) -> Floats:
    """Cross, own and own HSICs [..., 3 L] to the mean ratio [..., 1] of the layers that have one."""
    ratio_L = _ratio(*np.split(parts, 3, axis=-1))
    known_L = np.isfinite(ratio_L)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Floats = np.where(known_L, ratio_L, 0).sum(axis=-1, keepdims=True) / known_L.sum(axis=-1, keepdims=True)
    return mean


def _shared_names(before: Grams, after: Grams) -> list[str]:
    names = [name for name in before.layers if name in after.layers]
    if not names:
        raise ValueError(f"{before.model} and {after.model} share no layer, so nothing can be said to be kept.")
    return names


def _same_videos(one: Grams, other: Grams) -> None:
    if one.video_ids != other.video_ids or one.grams_LBNN.shape[1:] != other.grams_LBNN.shape[1:]:
        raise ValueError(
            f"The Gram matrices of {one.model} ({one.dataset}) and {other.model} ({other.dataset}) are of different videos "
            "or minibatches, so their layers cannot be compared."
        )
