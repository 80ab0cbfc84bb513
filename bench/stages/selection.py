"""What choosing by the test set would have gained: guesses of the candidates that were not chosen.

Strengths of the probe and epochs of finetuning are chosen without a test label: by validation, and by the suite (the last
epoch). These guesses are made after the choice and from stored fits; `bench.scoring`, which has the labels, takes the best
of them and says by how much it is better. Nothing here goes back into a fit.

What it costs the finetuning stage: one centre view of every test video for every tenth epoch, about one percent of it.

Shapes: E candidates, N test videos, K classes.
"""

import copy
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.cache import Key
from bench.forward import logits
from bench.guesses import Guesses, StageOutput, rank_labels
from bench.schema import CLEAN, StageName
from bench.stages.case import Case
from bench.stages.classifier import FinetunedModel, fill
from bench.stages.lesson import MILESTONE_EPOCHS, milestone_key

Values = NDArray[np.float32]

GONE = (
    "The weights of earlier epochs of a finetuned model are not in the cache any more, so how much better another epoch "
    "is on the test videos is not told."
)


def candidates(case: Case, stage: StageName, said: Mapping[str, Values], seed: int = 0) -> tuple[Guesses, ...]:
    """Guesses of each candidate, by the name it has among the models of its stage."""
    ids = case.dataset.test.ids
    return tuple(
        Guesses(stage, case.dataset.name, ids, rank_labels(logits_NK), model=name, seed=seed)
        for name, logits_NK in said.items()
    )


def by_epoch(case: Case, model: FinetunedModel, key: Key, epochs: int, seed: int) -> StageOutput:
    """Guesses after every tenth epoch and after the last, from one centre view; none where there is no tenth before the last.

    The weights of the earlier epochs are removed once they have been read.
    """
    earlier = range(MILESTONE_EPOCHS, epochs, MILESTONE_EPOCHS)
    if not earlier:
        return StageOutput()
    names = [f"epoch {epoch}" for epoch in (*earlier, epochs)]
    path_key = {**key, "clips": case.suite.clip_set(case.dataset.name, "test", 1)}
    stored = case.cache.get("finetuned-by-epoch", path_key)
    if stored is None:
        found, scratch = [], copy.deepcopy(model)
        for epoch in earlier:
            weights = case.cache.get("finetuned-milestone", milestone_key(key, epoch))
            if weights is None:
                return StageOutput(remarks=(GONE,))
            fill(scratch, weights)
            found.append(logits(case, scratch, milestone_key(key, epoch), "test", 1)[CLEAN])
        found.append(logits(case, model, key, "test", 1)[CLEAN])
        stored = {"logits_ENK": np.stack(found)}
        case.cache.put("finetuned-by-epoch", path_key, stored)
        for epoch in earlier:
            case.cache.path("finetuned-milestone", milestone_key(key, epoch)).unlink(missing_ok=True)
    return StageOutput(candidates(case, "finetune", dict(zip(names, stored["logits_ENK"], strict=True)), seed))
