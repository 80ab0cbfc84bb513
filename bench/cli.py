"""Commands: data, suites."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

data = typer.Typer(help="List data sets; check what is there.", no_args_is_help=True, pretty_exceptions_enable=False)


@data.command("list")
def list_data(as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """The data sets that Reelproof knows."""
    from bench.suites.mini_v1 import MINI_V1
    from bench.video.datasets.embedded import LICENCE, video_set
    from bench.video.embedded.sets import CLASSES, NUM_GROUPS

    rows = []
    for family, classes in CLASSES.items():
        for split in NUM_GROUPS[family]:
            videos = video_set(family, split, Path())
            rows.append(
                {
                    "name": family,
                    "split": split,
                    "classes": len(classes),
                    "videos": len(videos),
                    "sources": len(set(videos.sources)),
                    "suites": [MINI_V1.name] if split in ("train", "validation", "test") else [],
                    "licence": LICENCE,
                    "how to obtain": "written when it is needed",
                }
            )
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(", ".join(value) if isinstance(value, list) else str(value) for value in row.values()))
    console = Console()
    console.print(table)
    console.print("Your own videos: FOLDER/class/*.mp4|avi|webm; see `reelproof data check FOLDER`.")


@data.command("check")
def check_data(folder: Annotated[Path, typer.Argument(help="A folder with one folder of videos a class.")]) -> None:
    """Say what a folder of videos holds, how it is split, and which files do not decode."""
    from bench.activity import working
    from bench.home import Home
    from bench.video.datasets.folder import folder_dataset
    from bench.video.decode import decode_frames

    dataset = folder_dataset(folder)
    table = Table("split", "videos", "sources", *dataset.train.class_names)
    for split in (dataset.train, dataset.validation, dataset.test):
        labels = split.labels.tolist()
        counts = [str(labels.count(label)) for label in range(len(split.class_names))]
        table.add_row(split.name, str(len(split)), str(len(set(split.sources))), *counts)
    console = Console()
    console.print(table)
    broken: list[str] = []
    everything = [video for split in (dataset.train, dataset.validation, dataset.test) for video in split.videos]
    with working(Home.default(), f"Decoding {dataset.name}") as activity:
        for number, video in enumerate(everything):
            activity(video.video_id, number / len(everything))
            try:
                for _ in decode_frames(video.path):
                    pass
            except ValueError as error:
                broken.append(str(error))
    for sentence in broken:
        console.print(f"[red]{sentence}[/red]")
    if broken:
        raise typer.Exit(1)
    console.print(f"All {len(everything)} files decode from the first frame to the last.")


def suites(as_json: Annotated[bool, typer.Option("--json", help="Print the protocols as JSON.")] = False) -> None:
    """The protocols, in words and with their hashes."""
    import sys

    from bench.data import SUITES
    from bench.schema import STAGES

    if as_json:
        rows = [{"hash": suite.hash, **suite.model_dump(mode="json")} for suite in SUITES.values()]
        typer.echo(json.dumps(rows))
        return
    console = Console()
    for suite in SUITES.values():
        clip = suite.clip
        console.print(f"[bold]{suite.name}[/bold] ({suite.status}), hash {suite.hash}")
        console.print((sys.modules[f"bench.suites.{suite.name.replace('-', '_')}"].__doc__ or "").strip())
        console.print(
            f"Clips of {clip.num_frames} frames, stride {clip.stride}, resized to {clip.resize[0]} x {clip.resize[1]}, "
            f"centre {clip.size} x {clip.size}; {suite.views.test} views of a test video; {suite.precision}."
        )
        table = Table("stage", "hash", "settings")
        for stage in STAGES:
            settings = getattr(suite, stage).model_dump(mode="json", exclude_defaults=False)
            words = ", ".join(f"{name} {json.dumps(value)}" for name, value in settings.items())
            table.add_row(stage.replace("_", " "), suite.stage_hash(stage)[:12], words)
        console.print(table)
