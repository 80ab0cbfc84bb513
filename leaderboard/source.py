"""Where the page reads: result folders, queue, ledger and what goes on now. It writes nothing."""

from collections.abc import Sequence
from typing import Protocol

from bench.activity import Activity, running
from bench.home import Home
from bench.results import StoredResult, read_result
from submissions.database import connect
from submissions.ledger import Ledger
from submissions.queue import Queue
from submissions.schema import Entry, Event


class Source(Protocol):
    """What the page needs to know."""

    def results(self) -> Sequence[StoredResult]:
        """All results, oldest first."""
        ...

    def entries(self) -> Sequence[Entry]:
        """All submissions, oldest first, with their progress."""
        ...

    def events(self) -> Sequence[Event]:
        """The ledger, oldest first."""
        ...

    def activities(self) -> Sequence[Activity]:
        """What goes on besides: generating videos, pretraining."""
        ...


class HomeSource:
    """A `Home` on the disk. Results never change, so each is read once."""

    def __init__(self, home: Home) -> None:
        self._home = home
        engine = connect(home.database_url)
        self._queue, self._ledger = Queue(engine), Ledger(engine)
        self._read: dict[str, StoredResult] = {}

    def results(self) -> Sequence[StoredResult]:
        """All results, oldest first; new folders are read, the others remembered."""
        folder = self._home.results
        names = (
            {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
            if folder.exists()
            else set()
        )
        read = {name: self._read.get(name) or read_result(folder / name) for name in names}
        self._read = read
        return sorted(read.values(), key=lambda stored: (stored.result.created, stored.folder.name))

    def entries(self) -> Sequence[Entry]:
        """All submissions, oldest first, with their progress."""
        return self._queue.entries()

    def events(self) -> Sequence[Event]:
        """The ledger, oldest first."""
        return self._ledger.events()

    def activities(self) -> Sequence[Activity]:
        """What goes on besides: generating videos, pretraining."""
        return running(self._home)
