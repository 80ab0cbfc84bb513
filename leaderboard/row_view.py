"""One row in full: scores between their anchors, curves under noise, layer maps, distillation, and where it all comes from."""

from collections.abc import Mapping, Sequence

from bench.results import StoredResult
from bench.schema import Result, content_hash
from leaderboard.layers import similarity
from leaderboard.measures import FULL, MEASURES, estimate
from leaderboard.progress import step_title
from leaderboard.ranking import Ranks
from leaderboard.severity import heats, panels
from leaderboard.tables import Asked, board, last_verdicts, latest, row_of, suite_choices, verdict_in
from leaderboard.views import Arm, Bed, BoardView, Estimate, Happening, Headline, Row, RowView, SuiteChoice
from submissions.schema import Event

ARMS = {
    "alone": ("Student alone", False),
    "reference": ("taught by the reference", False),
    "submission": ("taught by this row", True),
    "both": ("taught by both", True),
}
EVENT_TITLES = {"admitted": "Admitted", "scored": "Scored", "failed": "Failed", "rejected": "Rejected"}


def row_view(
    results: Sequence[StoredResult], events: Sequence[Event], result_id: str, dataset: str, ranks: Ranks
) -> RowView | None:
    """Everything about one result on one data set; None where there is no such result.

    Args:
        results: All results, oldest first.
        events: The ledger.
        result_id: Of the row.
        dataset: The data set; the row's first where it has none of this name.
        ranks: Computes rank intervals.
    """
    stored = next((one for one in results if one.result.result_id == result_id), None)
    if stored is None:
        return None
    result = stored.result
    datasets = tuple(report.name for report in result.datasets)
    dataset = dataset if dataset in datasets else datasets[0]
    suite, shown = _on_board(stored, results, events, dataset, ranks)
    anchors = _anchors_of(stored, results)
    chance = _chance(result, dataset)
    row = next((r for r in (*shown.rows, *shown.incomplete) if r.id == result_id), None) or _off_board(
        stored, list(anchors.values()), dataset, events
    )
    noise_panels = panels(result, anchors, dataset, chance)
    tops = [v for panel in noise_panels for curve in panel.curves for p in curve.points for v in (p.value, p.high or 0)]
    view = RowView(
        row=row,
        suite=suite,
        dataset=dataset,
        datasets=datasets,
        headlines=_headlines(row, shown),
        chance=chance,
        panels=noise_panels,
        top=min(100.0, 20.0 * -(-max(tops, default=100.0) // 20)),
        heats=heats(result, dataset),
        similarity=similarity(stored, dataset),
        arms=_arms(result, dataset),
        distillation_words=_distillation_words(result, dataset),
        load_report=_load_report(result, row, dataset, anchors),
        noted=_noted(result, dataset),
        provenance=_provenance(result),
        environment=_environment(result),
        durations=tuple((step_title(stage.stage), stage.seconds, stage.stage_hash) for stage in result.stages),
        command=_command(result),
        history=_history(result, events),
        remarks=result.remarks,
        state="",
    )
    return view.model_copy(update={"state": content_hash(view)[:16]})


def _on_board(
    stored: StoredResult, results: Sequence[StoredResult], events: Sequence[Event], dataset: str, ranks: Ranks
) -> tuple[SuiteChoice, BoardView]:
    """The board on which the row stands, or stood before the same encoder was judged again."""
    result = stored.result
    choices = suite_choices(latest(results), ())
    suite = next(choice for choice in choices if choice.hash == result.suite_hash)
    track = result.card.track
    return suite, board(results, (), events, Asked(suite.key, dataset, track), ranks)


def _off_board(stored: StoredResult, anchored: Sequence[StoredResult], dataset: str, events: Sequence[Event]) -> Row:
    """A row that is not among the competing ones: an anchor, or an older result of an encoder judged again."""
    measures = [measure for measure in MEASURES if stored.result.card.track in measure.tracks]
    return row_of(stored, measures, dataset, stored.result.card.track, anchored, {}, last_verdicts(events))


def _anchors_of(stored: StoredResult, results: Sequence[StoredResult]) -> dict[str, StoredResult]:
    """The newest anchors of the row's architecture under its suite; not the row itself."""
    card = stored.result.card
    found: dict[str, StoredResult] = {}
    if card.track != FULL:
        return found
    for kind in ("supervised", "random"):
        for other in results:
            there = other.result
            same = (there.card.architecture, there.suite_hash) == (card.architecture, stored.result.suite_hash)
            if same and there.card.anchor == kind and there.card.anchor != card.anchor:
                found[kind] = other
    return found


def _chance(result: Result, dataset: str) -> float | None:
    return next(
        (100 * s.chance for s in result.scores if s.dataset == dataset and s.metric == "top1" and s.chance), None
    )


def _headlines(row: Row, shown: BoardView) -> tuple[Headline, ...]:
    of = len(shown.rows)
    made = []
    for column in shown.columns:
        if column.ranks:
            made.append(
                Headline(
                    column=column,
                    score=row.cells.get(column.key),
                    bed=row.beds.get(column.key, Bed()),
                    rank=row.ranks.get(column.key),
                    of=of,
                )
            )
    return tuple(made)


def _arms(result: Result, dataset: str) -> tuple[Arm, ...]:
    found = []
    for key, (title, own) in ARMS.items():
        score = estimate(result.find("distillation", dataset, "top1", model=key))
        if score is not None:
            found.append(Arm(key=key, title=title, own=own, score=score))
    return tuple(found)


def _distillation_words(result: Result, dataset: str) -> str:
    """What the teaching gained. A gain whose interval holds 0 is not sure."""
    words = []
    for metric, before, after in (
        ("gain_over_alone", "This row's teaching adds", "over the student alone"),
        ("gain_over_better", "Both teachers add", "over the better one"),
    ):
        gain = estimate(result.find("distillation", dataset, metric))
        if gain is not None:
            ends = (
                ""
                if gain.low is None or gain.high is None
                else f" ({_signed(gain.low)} to {_signed(gain.high)}{_sure(gain)})"
            )
            words.append(f"{before} {_signed(gain.value)} {after}{ends}.")
    return " ".join(words)


def _load_report(
    result: Result, row: Row, dataset: str, anchors: Mapping[str, StoredResult]
) -> tuple[tuple[str, str], ...]:
    card, report = result.card, result.load_report
    mean, std = (", ".join(f"{x:g}" for x in values) for values in (card.normalisation.mean, card.normalisation.std))
    lines = []
    if report is not None:
        lines.append(("Trunk tensors", f"{report.loaded} of {report.expected} loaded, shapes equal"))
        left = ", ".join(f"{name}: {why}" for name, why in list(report.dropped.items())[:4])
        more = f" and {len(report.dropped) - 4} more" if len(report.dropped) > 4 else ""
        lines.append(("Left over", f"{len(report.dropped)} ({left}{more})" if report.dropped else "none"))
        lines.append(("Recognised", report.recognised or "declared by its config"))
    lines.append(("Normalisation", f"mean {mean}; std {std}; range 0–1"))
    lines.append(("Feature", f"{card.feature_dim} numbers, pooled"))
    random, probe = anchors.get("random"), row.cells.get("probe")
    floor = None if random is None else estimate(random.result.find("linear_probe", dataset, "top1"))
    if probe is not None and floor is not None:
        lines.append(("Proof", _proof(probe, floor)))
    return tuple(lines)


def _proof(probe: Estimate, floor: Estimate) -> str:
    """Whether the probe stands above random initialisation: the sign that trained weights arrived."""
    words = f"probe is {_signed(probe.value - floor.value)} points from random initialisation"
    apart = probe.low is not None and floor.high is not None and probe.low > floor.high
    return words + (": the weights are in" if apart else ", inside the intervals: no proof by itself")


def _noted(result: Result, dataset: str) -> tuple[tuple[str, str], ...]:
    """What each stage chose or counted on this data set, and the gap between the choice and the best on test."""
    lines = []
    for stage in result.stages:
        facts = {
            name.removeprefix(f"{dataset}."): value
            for name, value in stage.facts.items()
            if name.startswith(f"{dataset}.")
        }
        words = [_fact(name, value) for name, value in facts.items() if not name.startswith("seconds")]
        gap = estimate(result.find(stage.stage, dataset, "gap_to_best_on_test"))
        if gap is not None:
            words.append(f"best on test would have been {gap.value:.1f} points higher")
        if words:
            lines.append((step_title(stage.stage).capitalize(), "; ".join(words)))
    return tuple(lines)


def _fact(name: str, value: float | int | str) -> str:
    """`validation_accuracy.0.1` and its value, for people."""
    what, _, of = name.partition(".")
    words = what.replace("_", " ") + (f" ({of.replace('.', ', ') if not of[0].isdigit() else of})" if of else "")
    return f"{words} {value if isinstance(value, str) else f'{value:.4g}'}"


def _provenance(result: Result) -> tuple[tuple[str, str], ...]:
    card = result.card
    cost = f"{card.parameters / 1e6:.2f} M parameters"
    if card.gflops is not None:
        cost += f", {card.gflops:.2f} GFLOPs a clip"
    seconds = sum(stage.seconds for stage in result.stages)
    lines = [
        ("Pretext", ", ".join(word for word in (card.pretext, card.family) if word) or "not declared"),
        ("Pretrained on", ", ".join(card.pretrained_on) or "not declared"),
        ("Architecture", card.architecture),
        ("Size, cost", cost),
        ("Encoder hash", card.encoder_hash),
        ("Weight hash", card.weight_hash),
        ("Suite", f"{result.suite}, {result.suite_status}"),
        ("Suite hash", result.suite_hash),
        ("Judged", f"{result.created:%Y-%m-%d %H:%M} UTC, {_duration(seconds)}, {_by(result)}"),
        ("Result", result.result_id),
    ]
    for name, word in (("Recipe", card.recipe), ("Owner", card.owner), ("Licence", card.licence)):
        if word:
            lines.append((name, word))
    return tuple(lines)


def _environment(result: Result) -> tuple[tuple[str, str], ...]:
    found = result.environment
    dirty = {True: ", with uncommitted changes", False: ", clean checkout", None: ", no checkout"}[found.code_dirty]
    commit = f" ({found.code_commit[:12]})" if found.code_commit else ""
    device = f", {found.accelerator}" if found.accelerator else ""
    return (
        ("Code", f"Reelproof {found.code_version or 'not installed'}{commit}{dirty}"),
        ("Machine", f"{found.cpu}, {found.threads} threads{device}"),
        ("System", f"{found.platform}, Python {found.python}"),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in found.libraries.items())),
    )


