"""A spot check of a row: some test videos are shown again to the fitted models that were kept; nothing is trained.

The videos are drawn by a hash of the result's id, from those that every model of the row has judged. What was fitted
(probes, finetuned models, students) and the features it stands on come from the cache of the first run; everything that
is said of a test video is computed anew. CKA is no prediction, and what another strength or epoch would have scored is not
what the row stands on: neither is compared.
"""

import hashlib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from bench.cache import Arrays, Cache, Key
from bench.guesses import Guesses
from bench.results import Rows
from bench.run import RUN, Videos
from bench.schema import STAGES, StageName
from bench.scoring import join
from bench.stages.case import Case

FITTED = ("linear_probe", "finetuned", "finetune-search", "student")
"""Kinds of cache entries that hold what a training came to."""

MODEL = ("stage", "model", "corruption", "severity", "seed")


@dataclass(frozen=True)
class FittedOnly(Cache):
    """Keeps what is computed in a folder of its own; reads from another cache all but what is said of test videos."""

    first: Cache

    def get(self, kind: str, key: Key) -> Arrays | None:
        """The arrays stored under the key.

        Raises:
            ValueError: If a fitted model is gone.
        """
        own = super().get(kind, key)
        learnt_from = kind == "outputs" and key["clips"]["split"] != "test"
        if own is not None or not (kind in FITTED or learnt_from):
            return own
        found = self.first.get(kind, key)
        if found is None and kind in FITTED:
            raise ValueError(
                f"A fitted model of this row ({kind.replace('_', ' ')}) is no longer in {self.first.folder}, so it cannot be "
                "run again without training. Verify the row in full, without --spot."
            )
        return found


def sampled(rows: Rows, share: float, result_id: str) -> tuple[str, ...]:
    """A share of a data set's test videos, one at least, of those that every model of the row has judged.

    Args:
        rows: The row's records on one data set.
        share: 0 to 1.
        result_id: Decides which.

    Raises:
        ValueError: If no video was judged by all.
    """
    columns = [rows[name].tolist() for name in (*MODEL, "video_id")]
    judged: dict[tuple[object, ...], set[str]] = {}
    for *model, video_id in zip(*columns, strict=True):
        judged.setdefault(tuple(model), set()).add(str(video_id))
    by_all = set.intersection(*judged.values()) if judged else set()
    if not by_all:
        raise ValueError("No test video was judged by every model of this row. Verify it in full, without --spot.")
    wanted = max(1, math.ceil(share * len(set.union(*judged.values()))))
    drawn = sorted(by_all, key=lambda name: hashlib.sha256(f"{result_id}\0{name}".encode()).digest())
    return tuple(sorted(drawn[:wanted]))


def some_videos(videos: Videos, ids: Iterable[str]) -> Videos:
    """The data set with these of its test videos alone."""
    test = videos.dataset.test.only(ids)
    clips = replace(videos.clips, sets={**videos.clips.sets, "test": test})
    return replace(videos, dataset=replace(videos.dataset, test=test), clips=clips)


def run_again(case: Case, videos: Videos, tell: Callable[[StageName, float], None]) -> Rows:
    """What the kept models say of the videos now.

    Args:
        case: Of these videos, with a `FittedOnly` cache.
        videos: As `some_videos` makes them: with the labels of the test videos, which only the scorer sees.
        tell: Hears of each stage and the share of it that is done.
    """
    # Each of the videos stood in the list of the robustness stage; it leaves none of them out again.
    robustness = case.suite.robustness.model_copy(update={"videos": None})
    case = replace(case, suite=case.suite.model_copy(update={"robustness": robustness}))
    guesses: list[Guesses] = []
    for stage in (stage for stage in STAGES if stage in case.protocol.stages and stage != "cka"):

        def report(_words: str, share: float, *, stage: StageName = stage) -> None:
            tell(stage, share)

        guesses += RUN[stage](case.reporting(report)).guesses
        tell(stage, 1.0)
    return join(guesses, videos.dataset.test)


def records_of(rows: Rows, dataset: str, ids: Iterable[str] | None = None) -> Rows:
    """The records on one data set that scores stand on; of these videos alone, where they are given."""
    candidates = np.isin(rows["stage"], ("linear_probe", "finetune")) & (rows["model"] != "")
    chosen = (rows["dataset"] == dataset) & ~candidates
    if ids is not None:
        chosen &= np.isin(rows["video_id"], list(ids))
    return {name: column[chosen] for name, column in rows.items()}
