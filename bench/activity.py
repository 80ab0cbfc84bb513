"""Progress of long work: a bar with the time left in the terminal, and a small file that the page reads.

No torch here: the page imports `running`.
"""

import contextlib
import json
import os
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.home import Home

STALE_S = 60.0
"""An activity that has not been heard of for so long is not shown."""

PLAIN_EVERY_S = 15.0
"""How often a line is printed where there is no terminal."""


@dataclass(frozen=True)
class Activity:
    """One piece of work that goes on now."""

    title: str
    words: str
    share: float
    started: float
    """Seconds since the epoch, as the other time."""

    updated: float
    pid: int

    @property
    def left_s(self) -> float | None:
        """Seconds left at the pace so far; None while too little is done to say."""
        return (self.updated - self.started) * (1 - self.share) / self.share if self.share > 0.03 else None


class Working:
    """Tells what goes on: call it with a few words and the share done."""

    def __init__(self, title: str, file: Path, bar: Progress | None, task: TaskID | None, console: Console) -> None:
        self._title, self._file, self._bar, self._task, self._console = title, file, bar, task, console
        self._started = time.time()
        self._written = 0.0
        self._printed = 0.0

    def __call__(self, words: str, share: float) -> None:
        """Show it, at most five times a second on the disk."""
        now = time.time()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=share, words=words)
        elif now - self._printed > PLAIN_EVERY_S:
            self._printed = now
            self._console.print(f"{self._title}: {words} ({share:.0%})", highlight=False)
        if now - self._written > 0.2 or share >= 1:
            self._written = now
            state = Activity(self._title, words, share, self._started, now, os.getpid())
            half = self._file.with_suffix(".half")
            with contextlib.suppress(OSError):  # a full disk stops the work elsewhere, with a sentence; not here
                half.write_text(json.dumps(asdict(state)))
                half.replace(self._file)

    def say(self, sentence: str) -> None:
        """Print what should stay in the terminal, above the bar."""
        self._console.print(sentence, highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def working(home: Home, title: str) -> Iterator[Working]:
    """Show a piece of work while it lasts.

    Args:
        home: Where the page looks for it.
        title: What is done, for people: `Pretraining mini-vcop`.
    """
    folder = home.root / "activity"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{os.getpid()}-{zlib.crc32(title.encode()):08x}.json"
    console = Console(stderr=True)
    try:
        if sys.stderr.isatty():
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:>3.0f} %"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("[dim]{task.fields[words]}"),
            )
            with Progress(*columns, console=console) as bar:
                yield Working(title, file, bar, bar.add_task(title, total=1.0, words=""), console)
        else:
            yield Working(title, file, None, None, console)
    finally:
        file.unlink(missing_ok=True)


def running(home: Home) -> list[Activity]:
    """What goes on now, oldest first. Files that a killed process left behind are passed over."""
    found = []
    for path in (home.root / "activity").glob("*.json"):
        try:
            activity = Activity(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue  # just replaced or half gone; it is read again in a moment
        if time.time() - activity.updated < STALE_S and is_alive(activity.pid):
            found.append(activity)
    return sorted(found, key=lambda activity: activity.started)


def is_alive(pid: int) -> bool:
    """Whether there is a process of this number on this machine, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