def _by(result: Result) -> str:
    return "by its author" if result.submission_id is None else f"submission {result.submission_id}"


def _command(result: Result) -> str:
    data = " --data FOLDER" if result.suite.startswith("local:") else ""
    return f"reelproof verify {result.card.encoder_hash[:8]}{data}"


def _history(result: Result, events: Sequence[Event]) -> tuple[Happening, ...]:
    """The ledger's lines about this encoder under this suite; for a local result, when it was made."""
    lines = []
    for event in events:
        if (event.encoder_hash, event.suite) == (result.card.encoder_hash, result.suite):
            verdict = verdict_in(event)
            words = event.words.removeprefix(verdict).lstrip(": ") if verdict else event.words
            lines.append(
                Happening(time=event.time, title=verdict or EVENT_TITLES.get(event.event, event.event), words=words)
            )
    if not any(line.title == "Scored" for line in lines):
        lines.append(Happening(time=result.created, title="Scored", words=f"every stage of {result.suite}"))
    return tuple(sorted(lines, key=lambda line: line.time))


def _signed(points: float) -> str:
    return "0.0" if abs(points) < 0.05 else f"{points:+.1f}".replace("-", "−")


def _sure(gain: Estimate) -> str:
    inside = gain.low is not None and gain.high is not None and gain.low <= 0 <= gain.high
    return ": not sure" if inside else ""


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
