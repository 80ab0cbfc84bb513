"""One function in several processes at once, each with a share of the cores: told about, stopped and ended together.

Networks as small as those of a demo gain nothing from a second thread; a second process halves the time. A child that
is told to stop, or whose parent is gone, stops at its next report; what it has kept by then is found again.
"""

import multiprocessing
import pickle
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from bench.cores import cores

Order = TypeVar("Order")
Done = TypeVar("Done")

Tell = Callable[..., None]
"""What a function reports with; it raises once the work is to stop."""

PATIENCE_S = 60.0
"""How long a child may take to save its state once it is told to stop."""


class StoppedError(Exception):
    """The work is no longer wanted."""


def side_by_side(
    function: Callable[[Order, Tell], Done], orders: Mapping[str, Order], tell: Callable[..., None]
) -> dict[str, Done]:
    """Run a function on every order, each in a process of its own.

    Args:
        function: Of an order and a way to report. Importable by name, as the orders and what it returns must be picklable.
        orders: By name.
        tell: Called here with the name of an order and what its function reports. May raise: then all are stopped first.

    Raises:
        ValueError: If an order cannot be sent to another process; or whatever a function raised, the others stopped.
        RuntimeError: If a process died, with its exit code.
    """
    try:
        packed = {name: pickle.dumps((function, order)) for name, order in orders.items()}
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"This cannot be judged in several processes, because a part of it cannot be sent to another: {error}. "
            "Define its classes in a module that can be imported, or judge in one process (processes=1)."
        ) from error
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads half-way through their work
    children: dict[Connection, tuple[str, BaseProcess]] = {}
    done: dict[str, Done] = {}
    threads = max(1, cores() // len(orders))
    try:
        for name, order in packed.items():
            ours, theirs = context.Pipe()
            child: BaseProcess = context.Process(target=_work, args=(theirs, order, threads), name=f"reelproof {name}")
            child.start()
            theirs.close()
            children[ours] = (name, child)
        while len(done) < len(orders):
            for pipe in wait([pipe for pipe, (name, _) in children.items() if name not in done]):
                assert isinstance(pipe, Connection), "pipes are all that is waited for"
                name, child = children[pipe]
                kind, content = _received(pipe, child, name)
                if kind == "told":
                    tell(name, *content)
                elif kind == "done":
                    done[name] = content
                else:
                    raise content
    finally:
        _end(children)
    return done


def _received(pipe: Connection, child: BaseProcess, name: str) -> tuple[str, Any]:
    try:
        kind, content = pickle.loads(pipe.recv_bytes())  # from our own child
    except EOFError:
        child.join(PATIENCE_S)
        raise RuntimeError(f"the process for {name} died with exit code {child.exitcode}") from None
    return kind, content


def _end(children: Mapping[Connection, tuple[str, BaseProcess]]) -> None:
    """Tell every child to stop, and wait until it has."""
    for pipe in children:
        with suppress(OSError):
            pipe.send_bytes(b"stop")
    for pipe, (_, child) in children.items():
        drain = threading.Thread(target=_drain, args=(pipe,), daemon=True)
        drain.start()  # a child that is writing into a full pipe would never see the word
        child.join(PATIENCE_S)
        if child.is_alive():
            child.kill()
            child.join()
        drain.join(1.0)
        pipe.close()


def _drain(pipe: Connection) -> None:
    with suppress(EOFError, OSError):
        while True:
            pipe.recv_bytes()


def _portable(error: BaseException) -> BaseException:
    """The error itself if it survives the way to another process, else its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _work(pipe: Connection, packed: bytes, threads: int) -> None:
    """The child: unpack, run, send back. Ctrl-C is left to the parent, who tells everyone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)

    def tell(*said: Any) -> None:
        if pipe.poll():  # the word to stop, or the end of the parent
            raise StoppedError
        pipe.send_bytes(pickle.dumps(("told", said)))

    try:
        function, order = pickle.loads(packed)
        done = function(order, tell)
    except (StoppedError, BrokenPipeError):
        return
    except BaseException as error:
        with suppress(OSError):
            pipe.send_bytes(pickle.dumps(("failed", _portable(error))))
        return
    with suppress(OSError):
        pipe.send_bytes(pickle.dumps(("done", done)))
