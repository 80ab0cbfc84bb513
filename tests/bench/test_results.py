"""A result folder is whole or absent, and comes back as it was written."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bench.guesses import Grams
from bench.results import read_result, read_results, write_result
from bench.schema import Card, DatasetReport, Environment, Normalisation, Result, Score

HASH = "0" * 64


def result(name: str = "a model", result_id: str = "r1", minute: int = 0) -> Result:
    return Result(
        result_id=result_id,
        card=Card(
            name=name,
            architecture="net",
            weight_hash=HASH,
            encoder_hash=HASH,
            normalisation=Normalisation(),
            feature_dim=8,
            parameters=100,
        ),
        suite="mini-v1",
        suite_hash=HASH,
        suite_status="draft",
        created=datetime(2026, 1, 1, 12, minute, tzinfo=UTC),
        datasets=(
            DatasetReport(
                name="motion",
                manifest_hash=HASH,
                frames_digest=HASH,
                class_names=("left", "right"),
                num_train=4,
                num_validation=2,
                num_test=3,
                num_clusters=2,
            ),
        ),
        stages=(),
        scores=(
            Score(
                stage="linear_probe",
                dataset="motion",
                metric="top1",
                value=0.5,
                low=0.4,
                high=0.6,
                n=3,
                clusters=2,
                chance=0.5,
            ),
        ),
        environment=Environment(python="3", platform="", cpu="", threads=1, libraries={}, code_version="0"),
        postable=True,
    )


def rows() -> dict[str, np.ndarray]:
    text = {"video_id": ["ä/1", "b", "c"], "source": ["s", "s", "t"], "stage": ["linear_probe"] * 3}
    text |= {"dataset": ["motion"] * 3, "model": [""] * 3, "corruption": ["clean"] * 3}
    numbers = {"label": [0, 1, 1], "severity": [0] * 3, "seed": [0] * 3, "predicted": [1, 1, 0], "rank": [2, 1, 2]}
    return {k: np.array(v) for k, v in text.items()} | {k: np.array(v, dtype=np.int64) for k, v in numbers.items()}


def grams() -> Grams:
    values = np.arange(2 * 1 * 3 * 3, dtype=np.float32).reshape(2, 1, 3, 3)
    return Grams("motion", "pretrained", ("ä/1", "b", "c"), ("stem", "pooled"), values)


def test_what_was_written_comes_back_equal(tmp_path):
    write_result(tmp_path, result(), rows(), [grams()])
    (stored,) = read_results(tmp_path)
    assert stored.result == result()
    for name, column in rows().items():
        assert stored.rows()[name].tolist() == column.tolist()
    (back,) = stored.grams()
    assert (back.video_ids, back.layers) == (grams().video_ids, grams().layers)
    np.testing.assert_array_equal(back.grams_LBNN, grams().grams_LBNN)


def test_results_come_oldest_first(tmp_path):
    for name, minute in (("r2", 2), ("r1", 5), ("r3", 1)):
        write_result(tmp_path, result(result_id=name, minute=minute), rows(), [])
    assert [stored.result.result_id for stored in read_results(tmp_path)] == ["r3", "r2", "r1"]


def test_a_result_is_never_overwritten(tmp_path):
    write_result(tmp_path, result(), rows(), [])
    with pytest.raises(ValueError, match="never overwritten"):
        write_result(tmp_path, result("another"), rows(), [])
    assert read_results(tmp_path)[0].result.card.name == "a model"


def test_a_full_disk_leaves_no_half_result(tmp_path, monkeypatch):
    def full(self: Path, content: str, *_args: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(ValueError, match="No space left"):
        write_result(tmp_path, result(), rows(), [])
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_half_written_is_no_result_and_no_obstacle(tmp_path):
    (tmp_path / ".half-r1").mkdir()
    assert read_results(tmp_path) == []
    write_result(tmp_path, result(), rows(), [])
    assert len(read_results(tmp_path)) == 1


@pytest.mark.parametrize("content", ["{}", "not json", '{"version": 99}'])
def test_a_result_of_an_unknown_layout_is_named_and_not_skipped(tmp_path, content):
    (tmp_path / "r9").mkdir()
    (tmp_path / "r9" / "result.json").write_text(content)
    with pytest.raises(ValueError, match="r9"):
        read_results(tmp_path)


def test_a_folder_without_a_result_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"no result\.json"):
        read_result(tmp_path)
