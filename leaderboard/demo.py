"""`reelproof demo`: from nothing to a board with one's own checkpoint on it.

The page runs here. Everything that needs torch runs as the commands that a user would type, in child processes, so the
page stays light and a crash of one is not the end of the other. Each command finds what an earlier run finished.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.home import Home
from leaderboard.cli import board, port_is_free, serve_in_background

RECIPE = "mini-vcop"
GRACE_S = 5.0


def demo(
    serve: Annotated[bool, typer.Option(help="Show the page and keep it up; otherwise end with a table.")] = True,
    port: Annotated[int, typer.Option(help="Where the page listens.")] = 7860,
    host: Annotated[str, typer.Option(help="Address the page listens on.")] = "127.0.0.1",
) -> None:
    """Generate the videos, pretrain a small network, submit it, judge it in six stages, show the board."""
    home = Home.default()
    console = Console(stderr=True)
    if serve:
        port_is_free(host, port)
        serve_in_background(home, host, port)
        console.print(
            f"The board is at [bold]http://{host}:{port}[/bold] and fills while the work goes on. Ctrl-C stops; the same command goes on."
        )
    checkpoint = home.checkpoints / RECIPE
    anchors = "random,supervised" if serve else "random"
    commands = [
        ["shipped"],
        ["pretrain", RECIPE, "--out", str(checkpoint)],
        ["submit", str(checkpoint), "--again"],
        ["worker", "--until-idle", "--anchors", anchors],
    ]
    for words in commands:
        _run(words, home)
    if not serve:
        board()
        return
    console.print(f"Everything is judged. The board stays at http://{host}:{port} until Ctrl-C.")
    while True:
        time.sleep(3600)


def _run(words: list[str], home: Home) -> None:
    """Run a command of ours to its end; stop it with us.

    Raises:
        typer.Exit: With the command's exit code, if it failed; it has said why.
    """
    environment = {**os.environ, "REELPROOF_HOME": str(home.root), "REELPROOF_STOP_WITH": str(os.getpid())}
    front_door = Path(__file__).resolve().parent.parent / "reelproof.py"
    child = subprocess.Popen([sys.executable, str(front_door), *words], env=environment)
    try:
        code = child.wait()
    except KeyboardInterrupt:
        try:
            child.wait(GRACE_S)  # a terminal has told the child, too
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)
            child.wait()
        raise
    if code:
        raise typer.Exit(code)
