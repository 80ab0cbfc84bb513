"""From results, queue and ledger to the board: which rows, which scales, who stands before whom.

A pure function of what is stored. Anchors show the scale and are never ranked; neither are rows that lack a score. Of
one encoder under one suite the newest result counts.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.results import StoredResult
from bench.schema import CLEAN, Condition, Result, Score, content_hash
from leaderboard.measures import FEATURES_ONLY, FULL, MEASURES, NOISES, SEVERITIES, Measure, estimate
from leaderboard.ranking import Ranks
from leaderboard.views import (
    Anchor,
    AnchorLine,
    Bed,
    BoardView,
    Column,
    ColumnKey,
    DatasetFacts,
    Estimate,
    RankInterval,
    Row,
    SuiteChoice,
)
from submissions.schema import Entry, Event

DEFAULT_SUITE = "mini-v1"
VERDICTS = ("MATCH", "WITHIN NOISE", "DRIFT", "MISMATCH")
GOOD_VERDICTS = ("MATCH", "WITHIN NOISE")
COST_WORDS = "GFLOPs a clip"


@dataclass(frozen=True)
class Asked:
    """What the visitor wants to see; empty where he did not say."""

    suite: str = ""
    dataset: str = ""
    track: str = ""


def board(
    results: Sequence[StoredResult], entries: Sequence[Entry], events: Sequence[Event], asked: Asked, ranks: Ranks
) -> BoardView:
    """The board for one suite, data set and track.

    Args:
        results: All results, oldest first.
        entries: The queue: a suite that is only waited for is a suite too.
        events: The ledger, for the verdicts.
        asked: What to show; the first suite and data set with a row where it says nothing.
        ranks: Computes rank intervals, and remembers them.
    """
    newest = latest(results)
    suites = suite_choices(newest, entries)
    suite = _choose_suite(suites, asked.suite)
    here = [stored for stored in newest if suite is not None and stored.result.suite_hash == suite.hash]
    datasets = tuple(dict.fromkeys(report.name for stored in here for report in stored.result.datasets))
    dataset = asked.dataset if asked.dataset in datasets else (datasets[0] if datasets else asked.dataset)
    tracks = tuple(track for track in (FULL, FEATURES_ONLY) if any(s.result.card.track == track for s in here))
    track = asked.track if asked.track in tracks else (tracks[0] if tracks else FULL)
    on_track = [s for s in here if s.result.card.track == track]
    measures = _measures_in_use(on_track, dataset, track)
    anchored = [stored for stored in here if stored.result.card.anchor and track == FULL]
    competing = [stored for stored in on_track if not stored.result.card.anchor]
    complete = [s for s in competing if all(estimate(m.find(s.result, dataset, track)) for m in measures if m.ranks)]
    intervals = {m.key: ranks.intervals(complete, m, dataset, track) for m in measures if m.ranks}
    verdicts = last_verdicts(events)
    rows = [row_of(stored, measures, dataset, track, anchored, intervals, verdicts) for stored in competing]
    complete_ids = {stored.result.result_id for stored in complete}
    first = next((m.key for m in measures if m.ranks), "noise")
    rows.sort(key=lambda row: (-row.cells[first].value if first in row.cells else math.inf, row.name))
    view = BoardView(
        suites=tuple(suites),
        datasets=datasets,
        tracks=tracks,
        suite=suite,
        asked=suite.key if suite is not None else asked.suite or DEFAULT_SUITE,
        dataset=dataset,
        track=track,
        columns=_columns(measures, on_track, anchored, dataset, track),
        noises=NOISES,
        anchors=_anchors(anchored, measures, dataset, track),
        rows=tuple(row for row in rows if row.id in complete_ids),
        incomplete=tuple(row for row in rows if row.id not in complete_ids),
        facts=_facts(here, dataset),
        results=len(results),
        state="",
    )
    return view.model_copy(update={"state": content_hash(view)[:16]})


def latest(results: Sequence[StoredResult]) -> list[StoredResult]:
    """The newest result of every encoder under every suite."""
    newest = {(s.result.card.encoder_hash, s.result.suite_hash, s.result.card.anchor): s for s in results}
    return sorted(newest.values(), key=lambda stored: stored.result.created)


def suite_choices(newest: Sequence[StoredResult], entries: Sequence[Entry]) -> list[SuiteChoice]:
    """Every suite with a result, the public ones first; of a suite that changed, each state, the current one first."""
    counts: dict[str, int] = {}
    states: dict[tuple[str, str], Result] = {}
    for stored in newest:
        result = stored.result
        states.pop((result.suite, result.suite_hash), None)  # the one with the newest result comes last
        states[result.suite, result.suite_hash] = result
        counts[result.suite_hash] = counts.get(result.suite_hash, 0) + (not result.card.anchor)
    choices: list[SuiteChoice] = []
    named: set[str] = set()
    for (name, digest), result in reversed(states.items()):
        key = f"{name}@{digest[:12]}" if name in named else name
        named.add(name)
        choices.append(
            SuiteChoice(
                key=key,
                name=name,
                hash=digest,
                status=result.suite_status,
                local=name.startswith("local:"),
                rows=counts[digest],
            )
        )
    return sorted(choices, key=lambda choice: (choice.local, choice.name, choice.key != choice.name))


def last_verdicts(events: Sequence[Event]) -> dict[tuple[str, str], str]:
    """The last word of `verify`, by encoder hash and suite."""
    said = {}
    for event in events:
        verdict = verdict_in(event)
        if verdict:
            said[event.encoder_hash, event.suite] = verdict
    return said


def verdict_in(event: Event) -> str:
    """Which of the four verdicts an event of the ledger holds; empty for any other event."""
    if event.event != "verdict":
        return ""
    return next((verdict for verdict in VERDICTS if event.words.startswith(verdict)), "")


def row_of(
    stored: StoredResult,
    measures: Sequence[Measure],
    dataset: str,
    track: str,
    anchored: Sequence[StoredResult],
    intervals: Mapping[ColumnKey, Mapping[str, RankInterval]],
    verdicts: Mapping[tuple[str, str], str],
) -> Row:
    """One row."""
    result = stored.result
    card = result.card
    verdict = verdicts.get((card.encoder_hash, result.suite), "")
    return Row(
        id=result.result_id,
        name=card.name,
        architecture=card.architecture,
        pretext=card.pretext,
        family=card.family,
        pretrained_on=card.pretrained_on,
        owner=card.owner,
        parameters=card.parameters,
        anchor=card.anchor,
        verdict=verdict,
        verified=verdict in GOOD_VERDICTS,
        self_run=result.submission_id is None and not card.anchor,
        cells=cells_of(result, measures, dataset, track),
        beds={m.key: bed_of(m, card.architecture, anchored, dataset, track) for m in measures if m.kind == "whisker"},
        kept=kept_of(result, dataset, MEASURES[0].model(track)),
        ranks={key: found[result.result_id] for key, found in intervals.items() if result.result_id in found},
        remarks=result.remarks,
    )


def cells_of(result: Result, measures: Sequence[Measure], dataset: str, track: str) -> dict[ColumnKey, Estimate]:
    """A row's scores, and what it costs."""
    found = {m.key: estimate(m.find(result, dataset, track)) for m in measures}
    cells: dict[ColumnKey, Estimate] = {key: value for key, value in found.items() if value is not None}
    if result.card.gflops is not None:
        cells["cost"] = Estimate(value=result.card.gflops, low=None, high=None, n=1, clusters=1, seeds=0)
    return cells


