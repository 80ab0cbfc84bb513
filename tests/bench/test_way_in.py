"""The way in from Python, as the document shows it: a module that we do not ship, all six stages, real videos."""

import re
from pathlib import Path

import pytest

import bench
from bench.results import read_results
from bench.schema import STAGES
from bench.way_in import LOCAL
from tests.bench.video.conftest import write_levels

DOCUMENT = Path(__file__).parents[2] / "docs" / "your_own_module.md"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve dim and twelve bright videos in `my_videos`, here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REELPROOF_HOME", raising=False)
    for kind, level in (("dim", 60), ("bright", 170)):
        for number in range(12):
            levels = [level + number + frame % 3 for frame in range(20)]
            write_levels(tmp_path / "my_videos" / kind / f"v{number}.mp4", levels, size=(64, 86))
    return tmp_path


def test_the_example_of_the_document_runs_in_under_twenty_lines(folder, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), flags=re.DOTALL)
    assert sum(bool(line) for line in example.splitlines()) < 20
    names = {"__name__": "example"}
    exec(example, names)
    result = names["result"]
    (dataset,) = result.datasets
    assert [report.stage for report in result.stages] == list(STAGES)
    assert {score.stage for score in result.scores} == set(STAGES)
    assert result.find("linear_probe", dataset.name, "top1").value == 1  # bright is not dim
    assert len(capsys.readouterr().out.splitlines()) == len(result.scores)
    assert not result.postable
    assert LOCAL in result.remarks

    again = bench.evaluate(names["encoder"], "mini-v1", "my_videos", student=names["build"], save="kept")
    assert again.scores == result.scores
    (stored,) = read_results(folder / "kept")
    assert stored.result == again


def test_a_name_that_bench_does_not_have_is_told_as_by_any_module():
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'evalaute'"):
        _ = bench.evalaute
