"""The commands `reelproof corruptions list` and `reelproof corruptions check`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(help="What noise does to video.", no_args_is_help=True)


def definition_rows() -> list[dict[str, Any]]:
    """One row for each family of each table: its constants, formula, full names and source."""
    from corruptions.definition import FAMILIES, FORMULAS, POSITIONS, TABLES, Definition

    return [
        {
            "family": family,
            "table": name,
            "constants": list(table.constants[family]),
            "formula": FORMULAS[family],
            "source": table.source,
            "definitions": [
                Definition(family, name, position, hold=hold).name for position in POSITIONS for hold in (False, True)
            ],
        }
        for name, table in TABLES.items()
        for family in FAMILIES
    ]


@app.command("list")
def list_definitions(
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON and nothing else.")] = False,
) -> None:
    """Print every noise with its constants, positions and sources."""
    rows = definition_rows()
    if as_json:
        print(json.dumps(rows, indent=1))
        return

    from rich.console import Console
    from rich.table import Table

    from corruptions.definition import FORMULAS, POSITIONS, TABLES, Definition

    table = Table("table", "noise", "c at severity 1", "2", "3", "4", "5", box=None)
    for row in rows:
        table.add_row(row["table"], row["family"], *(f"{c:g}" for c in row["constants"]))
    console = Console()
    console.print(table)
    console.print()
    console.print("On a value x between 0 and 1, then clipped, times 255, truncated to uint8:")
    for family, formula in FORMULAS.items():
        console.print(f"  {family:<9} {formula}", highlight=False, soft_wrap=True)
    console.print("Sources of the constants:")
    for name, constants in TABLES.items():
        console.print(f"  {name:<15} {constants.source}", highlight=False)
    positions = ", ".join(POSITIONS)
    console.print(f"Positions: {positions}; fresh for each frame, or held over the video. Full names:", soft_wrap=True)
    for hold in (False, True):
        console.print(f"  {Definition('gaussian', hold=hold).name}", highlight=False)


@app.command("check")
def check(
    target: Annotated[
        str, typer.Argument(metavar="CORRUPTION", help="package.module:name, or the full name of one of ours.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON and nothing else.")] = False,
) -> None:
    """Hold a corruption to what it declares, and say what to fix."""
    from corruptions import conformance

    sys.path.insert(0, str(Path.cwd()))  # an author's own module lies here
    try:
        corruption = conformance.named(target)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    report = conformance.check(corruption, target)
    if as_json:
        print(
            json.dumps([{"promise": f.promise, "kept": not f.problem, "problem": f.problem} for f in report.findings])
        )
    else:
        print(report)
    if not report.passed:
        raise typer.Exit(1)
