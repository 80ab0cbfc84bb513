"""The row that comes with Reelproof: it is of its weights, under the suite as it is now, small, and on the board at once."""

import shutil

import pytest

from bench.data import open_suite
from bench.home import Home
from bench.results import read_result, read_results
from bench.suites.mini_v1 import MINI_V1
from submissions.checkpoint import arrive
from submissions.evaluate import Standing, card_of
from submissions.shipped import place as module
from submissions.shipped.place import CHECKPOINT, RESULT, place
from submissions.verify import find_row, verify


def test_the_row_is_of_the_shipped_weights_under_the_suite_as_it_is():
    stored = read_result(RESULT)
    assert stored.result.suite_hash == MINI_V1.hash
    assert stored.result.card == card_of(arrive(CHECKPOINT), Standing(), MINI_V1)


def test_the_row_is_whole_and_was_made_by_code_that_was_committed():
    result = read_result(RESULT).result
    assert result.postable
    assert not result.environment.code_dirty
    assert {report.stage for report in result.stages} == set(MINI_V1.datasets[0].stages)


def test_the_checkpoint_is_small():
    assert sum(file.stat().st_size for file in CHECKPOINT.iterdir()) < 3e6


def test_it_is_on_the_board_and_a_second_time_changes_nothing(tmp_path):
    home = Home(tmp_path)
    for _ in range(2):
        stored = place(home)
        assert [one.folder for one in read_results(home.results)] == [stored.folder]
    assert find_row(home, stored.result.card.encoder_hash[:8]).rows()["rank"].size


def test_on_a_full_disk_nothing_half_is_left(tmp_path, monkeypatch):
    home = Home(tmp_path)

    def full(_source, target):
        target.mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.shutil, "copytree", full)
    with pytest.raises(ValueError, match=r"Could not copy the shipped row to .*: No space left on device\. Free some"):
        place(home)
    assert list(home.results.iterdir()) == []


@pytest.mark.prove
def test_its_frozen_stages_run_again_to_the_same_predictions(tmp_path):
    home = Home(tmp_path)
    stored = place(home)
    videos = open_suite(MINI_V1, home, lambda *_: None)
    verified = verify(stored, MINI_V1, videos, home, stages=("linear_probe", "retrieval"), device="cpu")
    assert verified.verdict.name in ("MATCH", "WITHIN NOISE"), verified.verdict.words
    shutil.rmtree(home.root)
