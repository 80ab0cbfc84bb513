"""The demo, killed again and again, comes to the same board as one that was left alone."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FRONT_DOOR = Path(__file__).resolve().parents[2] / "reelproof.py"
KILLS = 6


def command(home, *words):
    environment = {**os.environ, "REELPROOF_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, str(FRONT_DOOR), *words], env=environment, stdout=subprocess.PIPE, start_new_session=True
    )


def everyone_below(pid):
    """The process and all it started, and theirs."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def rows(home):
    """The board as it is now."""
    return json.loads(command(home, "board", "--json").communicate()[0])


@pytest.mark.prove
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds its children in /proc")
def test_kill_9_at_any_moment_loses_nothing_and_moves_no_number(tmp_path):
    moments, kills = random.Random(20250406), 0
    for _ in range(KILLS):
        demo = command(tmp_path, "demo", "--no-serve")
        try:
            demo.communicate(timeout=moments.uniform(15, 75))
            assert demo.returncode == 0
            break  # a fast machine was done before
        except subprocess.TimeoutExpired:
            kills += 1
        for pid in everyone_below(demo.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        demo.communicate()
    assert kills > 1
    demo = command(tmp_path, "demo", "--no-serve")
    demo.communicate()
    assert demo.returncode == 0
    board = rows(tmp_path)
    assert {row.get("name") or row["anchor"] for row in board} == {"Clip order (mini)", "Rotation (mini)", "random"}

    again = command(tmp_path, "demo", "--no-serve")
    again.communicate()
    assert again.returncode == 0
    assert rows(tmp_path) == board

    verified = command(tmp_path, "verify", "Clip order (mini)")
    words, _ = verified.communicate()
    assert words.decode().startswith("MATCH"), "from the kept weights, with an empty cache and no interruption"
