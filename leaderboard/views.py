"""What the page is sent: plain values, ready to be drawn. All scores are points (0 to 100), all times UTC.

`leaderboard.tables` and `leaderboard.model_page` make them from results, queue and ledger; `static/*.js` draws them; the
terminal prints them. Nothing in here is ever read as HTML.
"""

from typing import Literal

from pydantic import AwareDatetime

from bench.schema import Frozen

ColumnKey = Literal["noise", "decrease", "finetune", "probe", "retrieval", "distillation", "cost"]


class Estimate(Frozen):
    """One score, as it is shown."""

    value: float
    low: float | None
    high: float | None
    n: int
    clusters: int
    seeds: int
    """Training seeds averaged; 0 where nothing is trained at random."""

    note: str = ""


class Bed(Frozen):
    """The anchors of one architecture behind one score; None while an anchor is not there yet."""

    random: float | None = None
    supervised: float | None = None


class Column(Frozen):
    """A column of the board and its scale, the same for every row."""

    key: ColumnKey
    title: str
    words: str
    kind: Literal["whisker", "gain", "plain"]
    ranks: bool
    """Whether rows can be ranked by it."""

    low: float = 0.0
    high: float = 100.0
    ticks: tuple[float, ...] = ()
    chance: float | None = None
    stage_hash: str = ""


class RankInterval(Frozen):
    """1 + the rows surely better, to n - the rows surely worse."""

    low: int
    high: int


class Row(Frozen):
    """One encoder on the board."""

    id: str
    """Of its result."""

    name: str
    architecture: str
    pretext: str
    family: str
    pretrained_on: tuple[str, ...]
    owner: str
    parameters: int
    anchor: str
    verdict: str
    """Last word of `reelproof verify`: MATCH, WITHIN NOISE, DRIFT, MISMATCH, or empty."""

    verified: bool
    self_run: bool
    """Computed by its author, not by the service."""

    cells: dict[ColumnKey, Estimate]
    beds: dict[ColumnKey, Bed]
    kept: tuple[tuple[float | None, ...], ...]
    """Share of clean accuracy kept, in percent: noises by severities."""

    ranks: dict[ColumnKey, RankInterval]
    remarks: tuple[str, ...] = ()


class AnchorLine(Frozen):
    """One architecture of an anchor."""

    id: str
    architecture: str
    cells: dict[ColumnKey, Estimate]


class Anchor(Frozen):
    """A row that shows the scale: the range over the architectures on the board."""

    kind: Literal["supervised", "random"]
    lines: tuple[AnchorLine, ...]


class SuiteChoice(Frozen):
    """A suite that the board can show."""

    key: str
    """The suite's name; for an earlier state of it, name@hash."""

    name: str
    hash: str
    status: Literal["draft", "released"]
    local: bool
    """Somebody's own videos: never on a public board."""

    rows: int


class DatasetFacts(Frozen):
    """The videos that the shown scores stand on."""

    name: str
    classes: int
    train: int
    test: int
    clusters: int
    manifest_hash: str


class BoardView(Frozen):
    """One board: a suite, a data set, a track."""

    suites: tuple[SuiteChoice, ...]
    datasets: tuple[str, ...]
    tracks: tuple[str, ...]
    suite: SuiteChoice | None
    """None where nothing is known of the suite that was asked for."""

    asked: str
    """The suite that was asked for."""

    dataset: str
    track: str
    columns: tuple[Column, ...]
    noises: tuple[str, ...]
    anchors: tuple[Anchor, ...]
    rows: tuple[Row, ...]
    """Complete rows, best under noise first."""

    incomplete: tuple[Row, ...]
    """Results that lack a score."""

    facts: DatasetFacts | None
    results: int
    """Results read."""

    state: str
    """Changes when anything above does."""


class Step(Frozen):
    """One step of a submission's work."""

    name: str
    words: str
    state: Literal["waiting", "running", "done"]
    share: float
    seconds: float | None
    """Taken so far; for a step that waits, what it usually takes."""


