"""A bound on the memory that reading a stranger's file may take.

A few bytes can ask for any amount: a pickle for a buffer of 20 GB, a message for a million empty parts. Whatever way a
file finds, the system then says no, and the reader says so in a sentence.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "linux":
    import resource

MARGIN = 2**28
"""Bytes beside the content itself: what readers take for their own tables."""


@contextmanager
def memory_for(content_bytes: int, margin: int = MARGIN) -> Iterator[None]:
    """While it lasts this process cannot take more than twice the content and a margin; asking for more raises MemoryError.

    The limit is that of the whole process, by its address space. Linux alone has it: elsewhere nothing is bounded here.
    """
    if sys.platform != "linux":
        yield
        return
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = taken + 2 * content_bytes + margin
    smallest = min([wanted, *(limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY)])
    resource.setrlimit(resource.RLIMIT_AS, (smallest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
