"""Run a row again and say whether it holds: MATCH, WITHIN NOISE, DRIFT or MISMATCH."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from bench.home import Home
from bench.results import StoredResult, read_results
from bench.run import Progress, Videos
from bench.schema import Environment
from bench.statistics.verdicts import Verdict, compare_runs
from bench.suites.protocol import Suite
from submissions.evaluate import Standing, judge


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
            word.startswith(row) for word in (one.result.result_id, one.result.card.encoder_hash, one.result.card.name)
        )
    ]
    if not found:
        known = (
            ", ".join(f"{one.result.card.encoder_hash[:8]} ({one.result.card.name})" for one in stored) or "none yet"
        )
        raise ValueError(f"No result begins with {row!r}. Results here: {known}.")
    found = [one for one in found if one.result.card.name == row] or found
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
    device: str = "auto",
    progress: Progress | None = None,
) -> Verified:
    """Replay every stage with an empty cache, from the kept weights, and compare per-video predictions.

    Raises:
        ValueError: If the kept weights are gone, or the suite is another one than that of the row.
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
    verdict = compare_runs(stored.rows(), again.rows(), environment_differs=bool(differs))
    shutil.rmtree(scratch.root)
    return Verified(verdict, differs)


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