def bed_of(measure: Measure, architecture: str, anchored: Sequence[StoredResult], dataset: str, track: str) -> Bed:
    """The anchors of an architecture behind one score."""
    values: dict[str, float] = {}
    for stored in anchored:
        if stored.result.card.architecture == architecture:
            score = estimate(measure.find(stored.result, dataset, track))
            if score is not None:
                values[stored.result.card.anchor] = score.value
    return Bed(random=values.get("random"), supervised=values.get("supervised"))


def kept_of(result: Result, dataset: str, model: str) -> tuple[tuple[float | None, ...], ...]:
    """Share of clean accuracy kept, in percent: noises by severities; empty where the stage did not run."""
    clean = result.find("robustness", dataset, "top1", model=model)
    noisy = noisy_scores(result, dataset, model)
    if clean is None or not clean.value or not noisy:
        return ()
    return tuple(
        tuple(
            None if (score := noisy.get((noise, severity))) is None or score.value is None
            else round(100 * score.value / clean.value, 2)
            for severity in SEVERITIES
        )
        for noise in NOISES
    )  # fmt: skip


def noisy_scores(result: Result, dataset: str, model: str) -> dict[tuple[str, int], Score]:
    """Accuracies of the robustness stage, by noise and severity; severity 0 is clean, under every noise."""
    found: dict[tuple[str, int], Score] = {}
    for score in result.scores:
        if (score.stage, score.dataset, score.metric, score.model) == ("robustness", dataset, "top1", model):
            if score.condition == CLEAN:
                found |= {(noise, 0): score for noise in NOISES}
            else:
                found[score.condition.family, score.condition.severity] = score
    return found


