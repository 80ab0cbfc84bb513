"""Clip retrieval: does the nearest training video share the class?

Pretrained features, averaged over the views of a video; cosine; each test video asks all training videos. The gallery
is the data set's whole training list, so training and validation videos together: nothing is chosen in this stage.
Equally near videos come in the order of their ids. A feature of length zero has no direction and is near to nothing.

Source of the protocol: Xu et al., "Self-supervised spatiotemporal learning via video clip order prediction", CVPR 2019,
section 4.4, as in the paper: a hit at k is a neighbour of the right class among the k nearest.

Shapes: N test videos, M gallery videos, D features, k neighbours.
"""

import numpy as np
from numpy.typing import NDArray

from bench.forward import features
from bench.guesses import Guesses, StageOutput
from bench.schema import CLEAN
from bench.stages.case import Case

Values = NDArray[np.float32]

QUERIES_AT_ONCE = 512


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


def nearest(queries_ND: Values, gallery_MD: Values, k: int) -> NDArray[np.int64]:
    """Rows of the gallery by falling cosine, equals by row number: [N, k]."""
    queries, gallery = _unit(queries_ND), _unit(gallery_MD)
    starts = range(0, len(queries), QUERIES_AT_ONCE)
    # Rounded to multiples of 2^-40, cosines of equal features are equal in whatever order a library sums.
    return np.concatenate(
        [_largest(np.rint(queries[at : at + QUERIES_AT_ONCE] @ gallery.T * 2.0**40), k) for at in starts]
    )


def _largest(similarity_NM: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Columns of the k largest entries of each row, largest first, equals by column."""
    if k == similarity_NM.shape[1]:
        return np.argsort(-similarity_NM, axis=1, kind="stable")
    some_Nk = np.sort(np.argpartition(-similarity_NM, k - 1, axis=1)[:, :k], axis=1)
    values_Nk = np.take_along_axis(similarity_NM, some_Nk, axis=1)
    order_Nk = np.argsort(-values_Nk, axis=1, kind="stable")
    found_Nk: NDArray[np.int64] = np.take_along_axis(some_Nk, order_Nk, axis=1)
    last_N1 = values_Nk.min(axis=1, keepdims=True)
    # Where more than k are as near as the k-th, the partition took any of them.
    for row in np.flatnonzero((similarity_NM >= last_N1).sum(axis=1) > k):
        found_Nk[row] = np.argsort(-similarity_NM[row], kind="stable")[:k]
    return found_Nk


def _unit(features_ND: Values) -> NDArray[np.float64]:
    wide_ND = features_ND.astype(np.float64)
    length_N1 = np.linalg.norm(wide_ND, axis=1, keepdims=True)
    unit_ND: NDArray[np.float64] = np.divide(wide_ND, length_N1, out=np.zeros_like(wide_ND), where=length_N1 > 0)
    return unit_ND
