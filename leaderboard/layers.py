"""CKA maps of one row, computed from its stored Gram matrices alone."""

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.results import StoredResult
from bench.statistics.similarity import permutation_floor, similarity_map
from leaderboard.measures import estimate
from leaderboard.views import Similarity, SimilarityMap

MAPS = (
    ("Pretrained", "within the model", "pretrained", "pretrained"),
    ("Before × after", "finetuned across, pretrained up", "finetuned", "pretrained"),
    ("Finetuned", "within the model", "finetuned", "finetuned"),
)


def similarity(stored: StoredResult, dataset: str) -> Similarity | None:
    """The three maps of a row: within the pretrained model, before against after finetuning, within the finetuned."""
    grams = {one.model: one for one in stored.grams() if one.dataset == dataset}
    if "pretrained" not in grams:
        return None
    pretrained = grams["pretrained"]
    maps = []
    floor = permutation_floor(pretrained, grams.get("finetuned", pretrained))
    for title, words, across, up in MAPS:
        if across in grams and up in grams:
            values_LL = similarity_map(grams[up], grams[across])
            maps.append(_map(title, words, across, up, values_LL, floor))
    kept = estimate(stored.result.find("cka", dataset, "kept_after_finetuning"))
    batches, size = pretrained.grams_LBNN.shape[1], pretrained.grams_LBNN.shape[-1]
    return Similarity(
        layers=pretrained.layers,
        groups=groups(pretrained.layers),
        videos=batches * size,
        floor=round(floor, 4),
        maps=tuple(maps),
        kept_after_finetuning=kept,
    )


def groups(layers: Sequence[str]) -> tuple[tuple[str, int, int], ...]:
    """Runs of neighbouring layers with one name up to the last dot or underscore with a number: name, first, last."""
    runs: list[tuple[str, int, int]] = []
    for index, layer in enumerate(layers):
        name = _family(layer)
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], index)
        else:
            runs.append((name, index, index))
    return tuple(runs)


def _family(layer: str) -> str:
    """`stage2_3` and `stage2.3` -> `stage2`; `stem` stays."""
    return re.sub(r"[._]\d+$", "", layer)


def _map(title: str, words: str, across: str, up: str, values_LL: NDArray[np.floating], floor: float) -> SimilarityMap:
    values = tuple(tuple(round(float(v), 4) if np.isfinite(v) else None for v in row) for row in values_LL)
    return SimilarityMap(
        title=title,
        words=words,
        across=across,
        up=up,
        values=values,
        told_apart=tuple(tuple(v is not None and v > floor for v in row) for row in values),
    )
