"""A checkpoint and the harness, joined: what `reelproof evaluate` and the worker both do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.data import reference_logits
from bench.device import device_named
from bench.estimate import StageCost, estimated
from bench.home import Home
from bench.results import StoredResult, write_result
from bench.run import Progress, Videos, bare_card, evaluate, processes_for
from bench.schema import Card
from bench.suites.protocol import Suite
from reference_models.backbones import build
from submissions.checkpoint import Arrived, arrive


@dataclass(frozen=True)
class Standing:
    """How a row stands on the board, apart from its numbers."""

    name: str = ""
    anchor: str = ""
    owner: str = ""


def judge(
    checkpoint: Path,
    suite: Suite,
    videos: Mapping[str, Videos],
    home: Home,
    *,
    standing: Standing | None = None,
    submission_id: int | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    before_writing: Callable[[], None] | None = None,
) -> StoredResult:
    """Load a checkpoint folder or an ONNX file, run every stage, write the result folder.

    Raises:
        ValueError: If the checkpoint does not load whole, or the harness refuses it; the sentence says what to do.
    """
    loaded = arrive(checkpoint, device_named(device))
    evaluation = evaluate(
        loaded.encoder,
        suite,
        videos,
        student=partial(build, suite.distillation.student),
        cache=home.cache,
        card=card_of(loaded, standing or Standing(), suite),
        reference_logits=reference_logits(suite),
        load_report=loaded.report,
        submission_id=submission_id,
        device=device,
        processes=processes_for(suite, device),
        progress=progress,
    )
    if before_writing is not None:
        before_writing()
    return write_result(home.results, evaluation.result, evaluation.rows, evaluation.grams)


def estimate(
    checkpoint: Path,
    suite: Suite,
    videos: Mapping[str, Videos],
    home: Home,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> list[StageCost]:
    """What `judge` would cost on this machine, from a little of every stage."""
    return estimated(
        arrive(checkpoint, device_named(device)).encoder,
        suite,
        videos,
        student=partial(build, suite.distillation.student),
        cache=home.cache,
        reference_logits=reference_logits(suite),
        device=device,
        processes=processes_for(suite, device),
        progress=progress,
    )


def card_of(loaded: Arrived, standing: Standing, suite: Suite) -> Card:
    """The encoder's card: what the checkpoint declares, and how the row stands."""
    config = loaded.config
    return bare_card(loaded.encoder, suite).model_copy(
        update={
            "name": standing.name or config.name,
            "anchor": standing.anchor,
            "owner": standing.owner or config.owner,
            "pretext": config.pretext,
            "family": config.family,
            "pretrained_on": config.pretrained_on,
            "licence": config.licence,
            "recipe": config.recipe,
        }
    )
