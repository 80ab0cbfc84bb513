"""Commands: data, suites."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from bench.activity import Working
    from bench.home import Home
    from bench.video.check import Found
    from bench.video.datasets.known import Opener
    from bench.video.index import VideoSet

data = typer.Typer(
    help="List data sets; check what is there; take subsets.", no_args_is_help=True, pretty_exceptions_enable=False
)

RootOption = Annotated[Path | None, typer.Option(help="Where the data set's files lie.")]
AnnotationsOption = Annotated[
    Path | None, typer.Option(help="Folder of the lists (or a list), where it is not below the root.")
]
SplitOption = Annotated[int, typer.Option(help="Which official split, where there are several.")]

SHOWN_REASONS = 20
"""Files that do not decode which are named with their reasons; --json has all."""


@data.command("list")
def list_data(as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """The data sets that Reelproof knows: layout, size, licence, what a source is, how to obtain them."""
    from dataclasses import asdict

    from bench.video.datasets.known import descriptions

    if as_json:
        typer.echo(json.dumps([asdict(description) for description in descriptions()]))
        return
    console = Console(highlight=False)
    for description in descriptions():
        sizes = (
            (description.num_videos, "{:,} videos"),
            (description.num_classes, "{} classes"),
            (description.gigabytes, "about {} GB"),
        )
        size = ", ".join(words.format(number) for number, words in sizes if number is not None)
        console.print(f"[bold]{description.name}[/bold]  {description.title}{f' ({size})' if size else ''}")
        table = Table(box=None, show_header=False, padding=(0, 1, 0, 2))
        for word in ("layout", "source", "licence", "obtain"):
            table.add_row(word, str(getattr(description, word)), style="dim" if word == "licence" else "")
        console.print(table)


@data.command("check")
def check_data(
    name: Annotated[
        str,
        typer.Argument(
            help="A data set's name, a folder with one folder of videos a class, one that `datasets` wrote, or hf://ORG/NAME@commit."
        ),
    ],
    root: RootOption = None,
    annotations: AnnotationsOption = None,
    split: SplitOption = 1,
    decode: Annotated[bool, typer.Option(help="Decode every file from the first frame to the last.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON, every name in it.")] = False,
) -> None:
    """Say what is there of a data set, what is missing, and which files do not decode. Exit code 1 if anything is wrong."""
    from dataclasses import asdict

    from bench.activity import working
    from bench.cores import cores
    from bench.home import Home
    from bench.video.check import look_at

    home = Home.default()
    parts: list[Found] = []
    with working(home, f"Checking {name}") as activity:
        openers = _parts_to_check(name, root, annotations, split, home, activity)
        for number, (part, open_part) in enumerate(openers.items()):

            def report(done: int, total: int, *, number: int = number, part: str = part) -> None:
                activity(f"{part}: decoding {done} of {total}", (number + done / max(total, 1)) / len(openers))

            parts.append(look_at(part, open_part, decode=decode, workers=cores(), progress=report))
    sentences = [sentence for found in parts for sentence in found.sentences]
    if as_json:
        rows = [{**asdict(found), "there": found.there, "wrong": found.sentences} for found in parts]
        typer.echo(json.dumps(rows))
    else:
        _print_found(parts, sentences, decoded=decode)
    if sentences:
        raise typer.Exit(1)


@data.command("subset")
def subset_data(
    name: Annotated[str, typer.Argument(help="A data set's name; see `reelproof data list`.")],
    size: Annotated[int, typer.Option(help="Videos to take.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The manifest to write, JSON.")],
    root: RootOption = None,
    annotations: AnnotationsOption = None,
    split: SplitOption = 1,
    listed: Annotated[
        bool,
        typer.Option("--listed", help="Choose among all videos of the lists, whether their files are here or not."),
    ] = False,
) -> None:
    """Choose videos for pretraining: every class alike as far as it has videos, nested, the same for everybody."""
    from bench.home import Home
    from bench.video.check import missing
    from bench.video.datasets.known import copy_of, known
    from bench.video.subset import shortfalls, subset, write_manifest

    copy = copy_of(name, root, annotations, split, embedded=Home.default().videos)
    everything = known(name).pretraining(copy)
    absent = () if listed else missing(everything)
    if len(absent) == len(everything):
        raise ValueError(
            f"none of the {len(everything)} videos of {name} is below {copy.root}. "
            "With --listed the subset is taken from the lists alone."
        )
    available = everything.only(set(everything.ids).difference(absent))
    chosen = subset(available, size)
    write_manifest(chosen, output, available=available, missing=len(absent))
    typer.echo(f"{output}: {len(chosen)} of {len(available)} videos of {everything.name}, hash {chosen.manifest_hash}")
    if absent:
        typer.echo(f"{len(absent)} of the {len(everything)} listed videos have no file here and could not be chosen.")
    if short := shortfalls(available, chosen):
        most = max(chosen.labels.tolist().count(label) for label in range(len(chosen.class_names)))
        words = ", ".join(f"{class_name} ({number})" for class_name, number in list(short.items())[:3])
        more = f" and {len(short) - 3} more" if len(short) > 3 else ""
        typer.echo(f"{len(short)} classes have fewer videos than the {most} of the others: {words}{more}.")


def _parts_to_check(
    name: str, root: Path | None, annotations: Path | None, split: int, home: "Home", report: "Working"
) -> "dict[str, Opener]":
    """The official parts of a data set with a name, or the three that own videos are split into."""
    from bench.video.datasets.hub import is_hub_dataset
    from bench.video.datasets.known import KNOWN, copy_of, known
    from bench.video.datasets.own import own_videos

    own = root is None and (is_hub_dataset(name) or Path(name).exists())
    if not own and name not in KNOWN and "/" in name:
        raise ValueError(f"there is no folder {name}.")
    copy = None if own else copy_of(name, root, annotations, split, embedded=home.videos)
    try:
        if copy is not None:
            return dict(known(name).parts(copy))
        dataset = own_videos(name, home.videos, report, split=split)
    except ValueError as error:
        return {"videos": _raising(error)}
    return {part: lambda part=part: getattr(dataset, part) for part in ("train", "validation", "test")}  # type: ignore[misc]


def _raising(error: ValueError) -> "Opener":
    def open_part() -> "VideoSet":
        raise error

    return open_part


def _print_found(parts: "list[Found]", sentences: list[str], *, decoded: bool) -> None:
    console = Console(highlight=False)
    table = Table("part", "listed", "there", "classes", "sources", "smallest class here")
    for found in parts:
        numbers = (found.listed, found.there, found.classes, found.sources)
        table.add_row(found.part, *("?" if found.problem else str(n) for n in numbers), found.smallest_class)
    console.print(table)
    for sentence in sentences:
        console.print(sentence, style="red", markup=False, soft_wrap=True)
    reasons = [reason for found in parts for reason in found.undecodable.values()]
    for reason in reasons[:SHOWN_REASONS] if len(reasons) > 1 else ():
        console.print(f"  {reason}", markup=False, soft_wrap=True)
    if len(reasons) > SHOWN_REASONS:
        console.print(f"  and {len(reasons) - SHOWN_REASONS} more; --json names all.")
    if needed := sum(found.frames_bytes for found in parts):
        console.print(f"Their frames, resized to 128 x 171 and stored for a suite, take about {needed / 1e9:.1f} GB.")
    number = sum(found.there for found in parts)
    if not sentences and decoded:
        console.print(f"All {number} files decode from the first frame to the last.")
    elif not sentences:
        console.print(f"All {number} files are there; they were not decoded.")


def suites(as_json: Annotated[bool, typer.Option("--json", help="Print the protocols as JSON.")] = False) -> None:
    """The protocols in words: what is the paper's, what is ours, what a model costs; with all settings and hashes."""
    from bench.data import SUITES
    from bench.schema import STAGES
    from bench.suites.conditions import OPTIONAL, with_conditions

    if as_json:
        rows = [
            {
                "hash": suite.hash,
                "stage_hashes": {stage: suite.stage_hash(stage) for stage in STAGES},
                **suite.model_dump(mode="json"),
            }
            for suite in SUITES.values()
        ]
        typer.echo(json.dumps(rows))
        return
    console = Console()
    for suite in SUITES.values():
        clip, about = suite.clip, suite.about
        assert about is not None, "every suite here explains itself"
        console.rule(f"[bold]{suite.name}[/bold] ({suite.status})")
        console.print(about.question)
        shown = "Every encoder's own clip; where it names none, " if suite.open else "Clips of "
        console.print(
            f"{shown}{clip.num_frames} frames, stride {clip.stride}, resized to {clip.resize[0]} x {clip.resize[1]}, "
            f"centre {clip.size} x {clip.size}; {suite.views.test} views of a test video; {suite.precision}. Hash {suite.hash}."
        )
        for title, sentences in (("The paper's", about.paper), ("Ours", about.ours), ("Cost", (about.cost,))):
            console.print(f"[bold]{title}[/bold]")
            for sentence in sentences:
                console.print(f"- {sentence}", highlight=False)
        table = Table("stage", "hash", "settings")
        for stage in STAGES:
            settings = getattr(suite, stage).model_dump(mode="json")
            words = ", ".join(f"{name} {json.dumps(value)}" for name, value in settings.items())
            table.add_row(stage.replace("_", " "), suite.stage_hash(stage)[:12], words)
        for name, conditions in OPTIONAL.items():
            other = with_conditions(suite, name)
            words = f"on request, --suite {other.name}: {conditions.words}"
            table.add_row("robustness", other.stage_hash("robustness")[:12], words)
        console.print(table)