def corruption_names(result: Result, dataset: str) -> dict[str, str]:
    """Full name of the definition behind each noise."""
    conditions: list[Condition] = [
        s.condition for s in result.scores if (s.stage, s.dataset) == ("robustness", dataset)
    ]
    return {condition.family: condition.corruption for condition in conditions if condition != CLEAN}


def scale(values: Sequence[float]) -> tuple[float, float, tuple[float, ...]]:
    """Ends and ticks of a column: from 0 to the next ten above everything in it."""
    high = max(10.0, 10 * math.ceil(max(values, default=100.0) / 10 - 1e-9))
    return 0.0, high, (0.0, high / 2, high)


def gain_scale(values: Sequence[float]) -> tuple[float, float, tuple[float, ...]]:
    """Ends and ticks of a column of gains: multiples of five around everything in it, 0 always among them."""
    low = min(-5.0, 5 * math.floor(min(values, default=0.0) / 5 + 1e-9))
    high = max(10.0, 5 * math.ceil(max(values, default=0.0) / 5 - 1e-9))
    return low, high, (0.0, 10 * math.floor(high / 10))


def suite_key_of(result: Result, suites: Sequence[SuiteChoice]) -> SuiteChoice:
    """The choice under which a result stands."""
    return next(choice for choice in suites if choice.hash == result.suite_hash)


def _choose_suite(suites: Sequence[SuiteChoice], asked: str) -> SuiteChoice | None:
    if asked:
        return next((choice for choice in suites if choice.key == asked), None)
    return next((choice for choice in suites if choice.name == DEFAULT_SUITE), suites[0] if suites else None)


def _measures_in_use(stored: Sequence[StoredResult], dataset: str, track: str) -> list[Measure]:
    """The columns of a track that some row can fill; all of them while there is no row."""
    applicable = [measure for measure in MEASURES if track in measure.tracks]
    used = [m for m in applicable if any(m.find(s.result, dataset, track) is not None for s in stored)]
    return used or applicable


def _columns(
    measures: Sequence[Measure],
    on_track: Sequence[StoredResult],
    anchored: Sequence[StoredResult],
    dataset: str,
    track: str,
) -> tuple[Column, ...]:
    columns = []
    for measure in measures:
        scores = [
            s for stored in (*on_track, *anchored) if (s := measure.find(stored.result, dataset, track)) is not None
        ]
        shown = [one for score in scores if (one := estimate(score)) is not None]
        values = [v for one in shown for v in (one.value, one.low, one.high) if v is not None]
        low, high, ticks = gain_scale(values) if measure.kind == "gain" else scale(values)
        chance = next((score.chance for score in scores if score.chance is not None), None)
        stage = next(
            (r.stage_hash for stored in on_track for r in stored.result.stages if r.stage == measure.stage), ""
        )
        columns.append(
            Column(
                key=measure.key,
                title=measure.title,
                words=measure.words,
                kind=measure.kind,
                ranks=measure.ranks,
                low=low,
                high=high,
                ticks=ticks,
                chance=None if chance is None else 100 * chance,
                stage_hash=stage,
            )
        )
    columns.append(Column(key="cost", title="Cost", words="GFLOPs", kind="plain", ranks=False))
    return tuple(columns)


def _anchors(
    anchored: Sequence[StoredResult], measures: Sequence[Measure], dataset: str, track: str
) -> tuple[Anchor, ...]:
    """Both anchors, also while nothing is known of them. With several results of one architecture the newest counts."""
    found = []
    for kind in ("supervised", "random"):
        lines = {}
        for stored in anchored:
            result = stored.result
            if result.card.anchor == kind:
                cells = cells_of(result, measures, dataset, track)
                lines[result.card.architecture] = AnchorLine(
                    id=result.result_id, architecture=result.card.architecture, cells=cells
                )
        found.append(Anchor(kind=kind, lines=tuple(lines[name] for name in sorted(lines))))
    return tuple(found)


def _facts(here: Sequence[StoredResult], dataset: str) -> DatasetFacts | None:
    for stored in reversed(here):
        for report in stored.result.datasets:
            if report.name == dataset:
                return DatasetFacts(
                    name=dataset,
                    classes=len(report.class_names),
                    train=report.num_train + report.num_validation,
                    test=report.num_test,
                    clusters=report.num_clusters,
                    manifest_hash=report.manifest_hash,
                )
    return None
