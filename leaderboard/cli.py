"""Commands: serve, board."""

import json
import socket
import threading
import time
from typing import Annotated

import typer
from rich.console import Console

from bench.home import Home

START_S = 120.0
"""A server that is not up after so long never will be."""


def serve(
    port: Annotated[int, typer.Option(help="Where the page listens.")] = 7860,
    host: Annotated[str, typer.Option(help="Address the page listens on; 0.0.0.0 for every one.")] = "127.0.0.1",
) -> None:
    """Show the board as a page, until Ctrl-C. It reads results, queue and ledger as they come; it judges nothing."""
    port_is_free(host, port)
    home = Home.default()
    Console(stderr=True).print(f"Starting the page at [bold]http://{host}:{port}[/bold] ...")
    import uvicorn

    from leaderboard.app import build_app
    from leaderboard.source import HomeSource

    uvicorn.run(build_app(HomeSource(home)), host=host, port=port, log_level="warning")


def board(
    suite: Annotated[str, typer.Option(help="The protocol; the first with a row where none is named.")] = "",
    dataset: Annotated[str, typer.Option(help="One data set of the suite; all of them where none is named.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """Show the board as a table: ranks, scores with 95 % intervals, anchors."""
    from leaderboard.ranking import Ranks
    from leaderboard.source import HomeSource
    from leaderboard.tables import Asked
    from leaderboard.tables import board as board_of
    from leaderboard.terminal import plain_rows, terminal_table

    source = HomeSource(Home.default())
    results, entries, events, ranks = source.results(), source.entries(), source.events(), Ranks()
    first = board_of(results, entries, events, Asked(suite, dataset), ranks)
    if suite and first.suite is None:
        known = ", ".join(choice.key for choice in first.suites) or "none yet"
        raise ValueError(f"There is no result under {suite}. There are results under: {known}.")
    if dataset and dataset not in first.datasets:
        raise ValueError(f"{first.asked} has no data set {dataset}. It has: {', '.join(first.datasets) or 'none yet'}.")
    names = [dataset] if dataset else list(first.datasets) or [""]
    views = [board_of(results, entries, events, Asked(suite, name), ranks) for name in names]
    if as_json:
        typer.echo(json.dumps([row for view in views for row in plain_rows(view)]))
        return
    console = Console()
    for view in views if first.suite is not None else ():
        console.print(terminal_table(view, console.width))
    if first.suite is None:
        console.print("No result yet. `reelproof submit CHECKPOINT`, then `reelproof worker --until-idle`, makes one.")
    elif first.suite.status == "draft":
        console.print(f"{first.asked} is a draft: its protocol may still change, and every row is then judged again.")


def port_is_free(host: str, port: int) -> None:
    """Make sure that the page can listen there.

    Raises:
        ValueError: If something else does already, or the address is none of this machine's.
    """
    if not 0 < port < 2**16:
        raise ValueError(f"{port} is no port. Choose one from 1 to 65535, e.g. --port 7860.")
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise ValueError(
            f"The page cannot listen on {host}:{port}: {error.strerror}. Stop what does, or choose another port: --port {port + 1}."
        ) from error


def serve_in_background(home: Home, host: str, port: int) -> None:
    """Start the page in a thread of this process; returns once it answers. It ends with the process.

    Raises:
        ValueError: If it did not come up; the port was taken meanwhile, say.
    """
    import uvicorn

    from leaderboard.app import build_app
    from leaderboard.source import HomeSource

    server = uvicorn.Server(
        uvicorn.Config(
            build_app(HomeSource(home)), host=host, port=port, log_level="warning", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, name="page", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ValueError(f"The page did not come up at {host}:{port}. Choose another port: --port {port + 1}.")
        time.sleep(0.05)
