"""Several processes are told about, stopped and ended together."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bench.side_by_side import side_by_side


@dataclass(frozen=True)
class Work:
    """What a child is given."""

    number: int
    folder: Path


def doubled(order, tell):
    tell("doubling", 0.5)
    return 2 * order.number, os.getpid(), torch.get_num_threads()


def refused_at_two(order, tell):
    if order.number == 2:
        raise ValueError("two is too many")
    wait_until_stopped(order, tell)


def dies(order, _tell):
    os._exit(7)


def unpicklable_error(_order, _tell):
    class LocalError(Exception):
        pass

    raise LocalError("out of luck")


def wait_until_stopped(order, tell):
    (order.folder / f"began-{order.number}").touch()
    try:
        while True:
            tell("waiting", 0.0)
            time.sleep(0.01)
    finally:
        (order.folder / f"stopped-{order.number}").touch()


def orders(folder, *numbers):
    return {str(number): Work(number, folder) for number in numbers}


def nothing(*_said):
    pass


def test_every_order_is_done_in_a_process_of_its_own_with_its_share_of_the_cores(tmp_path):
    told = []
    done = side_by_side(doubled, orders(tmp_path, 1, 2), lambda *said: told.append(said))
    assert {name: one[0] for name, one in done.items()} == {"1": 2, "2": 4}
    assert len({os.getpid(), *(one[1] for one in done.values())}) == 3
    assert {one[2] for one in done.values()} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    assert sorted(told) == [("1", "doubling", 0.5), ("2", "doubling", 0.5)]


def test_a_mistake_in_one_stops_the_others_and_is_raised_as_it_was(tmp_path):
    with pytest.raises(ValueError, match=r"^two is too many$"):
        side_by_side(refused_at_two, orders(tmp_path, 1, 2), nothing)
    assert (tmp_path / "began-1").exists() == (tmp_path / "stopped-1").exists()


def test_whoever_hears_may_stop_everything_and_each_child_ends_in_order(tmp_path):
    class EnoughError(Exception):
        """Said by the one who hears."""

    def hear(*_said):
        if len(list(tmp_path.glob("began-*"))) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        side_by_side(wait_until_stopped, orders(tmp_path, 1, 2), hear)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["began-1", "began-2", "stopped-1", "stopped-2"]


def test_a_process_that_dies_is_named_with_its_exit_code(tmp_path):
    with pytest.raises(RuntimeError, match=r"^the process for 1 died with exit code 7$"):
        side_by_side(dies, orders(tmp_path, 1), nothing)


def test_an_error_that_cannot_travel_arrives_in_words(tmp_path):
    with pytest.raises(RuntimeError, match=r"^LocalError: out of luck$"):
        side_by_side(unpicklable_error, orders(tmp_path, 1), nothing)


def test_an_order_that_cannot_be_sent_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match="cannot be sent to another"):
        side_by_side(doubled, {"one": lambda: None}, nothing)
