"""What goes on can be read by another process, and ends when it ends."""

import json
import os
import time
from dataclasses import asdict

import pytest

from bench.activity import STALE_S, Activity, running, working
from bench.home import Home


def test_work_is_seen_while_it_lasts_and_not_after(tmp_path):
    home = Home(tmp_path)
    with working(home, "Pretraining") as tell:
        tell("step 3 of 10", 0.3)
        (seen,) = running(home)
        assert (seen.title, seen.words, seen.share) == ("Pretraining", "step 3 of 10", 0.3)
    assert running(home) == []


def test_work_that_breaks_off_is_not_seen_any_more(tmp_path):
    home = Home(tmp_path)

    def break_off() -> None:
        with working(home, "Pretraining") as tell:
            tell("step 3 of 10", 0.3)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        break_off()
    assert running(home) == []


@pytest.mark.parametrize(("alive", "age"), [(False, 0.0), (True, STALE_S + 1)])
def test_what_a_killed_process_left_behind_is_passed_over(tmp_path, alive, age):
    pid = os.getpid() if alive else 2**22 - 1
    left = Activity("Pretraining", "step 3", 0.3, time.time() - 100, time.time() - age, pid)
    (tmp_path / "activity").mkdir()
    (tmp_path / "activity" / "1.json").write_text(json.dumps(asdict(left)))
    assert running(Home(tmp_path)) == []


def test_the_time_left_follows_the_pace_so_far():
    assert Activity("t", "w", 0.25, 1000.0, 1010.0, 1).left_s == pytest.approx(30.0)
    assert Activity("t", "w", 0.0, 1000.0, 1010.0, 1).left_s is None
