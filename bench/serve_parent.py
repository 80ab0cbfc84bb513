"""What a worker process owes the one that started it. Pools do not do this: their workers outlive a parent that is killed."""

import multiprocessing
import os
import signal
import threading


def serve_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it is gone, however it went: the initializer of a pool of spawned processes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None, "called in a child"

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
