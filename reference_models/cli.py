"""Commands: backbones, convert, export-onnx, recipes, pretrain, publish."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def backbones(as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """The networks we ship, with their size and cost for one clip."""
    from reference_models.counts import count_all

    counts = count_all()
    if as_json:
        typer.echo(json.dumps([asdict(count) for count in counts]))
        return
    table = Table(title="For one clip of 16 x 112 x 112")
    for heading in ("name", "parameters", "GMACs", "GFLOPs", "features", "takes"):
        table.add_column(heading, no_wrap=True)
    for count in counts:
        table.add_row(
            *(count.name, f"{count.parameters:,}", f"{count.macs / 1e9:.2f}", f"{count.gflops:.2f}"),
            *(str(count.feature_dim), count.accepts),
        )
    console = Console()
    console.print(table)
    for source in dict.fromkeys(count.source for count in counts):
        names = ", ".join(count.name for count in counts if count.source == source)
        console.print(f"{source}: {names}", highlight=False)
    paper = Table(
        "name",
        "M params",
        "ours",
        "GFLOPs",
        "ours",
        "off by",
        title="Table 10 of the paper, and ours by its conventions",
    )
    for count in counts:
        if count.table_10 is not None:
            row = count.table_10
            off = f"{100 * (row.our_gflops / row.gflops - 1):+.1f} %"
            paper.add_row(
                *(count.name, f"{row.parameters_millions}", f"{row.our_parameters:,}"),
                *(f"{row.gflops}", f"{row.our_gflops:.2f}", off),
            )
    console.print(paper)
    console.print("Conventions: a head trunk -> 512 -> 101; batch norms counted, two multiply-accumulates an element.")


def recipes(as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False) -> None:
    """The training runs we ship: `reelproof pretrain NAME`."""
    from reference_models.recipes.named import RECIPES

    made = [make() for make in RECIPES.values()]
    if as_json:
        landings = [asdict(recipe.landing) if recipe.landing else None for recipe in made]
        rows = zip(made, landings, strict=True)
        typer.echo(
            json.dumps([{**recipe.settings, "hash": recipe.hash, "landing": landing} for recipe, landing in rows])
        )
        return
    table = Table("name", "architecture", "learns from", "steps", "videos a step", "clips of each")
    for column in table.columns[:2]:
        column.no_wrap = True
    for recipe in made:
        count = (f"{recipe.steps:,}", str(recipe.batch_size), str(recipe.task.clips_per_video))
        table.add_row(recipe.name, recipe.architecture, recipe.videos, *count)
    console = Console()
    console.print(table)
    console.print(
        "Each one on another backbone: reelproof pretrain NAME --architecture BACKBONE. What it would cost: --dry-run.",
        highlight=False,
    )


def pretrain(
    recipe: Annotated[str, typer.Argument(help="Name of a recipe; see `reelproof recipes`.")],
    data: Annotated[
        Path | None,
        typer.Option(help="Your own videos, FOLDER/class/*.mp4|avi|webm, instead of the recipe's."),
    ] = None,
    videos: Annotated[
        str, typer.Option(help="A data set by name instead (`reelproof data list`): what pretraining may see of it.")
    ] = "",
    root: Annotated[Path | None, typer.Option(help="Where that data set's files lie.")] = None,
    annotations: Annotated[
        Path | None, typer.Option(help="Folder of its lists (or a list), where it is not below the root.")
    ] = None,
    split: Annotated[int, typer.Option(help="Which of its official splits, where there are several.")] = 1,
    subset: Annotated[
        Path | None, typer.Option(help="Of that data set the videos of a manifest of `reelproof data subset` alone.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the checkpoint.")] = None,
    architecture: Annotated[str, typer.Option(help="Another backbone than the recipe's.")] = "",
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and stop.")] = False,
    stream: Annotated[
        bool, typer.Option("--stream", help="Store no frames, decode every clip anew: for sets too large for the disk.")
    ] = False,
) -> None:
    """Train a checkpoint from a recipe. The same call after a stop goes on where it was."""
    from bench.activity import working
    from bench.home import Home
    from bench.video.datasets.known import copy_of, known
    from bench.video.index import VideoSet
    from bench.video.subset import read_manifest
    from reference_models.dry_run import estimate
    from reference_models.pretrain import landed
    from reference_models.pretrain import pretrain as train_checkpoint
    from reference_models.recipes.named import recipe_named

    chosen = recipe_named(recipe, architecture)
    console = Console(stderr=True)
    if dry_run:
        console.print(estimate(chosen, device).words, highlight=False)
        return
    if data is not None and videos:
        raise ValueError("Take either --data or --videos.")
    if (root or annotations or subset) and not videos:
        raise ValueError("--root, --annotations and --subset belong to a data set: name it with --videos.")
    home = Home.default()
    own: Path | VideoSet | None = data
    if videos:
        own = known(videos).pretraining(copy_of(videos, root, annotations, split, embedded=home.videos))
        own = read_manifest(subset, own) if subset else own
    name = chosen.name if not architecture else f"{chosen.name}--{chosen.architecture}"
    if own is not None:
        name += f"--{own.name if isinstance(own, VideoSet) else own.resolve().name}".replace(" ", "-")
    folder = out or home.checkpoints / name
    with working(home, f"Pretraining {chosen.name}") as activity:
        train_checkpoint(
            chosen, home=home, folder=folder, device=device, report=activity, data=own, stream=stream, say=activity.say
        )
    if own is None and chosen.landing:
        console.print(landed(chosen, folder), highlight=False)
    console.print(f"The checkpoint is in {folder}. To judge it: reelproof submit {folder}", highlight=False)


def convert(
    file: Annotated[Path, typer.Argument(help="What torch.save or safetensors wrote, or a folder of the Hub.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Checkpoint folder to write.")],
    format_: Annotated[str, typer.Option("--format", help="Name of a format, where the keys leave it open.")] = "auto",
    arch: Annotated[str, typer.Option(help="Name of a backbone, likewise.")] = "auto",
    mean: Annotated[tuple[float, float, float] | None, typer.Option(help="Colours it was trained with.")] = None,
    std: Annotated[tuple[float, float, float] | None, typer.Option(help="Colours it was trained with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the load report as JSON.")] = False,
) -> None:
    """Turn a checkpoint you have into one that can be judged, with every tensor accounted for."""
    from bench.schema import Normalisation
    from reference_models.checkpoints.convert import convert as run

    if (mean is None) != (std is None):
        raise ValueError("Give --mean and --std together.")
    colours = Normalisation(mean=mean, std=std) if mean and std else None
    report = run(file, out, format_, arch, colours)
    if as_json:
        typer.echo(report.model_dump_json())
        return
    console = Console()
    console.print(f"{report.loaded} of {report.expected} trunk tensors filled. {report.recognised}", highlight=False)
    for why in dict.fromkeys(report.dropped.values()):
        keys = [key for key, reason in report.dropped.items() if reason == why]
        console.print(f"left behind, {why}: {len(keys)} ({keys[0]} ...)", highlight=False)
    console.print(f"Written to {out}. Next: reelproof submit {out}", highlight=False)


def export_onnx(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="File to write; FOLDER/model.onnx if not given.")
    ] = None,
    frames: Annotated[int, typer.Option(help="Of the clips the file takes; the checkpoint's own if not given.")] = 0,
    size: Annotated[int, typer.Option(help="Rows and columns of these clips.")] = 0,
    layers: Annotated[bool, typer.Option(help="Layers as outputs too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Write a checkpoint, whatever its backbone, as ONNX and show that it agrees with torch.

    `reelproof evaluate --checkpoint FILE.onnx` and `reelproof submit FILE.onnx` take it as features alone: every stage but finetuning.
    """
    from reference_models.export_onnx import export_onnx as run

    if bool(frames) != bool(size):
        raise ValueError("Give --frames and --size together.")
    written = run(folder, out, (frames, size) if frames else None, with_layers=layers)
    if as_json:
        typer.echo(written.model_dump_json())
        return
    parity = written.parity
    clip = " x ".join(map(str, written.clip))
    typer.echo(
        f"{written.file}: {written.architecture}, clips of {clip}, {len(written.outputs)} outputs, opset {written.opset}. "
        f"Against torch on {parity.clips} random clips: largest relative difference {parity.largest_difference:.1e}, "
        f"lowest cosine {parity.lowest_cosine:.7f}. {', '.join(f'{k} {v}' for k, v in written.versions.items())}."
    )