class Job(Frozen):
    """A submission that has no result yet."""

    id: int
    name: str
    architecture: str
    anchor: str
    owner: str
    suite: str
    status: Literal["queued", "running", "failed", "rejected", "done"]
    position: int | None
    """1 for the next that a worker takes."""

    attempt: int
    attempts: int
    share: float
    words: str
    """What goes on, or why it does not."""

    left_s: float | None
    heartbeat_s: float | None
    """Seconds since the last sign of life."""

    changed: AwareDatetime
    result_id: str | None
    steps: tuple[Step, ...]


class Work(Frozen):
    """Something else that goes on: generating videos, pretraining."""

    title: str
    words: str
    share: float
    left_s: float | None


class LiveView(Frozen):
    """What changes every second."""

    time: AwareDatetime
    board: str
    """State of the board that was asked for; when it differs from the one on screen, that is read again."""

    jobs: tuple[Job, ...]
    works: tuple[Work, ...]


class Point(Frozen):
    """One point of a severity curve."""

    severity: int
    value: float
    low: float | None
    high: float | None


class Curve(Frozen):
    """Accuracy of one model under one noise, from clean to severity 5."""

    model: Literal["finetuned", "probe", "supervised", "random"]
    """The last two are the finetuned anchors of the same architecture."""

    points: tuple[Point, ...]
    break_point: float | None
    """Severity at which half the way from clean to chance is lost; None if that is never so."""


class NoisePanel(Frozen):
    """One noise."""

    noise: str
    corruption: str
    """Full name of its definition."""

    curves: tuple[Curve, ...]


class HeatRow(Frozen):
    """Accuracy of one noise over the severities, and the share kept."""

    noise: str
    values: tuple[float | None, ...]
    kept: tuple[float | None, ...]
    mean: float | None


class Heat(Frozen):
    """Noise by severity, of one model."""

    model: str
    clean: float
    rows: tuple[HeatRow, ...]
    means: tuple[float | None, ...]
    decrease: dict[str, Estimate]
    """By levels: 1, 1-3, 1-5."""

    area: Estimate | None
    break_point: float | None
    break_words: str


class SimilarityMap(Frozen):
    """CKA between the layers of two models."""

    title: str
    words: str
    across: str
    up: str
    values: tuple[tuple[float | None, ...], ...]
    """[row][column], rows from the first layer on; None where it is not defined."""

    told_apart: tuple[tuple[bool, ...], ...]
    """Whether a cell stands above the permutation floor."""


class Similarity(Frozen):
    """The maps of one row."""

    layers: tuple[str, ...]
    groups: tuple[tuple[str, int, int], ...]
    """Runs of layers with one name before the dot: name, first, last."""

    videos: int
    floor: float
    maps: tuple[SimilarityMap, ...]
    kept_after_finetuning: Estimate | None


class Arm(Frozen):
    """One student of the distillation stage."""

    key: str
    title: str
    own: bool
    """Whether this row taught it."""

    score: Estimate


class Headline(Frozen):
    """One of the big scores at the top of a row's page."""

    column: Column
    score: Estimate | None
    bed: Bed
    rank: RankInterval | None
    of: int
    """Rows ranked."""


class Happening(Frozen):
    """One line of the ledger."""

    time: AwareDatetime
    title: str
    words: str


class RowView(Frozen):
    """Everything about one row on one data set."""

    row: Row
    suite: SuiteChoice
    dataset: str
    datasets: tuple[str, ...]
    headlines: tuple[Headline, ...]
    chance: float | None
    panels: tuple[NoisePanel, ...]
    top: float
    """Upper end of the curves' axis."""

    heats: tuple[Heat, ...]
    similarity: Similarity | None
    arms: tuple[Arm, ...]
    distillation_words: str
    load_report: tuple[tuple[str, str], ...]
    noted: tuple[tuple[str, str], ...]
    """Stage, and what it chose and noted: strengths, rates, losses, and how far from best-on-test the choice was."""

    provenance: tuple[tuple[str, str], ...]
    environment: tuple[tuple[str, str], ...]
    durations: tuple[tuple[str, float, str], ...]
    """Stage, seconds, and the stage's hash."""

    command: str
    history: tuple[Happening, ...]
    remarks: tuple[str, ...]
    state: str
