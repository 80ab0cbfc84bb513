"""Commands: evaluate, verify, shipped, submit, worker, ledger."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.home import Home

if TYPE_CHECKING:
    from bench.activity import Working
    from bench.estimate import StageCost
    from bench.run import Progress, Videos
    from bench.schema import ClipSpec, StageName
    from bench.suites.protocol import Suite
    from bench.video.frame_store import Policy

SHOWN_OF_ROBUSTNESS = ("top1", "noise_mean", "relative_decrease@1-5", "area", "break_point")
"""Of some thirty scores a model; all of them are in the file and on the row's page."""


def evaluate(
    checkpoint: Annotated[Path, typer.Option(help="Checkpoint folder, ONNX file, or hf://ORG/NAME@commit.")],
    suite: Annotated[str, typer.Option(help="The protocol; see `reelproof suites`.")] = "mini-v1",
    data: Annotated[
        Path | None,
        typer.Option(
            help="Your own videos, FOLDER/class/*.mp4|avi|webm or hf://ORG/NAME@commit, judged with the settings of mini-v1."
        ),
    ] = None,
    leave_out: Annotated[
        bool, typer.Option("--leave-out", help="Go on without those of your videos that cannot be read.")
    ] = False,
    root: Annotated[Path | None, typer.Option(help="Where the official videos of the suite lie.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Store no frames, decode every clip anew: for sets too large for the disk.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measure a little of every stage and say what all would cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Judge a checkpoint here, without the queue. The result is saved; the same call after a stop goes on."""
    from bench.activity import working
    from reference_models.hub import is_address
    from submissions.evaluate import estimate, judge
    from submissions.intake import keep

    home = Home.default()
    loaded, kept = keep(checkpoint, home)
    if is_address(checkpoint):
        typer.echo(f"Judging {loaded.report.recognised}.", err=True)
    with working(home, f"Judging {loaded.config.name}") as activity:
        protocol, videos = _opened(
            suite,
            data,
            root,
            home,
            lambda words, share: activity(words, share * 0.1),
            clip=loaded.config.clip,
            leave_out=leave_out,
            stream=stream,
            say=activity.say,
        )
        if dry_run:
            costs = estimate(kept, protocol, videos, home, device=device, progress=_stages(activity, 0.1))
        else:
            stored = judge(kept, protocol, videos, home, device=device, progress=_stages(activity, 0.1))
    if dry_run:
        _print_costs(costs, as_json=as_json)
        return
    if as_json:
        typer.echo(json.dumps([score.model_dump(mode="json") for score in stored.result.scores]))
        return
    _print_result(stored.result.model_dump(mode="json"), stored.folder)


def verify(
    row: Annotated[str, typer.Argument(help="Beginning of a result id, of an encoder hash, or of a model's name.")],
    spot: Annotated[
        str,
        typer.Option(help="Show only so many of the test videos (5%) to the kept fitted models; nothing is trained."),
    ] = "",
    stages: Annotated[
        str, typer.Option(help="Run only these again, such as `linear_probe,retrieval`, which take seconds.")
    ] = "",
    data: Annotated[Path | None, typer.Option(help="The folder, for a row on your own videos.")] = None,
    root: Annotated[Path | None, typer.Option(help="Where the official videos of the suite lie.")] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Store no frames, decode every clip anew: for sets too large for the disk.")
    ] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
) -> None:
    """Run a row again from its kept weights with an empty cache: MATCH, WITHIN NOISE, DRIFT or MISMATCH.

    With --spot only inference on some videos is repeated, from the fitted models that the first run kept.
    With --stages those are run again in full, trainings included, and the verdict is about them alone.
    Exit code 0 for the first two, 1 for the others. The verdict is kept in the ledger, beside the row.
    """
    from bench.activity import working
    from submissions.database import connect
    from submissions.ledger import Ledger
    from submissions.verify import find_row, spot_check
    from submissions.verify import verify as run_again

    home = Home.default()
    stored = find_row(home, row)
    result = stored.result
    if result.suite.startswith("local:") and data is None:
        raise ValueError(f"{result.card.name} was judged on your own videos. Name their folder with --data.")
    share = _share(spot) if spot else None
    if spot and stages:
        raise ValueError("--spot repeats no training and --stages does: give one of the two.")
    chosen = _stage_names(stages)
    with working(home, f"Verifying {result.card.name}") as activity:
        suite, videos = _opened(
            result.suite,
            data,
            root,
            home,
            lambda words, done: activity(words, done * 0.1),
            clip=next((report.clip for report in result.datasets), None),
            stream=stream,
            say=activity.say,
        )
        told = _stages(activity, 0.1)
        if share is None:
            verified = run_again(stored, suite, videos, home, stages=chosen, device=device, progress=told)
        else:
            verified = spot_check(stored, suite, videos, home, share, device=device, progress=told)
    words = f"{verified.verdict.name}: {verified.verdict.words}"
    if verified.differs:
        words += f" Environment: {'; '.join(verified.differs)}."
    Ledger(connect(home.database_url)).record(
        "verdict",
        encoder_hash=result.card.encoder_hash,
        suite=result.suite,
        words=words,
        submission_id=result.submission_id,
        result_id=result.result_id,
    )
    typer.echo(words)
    if verified.verdict.name not in ("MATCH", "WITHIN NOISE"):
        raise typer.Exit(1)


def shipped() -> None:
    """Put the row that comes with Reelproof on the board: a small trained checkpoint that can be verified at once."""
    from submissions.shipped.place import place

    card = place(Home.default()).result.card
    typer.echo(
        f"{card.name} ({card.architecture}, {card.encoder_hash[:8]}) is on the board. To run a part of it again: "
        f"reelproof verify {card.encoder_hash[:8]} --stages linear_probe,retrieval"
    )


def submit(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint folder, ONNX file, or hf://ORG/NAME@commit.")],
    suite: Annotated[str, typer.Option(help="The protocol; see `reelproof suites`.")] = "mini-v1",
    name: Annotated[str, typer.Option(help="Shown on the board; the checkpoint's own name by default.")] = "",
    owner: Annotated[str, typer.Option(help="Shown on the board.")] = "",
    again: Annotated[bool, typer.Option(help="Queue a failed or rejected submission once more.")] = False,
) -> None:
    """Put a checkpoint into the queue. It is copied: what you change in the folder afterwards changes nothing."""
    from bench.data import suite_named
    from bench.run import elsewhere
    from reference_models.hub import is_address
    from submissions.database import connect
    from submissions.evaluate import Standing, card_of
    from submissions.intake import keep
    from submissions.ledger import Ledger
    from submissions.queue import Queue
    from submissions.schema import Status, Submission

    home = Home.default()
    protocol = suite_named(suite)
    loaded, kept = keep(checkpoint, home)
    protocol = protocol.with_clip(loaded.config.clip)
    if is_address(checkpoint):
        typer.echo(f"Submitting {loaded.report.recognised}.", err=True)
    clip = protocol.clip
    if refusal := loaded.encoder.accepts(clip.num_frames, clip.size, clip.size):
        raise ValueError(
            f"{suite} shows {clip.num_frames} x {clip.size} x {clip.size} clips. {refusal}{elsewhere(protocol)}"
        )
    card = card_of(loaded, Standing(name=name, owner=owner), protocol)
    engine = connect(home.database_url)
    entry, new = Queue(engine).add(
        Submission(
            name=card.name,
            architecture=card.architecture,
            suite=suite,
            checkpoint=str(kept),
            encoder_hash=card.encoder_hash,
            owner=owner,
        )
    )
    if not new and again and entry.status in (Status.FAILED, Status.REJECTED):
        Queue(engine).move(entry.id, Status.QUEUED)
        typer.echo(f"Submission {entry.id}, {entry.submission.name}, is queued once more.")
    elif not new:
        hint = f" {entry.note} Use --again to try once more." if entry.note else ""
        typer.echo(f"These weights are known: submission {entry.id}, {entry.submission.name}, is {entry.status}.{hint}")
    else:
        Ledger(engine).record(
            "admitted",
            encoder_hash=card.encoder_hash,
            suite=suite,
            words=f"{card.name}: {loaded.report.loaded} of {loaded.report.expected} trunk tensors loaded; "
            f"{loaded.report.recognised}",
            submission_id=entry.id,
        )
        typer.echo(
            f"Submission {entry.id}, {card.name} ({card.architecture}, {card.encoder_hash[:8]}), is queued for {suite}."
        )


def worker(
    until_idle: Annotated[bool, typer.Option(help="Stop once nothing waits, instead of watching for more.")] = False,
    anchors: Annotated[
        str,
        typer.Option(help="Which missing anchors to queue behind a submission: `random,supervised`, one, or `none`."),
    ] = "random,supervised",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
) -> None:
    """Judge what waits in the queue. May be stopped at any moment; nothing is lost."""
    from submissions.anchors import ANCHORS
    from submissions.worker import Worker

    asked = [word.strip() for word in anchors.split(",") if word.strip() not in ("", "none")]
    if unknown := [word for word in asked if word not in ANCHORS]:
        raise ValueError(f"There is no anchor {', '.join(unknown)}. There is: {', '.join(ANCHORS)}.")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    kinds = [kind for kind in ANCHORS if kind in asked]
    Worker(Home.default(), device=device, anchors=kinds).run(until_idle=until_idle)


def ledger(as_json: Annotated[bool, typer.Option("--json", help="Print the lines as JSON.")] = False) -> None:
    """Every admission, score and verdict, oldest first."""
    from submissions.database import connect
    from submissions.ledger import Ledger

    events = Ledger(connect(Home.default().database_url)).events()
    if as_json:
        typer.echo(json.dumps([event.model_dump(mode="json") for event in events]))
        return
    table = Table("time (UTC)", "event", "encoder", "suite", "words")
    for event in events:
        table.add_row(f"{event.time:%Y-%m-%d %H:%M:%S}", event.event, event.encoder_hash[:8], event.suite, event.words)
    Console().print(table)


def _opened(
    suite: str,
    data: Path | None,
    root: Path | None,
    home: Home,
    report: Callable[[str, float], None],
    *,
    clip: "ClipSpec | None",
    say: Callable[[str], None],
    leave_out: bool = False,
    stream: bool = False,
) -> "tuple[Suite, dict[str, Videos]]":
    """The protocol and its videos; with `data` those of somebody's own folder. An open suite shows the encoder's own clip."""
    from bench.data import open_folder, open_suite, suite_named

    if data is not None:
        unreadable: Policy = "leave_out" if leave_out else "stop"
        return open_folder(data, home, report, unreadable=unreadable, stream=stream, say=say)
    protocol = suite_named(suite).with_clip(clip)
    return protocol, open_suite(protocol, home, report, root=root, stream=stream, say=say)


def _stages(activity: "Working", begun: float) -> "Progress":
    """Tells of the stages as of one piece of work, of which some share is already done."""
    from bench.progress import Shares
    from bench.schema import STAGES

    whole = Shares(STAGES)

    def tell(stage: str, _state: str, words: str, share: float) -> None:
        activity(f"{stage.replace('_', ' ')}: {words}", begun + (1 - begun) * whole(stage, share))

    return tell


def _stage_names(words: str) -> "tuple[StageName, ...]":
    """`linear_probe,retrieval` as names of stages; all where nothing is said."""
    from bench.schema import STAGES

    wanted = [word.strip().replace("-", "_").replace(" ", "_") for word in words.split(",") if word.strip()]
    for word in wanted:
        if word not in STAGES:
            raise ValueError(f"There is no stage {word!r}. The stages are {', '.join(STAGES)}.")
    return tuple(name for name in STAGES if name in wanted) or STAGES


def _share(words: str) -> float:
    """5% or 0.05 as a number."""
    try:
        share = float(words.removesuffix("%")) / (100 if words.endswith("%") else 1)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ValueError(f"--spot is {words!r}; a share of the test videos is expected, such as 5%.")
    return share


def _print_costs(costs: "list[StageCost]", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(cost) for cost in costs]))
        return
    table = Table("stage", "time", "memory", "disk", title="What this would cost here, from an empty cache")
    for cost in costs:
        minutes, mib = f"{cost.seconds / 60:.1f} min", f"{cost.memory_bytes / 2**20:,.0f} MiB"
        table.add_row(cost.stage.replace("_", " "), minutes, mib, f"{cost.disk_bytes / 2**20:,.1f} MiB")
    seconds, disk = sum(cost.seconds for cost in costs), sum(cost.disk_bytes for cost in costs)
    most = max(cost.memory_bytes for cost in costs)
    table.add_section()
    table.add_row("all", f"{seconds / 60:.1f} min", f"{most / 2**20:,.0f} MiB", f"{disk / 2**20:,.1f} MiB")
    Console().print(table)


def _print_result(result: dict[str, object], folder: Path) -> None:
    """The scores as a table, and what a reader must know."""
    from bench.schema import Result

    read = Result.model_validate(result)
    table = Table("stage", "data", "score", "model", "value", "95 % interval", "chance", "n", "sources")
    for score in read.scores:
        if score.stage == "robustness" and (score.condition.severity or score.metric not in SHOWN_OF_ROBUSTNESS):
            continue
        scale = 1 if score.metric == "break_point" else 100  # a severity; all others are shares
        numbers = (score.value, score.low, score.high, score.chance)
        shown = [None if number is None else f"{scale * number:.1f}" for number in numbers]
        interval = "" if shown[1] is None else f"{shown[1]} to {shown[2]}" if shown[2] else f"{shown[1]} and more"
        words = (score.stage.replace("_", " "), score.dataset, score.metric, score.model)
        table.add_row(*words, shown[0] or score.note, interval, shown[3] or "", str(score.n), str(score.clusters))
    console = Console()
    console.print(table)
    for remark in read.remarks:
        console.print(f"[yellow]{remark}[/yellow]")
    console.print(
        f"{read.card.name} under {read.suite} ({read.suite_hash[:12]}, {read.suite_status}). Saved in {folder}"
    )