def publish(
    folder: Annotated[Path, typer.Argument(help="Checkpoint folder.", metavar="DIR")],
    repo: Annotated[str, typer.Option(help="ORG/NAME on the Hugging Face Hub; made where there is none.")],
    private: Annotated[bool, typer.Option("--private", help="A new repository is for its owners alone.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would stand there, and stop.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was published as JSON.")] = False,
) -> None:
    """Put a checkpoint on the Hub, in one commit. The same bytes make no second one. Needs HF_TOKEN or `hf auth login`."""
    from reference_models.publish import contents, size_of
    from reference_models.publish import publish as run

    if dry_run:
        config, files = contents(folder, repo)
        for name, content in files.items():
            typer.echo(f"{size_of(content):>13,} bytes  {name}")
        licence = f"licence {config.licence}" if config.licence else "without a licence: nobody may reuse it"
        typer.echo(f"{config.name}, {licence}, would be hf://{repo}. Nothing was sent.")
        return
    published = run(folder, repo, private=private)
    if as_json:
        typer.echo(json.dumps({**asdict(published), "address": published.address, "page": published.page}))
        return
    if published.changed:
        typer.echo(f"Published {published.address} ({', '.join(published.changed)}).")
    else:
        typer.echo(f"{published.address} holds these bytes already; nothing was committed.")
    typer.echo(f"{published.page} shows it. To judge it: reelproof submit {published.address}")
