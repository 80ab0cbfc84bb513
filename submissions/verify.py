"""Run a row again, whole or on some of its videos, and say whether it holds: MATCH, WITHIN NOISE, DRIFT or MISMATCH."""

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bench.cache import Cache
from bench.data import reference_logits
from bench.device import device_named
from bench.environment import environment
from bench.home import Home
from bench.results import Rows, StoredResult, read_results
from bench.run import Progress, Videos, cache_folder, open_case
from bench.schema import STAGES, Environment, StageName
from bench.statistics.verdicts import Verdict, compare_runs
from bench.suites.protocol import Suite
from reference_models.backbones import build
from submissions.checkpoint import arrive
from submissions.evaluate import Standing, judge
from submissions.spot import FittedOnly, records_of, run_again, sampled, some_videos


@dataclass(frozen=True)
class Verified:
    """What a second run came to."""

    verdict: Verdict
    differs: tuple[str, ...]
    """Where the environments differ, in words."""


def find_row(home: Home, row: str) -> StoredResult:
    """The newest result whose id, encoder hash or model name begins so.

    Raises:
        ValueError: If there is none, naming those there are.
    """
    stored = read_results(home.results)
    found = [
        one
        for one in stored
        if any(
            word.casefold().startswith(row.casefold())
            for word in (one.result.result_id, one.result.card.encoder_hash, one.result.card.name)
        )
    ]
    if not found:
        known = (
            ", ".join(f"{one.result.card.encoder_hash[:8]} ({one.result.card.name})" for one in stored) or "none yet"
        )
        raise ValueError(f"No result begins with {row!r}. Results here: {known}.")
    found = [one for one in found if one.result.card.name.casefold() == row.casefold()] or found
    if len({one.result.card.encoder_hash for one in found}) > 1:
        names = ", ".join(f"{one.result.card.encoder_hash[:8]} ({one.result.card.name})" for one in found)
        raise ValueError(f"{row!r} means several rows: {names}. Give more digits.")
    return found[-1]


def verify(
    stored: StoredResult,
    suite: Suite,
    videos: Mapping[str, Videos],
    home: Home,
    *,
    stages: Collection[StageName] = STAGES,
    device: str = "auto",
    progress: Progress | None = None,
) -> Verified:
    """Replay stages with an empty cache, from the kept weights, and compare per-video predictions.

    Args:
        stored: The row.
        suite: What it was scored under.
        videos: The suite's.
        home: Where its weights are kept.
        stages: Those to replay, with what they stand on; all by default. The verdict is about these.
        device: cpu, cuda or auto.
        progress: Hears of each stage.

    Raises:
        ValueError: If the kept weights are gone, the suite is another one than that of the row, or there is nothing to compare.
    """
    result, weights = stored.result, kept_weights(stored, suite, home)
    suite, rows = only_stages(suite, stages), stored.rows()
    rows = {name: column[np.isin(rows["stage"], list(stages))] for name, column in rows.items()}
    if not len(rows["stage"]):
        raise ValueError(
            f"The row holds no prediction of {' or '.join(sorted(stages))}, so there is nothing to compare."
        )
    scratch = Home(home.root / "verify" / result.result_id)
    again = judge(
        weights,
        suite,
        videos,
        scratch,
        standing=Standing(result.card.name, result.card.anchor, result.card.owner),
        device=device,
        progress=progress,
    )
    differs = environment_differences(result.environment, again.result.environment)
    verdict = compare_runs(rows, again.rows(), environment_differs=bool(differs))
    shutil.rmtree(scratch.root)
    left_out = [name for name in STAGES if name not in stages]
    if left_out:
        verdict = replace(verdict, words=f"{verdict.words} Not run again: {', '.join(left_out)}.")
    return Verified(verdict, differs)


def only_stages(suite: Suite, stages: Collection[StageName]) -> Suite:
    """The suite with these of its stages alone; it has another hash."""
    narrowed = (
        dataset.model_copy(update={"stages": tuple(name for name in dataset.stages if name in stages)})
        for dataset in suite.datasets
    )
    return suite.model_copy(update={"datasets": tuple(narrowed)})


def spot_check(
    stored: StoredResult,
    suite: Suite,
    videos: Mapping[str, Videos],
    home: Home,
    share: float,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> Verified:
    """Show a share of the test videos to the kept fitted models again, and compare what is said of them. Nothing is trained.

    Raises:
        ValueError: As `verify`, or if a fitted model is no longer kept.
    """
    result, where = stored.result, device_named(device)
    loaded, teachers = arrive(kept_weights(stored, suite, home), where), reference_logits(suite)
    scratch = Home(home.root / "verify" / f"{result.result_id}--spot")
    shutil.rmtree(scratch.root, ignore_errors=True)
    rows, before, after = stored.rows(), [], []
    shown = 0
    for number, protocol in enumerate(suite.datasets):

        def tell(stage: StageName, done: float, *, number: int = number, name: str = protocol.name) -> None:
            if progress is not None:
                progress(stage, "running", name, (number + min(done, 1.0)) / len(suite.datasets))

        records = records_of(rows, protocol.name)
        ids = sampled(records, share, result.result_id)
        some = some_videos(videos[protocol.name], ids)
        cache = FittedOnly(cache_folder(scratch.cache, some), first=Cache(cache_folder(home.cache, some)))
        case = open_case(
            loaded.encoder,
            suite,
            some,
            cache,
            scratch.training,
            where,
            lambda *_: None,
            partial(build, suite.distillation.student),
        )
        case = replace(case, reference_logits=teachers.get(protocol.name))
        after.append(records_of(run_again(case, some, tell), protocol.name))
        before.append(records_of(records, protocol.name, ids))
        shown += len(ids)
    shutil.rmtree(scratch.root, ignore_errors=True)
    differs = environment_differences(result.environment, environment(where.type))
    verdict = compare_runs(_joined(before), _joined(after), environment_differs=bool(differs))
    total = sum(len(videos[dataset.name].dataset.test) for dataset in suite.datasets)
    words = f"{verdict.words} {shown} of {total} test videos were shown to the kept models again; training was not repeated."
    return Verified(replace(verdict, words=words), differs)


def _joined(tables: list[Rows]) -> Rows:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def kept_weights(stored: StoredResult, suite: Suite, home: Home) -> Path:
    """The canonical copy of what a row was made from.

    Raises:
        ValueError: If it is gone, or the suite is another one than that of the row.
    """
    result = stored.result
    if suite.hash != result.suite_hash:
        raise ValueError(
            f"The row was scored under {result.suite} {result.suite_hash[:12]}; this version's {suite.name} is "
            f"{suite.hash[:12]}. Check out {result.environment.code_version} ({result.environment.code_commit[:12]}) to verify it."
        )
    weights = home.weights / result.card.weight_hash
    if not weights.exists():
        raise ValueError(
            f"The weights {result.card.weight_hash[:12]} are not in {home.weights}. Submit the checkpoint again."
        )
    return weights


def environment_differences(before: Environment, after: Environment) -> tuple[str, ...]:
    """Where two environments differ, in words."""
    words = []
    for field in ("python", "platform", "cpu", "accelerator", "threads", "code_version", "code_commit"):
        one, other = getattr(before, field), getattr(after, field)
        if one != other:
            words.append(f"{field.replace('_', ' ')}: {one} then, {other} now")
    for name in sorted(before.libraries.keys() | after.libraries.keys()):
        one, other = before.libraries.get(name, "absent"), after.libraries.get(name, "absent")
        if one != other:
            words.append(f"{name}: {one} then, {other} now")
    return tuple(words)
