"""What can go wrong on the way to a Hub and back."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Fault:
    """Goes wrong with requests of this method whose path holds this pattern, so many times."""

    method: str
    path: str
    times: int = 1
    status: int = 0
    """Answer with this instead."""

    headers: dict[str, str] = field(default_factory=dict)
    die_after: int | None = None
    """Read so many bytes of the request's body, then the whole server is gone."""

    answer_lost: bool = False
    """Do what is asked, then hang up without a word."""

    keep: int | None = None
    """Send only so many bytes of the answer's body, then hang up."""

    change: bool = False
    """Send other bytes of the same length."""

    meanwhile: Callable[[], object] | None = None
    """Done just before the request is served: somebody else was faster."""

    met: int = 0
    """How often it went wrong so far."""

    def meets(self, method: str, path: str) -> bool:
        """Whether this request is one of them; counts it."""
        if self.met >= self.times or method != self.method or not re.search(self.path, path):
            return False
        self.met += 1
        return True
