"""The front door: `reelproof COMMAND`. Each command is imported when it is used, so that help answers at once."""

import importlib
import os
import signal
import sys
import threading
import time
from typing import Any

import click
import typer.core
from typer.main import get_command

COMMANDS: dict[str, tuple[str, str, str]] = {
    # name: (module, attribute, one line of help)
    "demo": ("leaderboard.demo", "demo", "Train a small model, judge it and show the board. Start here."),
    "data": ("bench.cli", "data", "List data sets; check what is there; take subsets."),
    "suites": ("bench.cli", "suites", "The protocols, in words and with their hashes."),
    "corrupt": ("bench.noisy_copies.cli", "corrupt", "Write a video under noise, for looking at."),
    "corruptions": ("bench.noisy_copies.cli", "corruptions", "The noises: list, check, draw a sheet, copy a test set."),
    "backbones": ("reference_models.cli", "backbones", "The networks we ship."),
    "convert": ("reference_models.cli", "convert", "Turn a checkpoint you have into one that can be judged."),
    "export-onnx": ("reference_models.cli", "export_onnx", "Write a checkpoint as ONNX, parity shown."),
    "recipes": ("reference_models.cli", "recipes", "The training runs we ship."),
    "pretrain": ("reference_models.cli", "pretrain", "Train a checkpoint from a recipe."),
    "publish": ("reference_models.cli", "publish", "Put a checkpoint on the Hugging Face Hub, in one commit."),
    "evaluate": ("submissions.cli", "evaluate", "Judge a checkpoint here, without the queue."),
    "verify": ("submissions.cli", "verify", "Run a row again and say whether it holds."),
    "shipped": ("submissions.cli", "shipped", "Put the row that comes with Reelproof on the board."),
    "submit": ("submissions.cli", "submit", "Put a checkpoint into the queue."),
    "worker": ("submissions.cli", "worker", "Judge what waits in the queue."),
    "ledger": ("submissions.cli", "ledger", "Every admission, score and verdict."),
    "serve": ("leaderboard.cli", "serve", "Show the board as a page."),
    "board": ("leaderboard.cli", "board", "Show the board as a table here."),
}


class FrontDoor(typer.core.TyperGroup):
    """Knows the commands by name and help line alone, until one is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order above, which is the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """For help a name with its line; to run it, the command itself."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, line = COMMANDS[cmd_name]
        if ctx.resilient_parsing or _only_help():
            return click.Command(cmd_name, help=line, short_help=line)
        found: Any = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
            single.command(name=cmd_name)(found)
            found = single
        command = get_command(found)
        command.name = cmd_name
        return command


def _only_help() -> bool:
    return len(sys.argv) < 2 or sys.argv[1] in ("--help", "-h")


app = typer.Typer(
    cls=FrontDoor,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Judge self-supervised video encoders: six stages, noise, intervals, a leaderboard.",
    context_settings={"help_option_names": ["--help", "-h"]},
)


@app.callback()
def _front_door() -> None:
    """Judge self-supervised video encoders: six stages, noise, intervals, a leaderboard."""


def _stop_with(parent: int) -> None:
    """End as by Ctrl-C once the process that started us is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)


def main() -> None:
    """Run a command. A user's mistake is one sentence and exit code 2; Ctrl-C is 130 and loses nothing."""
    # Read when torch is imported: threads that spin at barriers make a step three times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    if parent := os.environ.get("REELPROOF_STOP_WITH"):
        signal.signal(signal.SIGINT, signal.default_int_handler)  # A shell's background job inherits it ignored.
        threading.Thread(target=_stop_with, args=(int(parent),), daemon=True).start()
    try:
        app()
    except ValueError as error:
        click.echo(f"reelproof: {error}", err=True)
        raise SystemExit(2) from error
    except KeyboardInterrupt:
        click.echo("Stopped. The same command goes on where it was.", err=True)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
