"""The worker: takes what waits in the queue, judges it, posts the result, queues missing anchors behind it.

It may be killed at any moment: the next worker of this machine sees that it is gone, elsewhere the lease runs out, and another
attempt finds the finished parts in the cache. A result that
was written before the kill is found and posted, not computed again.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from bench.activity import is_alive, working
from bench.data import open_suite, suite_named
from bench.home import Home
from bench.progress import Shares
from bench.results import StoredResult, read_results
from bench.run import Videos
from bench.schema import STAGES, ClipSpec
from bench.suites.protocol import Suite
from submissions.anchors import Anchor, make_checkpoint, queue_missing
from submissions.checkpoint import onnx_file
from submissions.database import connect
from submissions.evaluate import Standing, card_of, judge
from submissions.intake import keep
from submissions.ledger import Ledger
from submissions.queue import ATTEMPTS, LeaseLostError, Queue
from submissions.schema import Entry, Status

log = logging.getLogger(__name__)

HEARTBEAT_S = 15.0
POLL_S = 2.0


class Worker:
    """One process that judges submissions, one after the other."""

    def __init__(self, home: Home, *, device: str = "auto", anchors: Sequence[Anchor] = ()) -> None:
        engine = connect(home.database_url)
        self._home, self._device, self._anchors = home, device, anchors
        self._queue, self._ledger = Queue(engine), Ledger(engine)
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._opened: dict[tuple[str, ClipSpec], dict[str, Videos]] = {}

    def run(self, *, until_idle: bool) -> int:
        """Work until nothing waits or is being judged, or for ever. Returns how many submissions were judged.

        Ctrl-C and SIGTERM give the submission back; nothing of its work is lost.
        """
        judged = 0
        for entry in self._queue.entries():
            if entry.status == Status.DONE and not entry.submission.anchor:
                self._queue_anchors(entry)
        with _stoppable():
            while True:
                entry_ = self._queue.claim(self._name)
                if entry_ is not None:
                    self._serve(entry_)
                    judged += 1
                elif gone := [name for name in self._queue.holders() if _is_gone(name)]:
                    for name in gone:
                        self._queue.free_of(name)
                elif until_idle and not self._queue.waiting():
                    return judged
                else:
                    time.sleep(POLL_S)

    def _serve(self, entry: Entry) -> None:
        """Bring one submission to an end, whichever. A lease that was lost leaves it to the worker that has it now."""
        try:
            stored = self._judge_and_move(entry)
        except LeaseLostError as error:
            log.warning("%s; it is left to the other worker", error)
            return
        if stored is None:
            return
        self._ledger.record(
            "scored",
            encoder_hash=stored.result.card.encoder_hash,
            suite=entry.submission.suite,
            words=f"{entry.submission.name}: every stage of {stored.result.suite} ran",
            submission_id=entry.id,
            result_id=stored.result.result_id,
        )
        self._queue_anchors(entry)

    def _judge_and_move(self, entry: Entry) -> StoredResult | None:
        """The result of a submission that is done; None if it was rejected or broke off, which is then told."""
        with _heartbeat(self._queue, entry.id, self._name) as still_held:
            try:
                stored = self._judge(entry, still_held)
            except KeyboardInterrupt:
                self._queue.release(entry.id, self._name)
                raise
            except LeaseLostError:
                raise
            except ValueError as error:
                self._end(entry, Status.REJECTED, str(error))
                return None
            except Exception as error:
                log.exception("submission %d broke off", entry.id)
                again = entry.attempts < ATTEMPTS
                words = f"attempt {entry.attempts} of {ATTEMPTS} broke off: {type(error).__name__}: {error}"
                self._end(entry, Status.QUEUED if again else Status.FAILED, words)
                return None
            self._queue.move(entry.id, Status.DONE, worker=self._name, result_id=stored.result.result_id)
        return stored

    def _judge(self, entry: Entry, still_held: Callable[[], None]) -> StoredResult:
        request, queue = entry.submission, self._queue
        suite = suite_named(request.suite)
        with working(self._home, f"Judging {request.name} ({request.architecture})") as activity:
            whole = Shares(("checkpoint", "videos", *STAGES))

            def tell(step: str, state: str, words: str, share: float) -> None:
                still_held()
                activity(f"{step.replace('_', ' ')}: {words}" if words else step, whole(step, share))
                throttled(step, state, words, share)

            throttled = _Throttle(lambda *said: queue.tell(entry.id, *said))
            for stage in STAGES:
                queue.tell(entry.id, stage, "waiting", 0.0, "")
            folder = Path(request.checkpoint)
            if request.anchor and not request.checkpoint:
                folder = make_checkpoint(
                    request, self._home, self._device, lambda words, share: tell("checkpoint", "running", words, share)
                )
            loaded, kept = keep(folder, self._home)
            suite = suite.with_clip(loaded.config.clip)
            standing = Standing(name=request.name, anchor=request.anchor, owner=request.owner)
            card = card_of(loaded, standing, suite)
            done = request.model_copy(update={"checkpoint": str(kept), "encoder_hash": card.encoder_hash})
            queue.identify(entry.id, done)
            tell("checkpoint", "done", "", 1.0)
            for stored in read_results(self._home.results):
                if (stored.result.card, stored.result.suite_hash) == (card, suite.hash):
                    return stored  # written by an earlier attempt that was cut off before it could say so
            videos = self._videos(suite, lambda words, share: tell("videos", "running", words, share))
            tell("videos", "done", "", 1.0)
            return judge(
                kept,
                suite,
                videos,
                self._home,
                standing=standing,
                submission_id=entry.id,
                device=self._device,
                progress=tell,
                before_writing=still_held,
            )

    def _videos(self, suite: Suite, report: Callable[[str, float], None]) -> dict[str, Videos]:
        if (suite.name, suite.clip) not in self._opened:
            self._opened[suite.name, suite.clip] = open_suite(suite, self._home, report)
        return self._opened[suite.name, suite.clip]

    def _queue_anchors(self, entry: Entry) -> None:
        request = entry.submission
        if request.anchor or onnx_file(Path(request.checkpoint)) is not None:
            return  # an ONNX file has no untrained twin; chance alone is its scale
        if suite_named(request.suite).open:
            return  # an anchor would have to be shown this row's own clip; chance alone is the scale of an open suite
        for added in queue_missing(self._queue, request.architecture, request.suite, self._anchors):
            log.info("queued the anchor %s of %s", added.name, added.architecture)

    def _end(self, entry: Entry, status: Status, words: str) -> None:
        self._queue.move(entry.id, status, worker=self._name, note=words)
        self._ledger.record(
            status if status != Status.QUEUED else "attempt failed",
            encoder_hash=entry.submission.encoder_hash or "",
            suite=entry.submission.suite,
            words=f"{entry.submission.name}: {words}",
            submission_id=entry.id,
        )


class _Throttle:
    """Passes on what is new, and mere progress at most twice a second: the database is not a log."""

    def __init__(self, write: Callable[[str, str, float, str], None]) -> None:
        self._write = write
        self._last: tuple[str, str] = ("", "")
        self._time = 0.0

    def __call__(self, step: str, state: str, words: str, share: float) -> None:
        if (step, state) != self._last or time.monotonic() - self._time > 0.5:
            self._last, self._time = (step, state), time.monotonic()
            self._write(step, state, share, words)


@contextmanager
def _heartbeat(queue: Queue, entry_id: int, worker: str) -> Iterator[Callable[[], None]]:
    """Renews the lease beside the work. Yields a call that raises once the lease is lost."""
    over, lost = threading.Event(), threading.Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT_S):
            try:
                queue.renew(entry_id, worker)
            except LeaseLostError:
                lost.set()
                return
            except Exception:
                log.exception("could not renew the lease of submission %d; trying again", entry_id)

    def still_held() -> None:
        if lost.is_set():
            raise LeaseLostError(f"submission {entry_id} is no longer held by {worker}")

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield still_held
    finally:
        over.set()
        thread.join()


def _is_gone(worker: str) -> bool:
    """Whether it was a process of this machine and is none any more. Of other machines the lease alone tells."""
    host, _, pid = worker.rpartition(":")
    return host == socket.gethostname() and pid.isdecimal() and not is_alive(int(pid))


@contextmanager
def _stoppable() -> Iterator[None]:
    """SIGTERM stops the work as Ctrl-C does."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
