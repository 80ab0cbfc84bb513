"""Arms that take turns, and how their rows are shown: no benchmark itself.

In every round each arm has its turn, so that a busy machine slows all of them alike.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Arm = Callable[[], object]
Row = dict[str, Any]
"""`what` was measured, which `arm`, and numbers."""


def in_turns(
    arms: Mapping[str, Arm], rounds: int, *, uncounted: int = 0, clock: Callable[[], float] = time.process_time
) -> dict[str, float]:
    """Seconds of each arm, the smallest of the rounds after those that do not count; by default processor time of all threads."""
    best = dict.fromkeys(arms, float("inf"))
    for turn in range(uncounted + rounds):
        for name, arm in arms.items():
            started = clock()
            arm()
            if turn >= uncounted:
                best[name] = min(best[name], clock() - started)
    return best


def show(rows: Sequence[Row], ratios: Mapping[str, float], *, as_json: bool) -> None:
    """Print the rows and what they promise, as a table or as JSON."""
    if as_json:
        print(json.dumps({"rows": rows, "ratios": ratios}))
        return
    for row in rows:
        numbers = " ".join(f"{v:.3g} {k.replace('_', ' ')}" for k, v in row.items() if k not in ("what", "arm"))
        print(f"{row['what']:<36}{row['arm']:<24}{numbers}")
    print()
    for what, ratio in ratios.items():
        print(f"{what}: {ratio:.3g}")


def words(text: str) -> tuple[str, ...]:
    """What stands between commas."""
    return tuple(text.split(","))
