"""Clip retrieval: does the nearest training video share the class?

Pretrained features, averaged over the views of a video; cosine; each test video asks all training videos. The gallery
is the data set's whole training list, so training and validation videos together: nothing is chosen in this stage.
Equally near videos come in the order of their ids. A feature of length zero has no direction and is near to nothing.

Source of the protocol: Xu et al., "Self-supervised spatiotemporal learning via video clip order prediction", CVPR 2019,
section 4.4, as in the paper: a hit at k is a neighbour of the right class among the k nearest.

Shapes: N test videos, M gallery videos, D features, k neighbours, J a few more.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from bench.forward import features
from bench.guesses import Guesses, StageOutput
from bench.schema import CLEAN
from bench.stages.case import Case

Values = NDArray[np.float32]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

QUERIES_AT_ONCE = 512
SPARE = 14
"""Neighbours looked at beyond those that are asked for."""

MOST_OPEN = 32
"""Neighbours of one video that may be settled pair by pair; with more, its whole row is computed again."""


def run(case: Case) -> StageOutput:
    """For every test video the labels of its nearest training videos, nearest first."""
    dataset, views = case.dataset, case.suite.views
    gallery_ids = dataset.train.ids + dataset.validation.ids
    gallery_labels_M = np.concatenate([dataset.train.labels, dataset.validation.labels])
    gallery_MD = np.concatenate([features(case, split, views.train)[CLEAN] for split in ("train", "validation")])
    queries_ND = features(case, "test", views.test)[CLEAN]
    by_id_M = np.array(sorted(range(len(gallery_ids)), key=gallery_ids.__getitem__))
    nearest_Nk = nearest(queries_ND, gallery_MD[by_id_M], min(max(case.suite.retrieval.ks), len(gallery_ids)))
    ranking_Nk = gallery_labels_M[by_id_M][nearest_Nk].astype(np.int16)
    guesses = Guesses("retrieval", dataset.name, dataset.test.ids, ranking_Nk)
    return StageOutput((guesses,), facts={"gallery": len(gallery_ids)})


def nearest(queries_ND: Values, gallery_MD: Values, k: int) -> Integers:
    """Rows of the gallery by falling cosine, equals by row number: [N, k].

    The order is that of float64 cosines rounded to multiples of 2^-40, so that those of equal features are equal in whatever
    order a library sums. Most of it is settled in float32, whose error is bounded; float64 decides the rest.
    """
    queries, gallery = _unit(queries_ND), _unit(gallery_MD)
    if len(gallery) <= k + SPARE:
        return _largest(_rounded(queries @ gallery.T), k)
    # What all features have in common tells no neighbours apart and would fill float32's digits. It is taken out: a cosine
    # is `common_N`, the same for all of a query's neighbours, plus a product of short vectors.
    (middle_D,) = _unit(gallery.mean(axis=0, keepdims=True))
    share_N, share_M = queries @ middle_D, gallery @ middle_D
    left_ND, across_MD = queries - share_N[:, None] * middle_D, gallery - share_M[:, None] * middle_D
    common_N, along_M = share_N * share_M.mean(), share_M - share_M.mean()
    # Of a sum of products in any order, its factors rounded: Higham, Accuracy and Stability, section 3.1.
    largest_N = np.linalg.norm(left_ND, axis=1) * np.linalg.norm(across_MD, axis=1).max()
    largest_N += np.abs(share_N) * np.abs(along_M).max()
    error_N = (queries.shape[1] + 5) * 2.0**-24 * largest_N + 2.0**-40
    short_NE = np.column_stack([left_ND, share_N]).astype(np.float32)
    short_ME = np.column_stack([across_MD, along_M]).astype(np.float32)
    found = []
    for at in range(0, len(queries), QUERIES_AT_ONCE):
        block = slice(at, at + QUERIES_AT_ONCE)
        values, columns = torch.from_numpy(short_NE[block] @ short_ME.T).topk(k + SPARE, dim=1)
        values_NJ = values.numpy().astype(np.float64) + common_N[block, None]
        found.append(_settled(values_NJ, columns.numpy(), error_N[block], queries[block], gallery, k))
    return np.concatenate(found)


def _settled(
    values_NJ: Floats, columns_NJ: Integers, error_N: Floats, queries_ND: Floats, gallery_MD: Floats, k: int
) -> Integers:
    """The k nearest of the largest J columns. What their error leaves open is computed in float64: pairs, or a whole row."""
    touching = -np.diff(values_NJ, axis=1) <= 2 * error_N[:, None]
    open_NJ = np.pad(touching, ((0, 0), (1, 0))) | np.pad(touching, ((0, 0), (0, 1)))
    whole_N = values_NJ[:, k - 1] - values_NJ[:, -1] <= 2 * error_N  # more than J may be as near as the k-th
    whole_N |= open_NJ.sum(axis=1) > MOST_OPEN
    rows, places = np.nonzero(open_NJ & ~whole_N[:, None])
    values_NJ[rows, places] = np.einsum("pd,pd->p", queries_ND[rows], gallery_MD[columns_NJ[rows, places]])
    order_NJ = np.lexsort([columns_NJ, -_rounded(values_NJ)], axis=1)
    found_Nk: Integers = np.take_along_axis(columns_NJ, order_NJ[:, :k], axis=1)
    if whole_N.any():
        found_Nk[whole_N] = _largest(_rounded(queries_ND[whole_N] @ gallery_MD.T), k)
    return found_Nk


def _rounded(similarity: Floats) -> Floats:
    return np.rint(similarity * 2.0**40)


def _largest(similarity_NM: Floats, k: int) -> Integers:
    """Columns of the k largest entries of each row, largest first, equals by column."""
    if k == similarity_NM.shape[1]:
        return np.argsort(-similarity_NM, axis=1, kind="stable")
    some_Nk = np.sort(np.argpartition(-similarity_NM, k - 1, axis=1)[:, :k], axis=1)
    values_Nk = np.take_along_axis(similarity_NM, some_Nk, axis=1)
    order_Nk = np.argsort(-values_Nk, axis=1, kind="stable")
    found_Nk: Integers = np.take_along_axis(some_Nk, order_Nk, axis=1)
    last_N1 = values_Nk.min(axis=1, keepdims=True)
    # Where more than k are as near as the k-th, the partition took any of them.
    for row in np.flatnonzero((similarity_NM >= last_N1).sum(axis=1) > k):
        near = np.flatnonzero(similarity_NM[row] >= last_N1[row])
        found_Nk[row] = near[np.argsort(-similarity_NM[row, near], kind="stable")[:k]]
    return found_Nk


def _unit(features_ND: Values) -> Floats:
    wide_ND = features_ND.astype(np.float64)
    length_N1 = np.linalg.norm(wide_ND, axis=1, keepdims=True)
    unit_ND: Floats = np.divide(wide_ND, length_N1, out=np.zeros_like(wide_ND), where=length_N1 > 0)
    return unit_ND
