"""What a person hands in: an ONNX file is told from a checkpoint folder, kept by its bytes, and judged."""

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from bench.home import Home
from bench.run import evaluate
from bench.schema import Normalisation
from submissions.anchors import ANCHORS
from submissions.checkpoint import ONNX, LoadedOnnx, arrive, onnx_file
from submissions.evaluate import Standing, card_of
from submissions.intake import keep
from submissions.queue import Queue
from submissions.schema import Submission
from submissions.worker import Worker
from tests.bench.known_run import SUITE, Sees, opened
from tests.bench.onnx_files import COLOURS, levels_file

NAMED = {**COLOURS, "reelproof.name": "levels", "reelproof.architecture": "three_levels"}


@pytest.fixture
def file(tmp_path):
    """An ONNX file that names itself."""
    path = tmp_path / "mine.onnx"
    path.write_bytes(levels_file(properties=NAMED))
    return path


def test_a_file_is_kept_under_the_hash_of_its_bytes_and_loads_from_there(file, tmp_path):
    home = Home(tmp_path / "home")
    loaded, kept = keep(file, home)
    assert isinstance(loaded, LoadedOnnx)
    assert kept == home.weights / loaded.encoder.weight_hash
    assert [path.name for path in kept.iterdir()] == [ONNX]
    assert (kept / ONNX).read_bytes() == file.read_bytes()
    again = arrive(kept)
    assert (again.config, again.encoder.weight_hash) == (loaded.config, loaded.encoder.weight_hash)
    assert (loaded.config.name, loaded.config.architecture) == ("levels", "three_levels (ONNX)")
    assert "run by onnxruntime's CPUExecutionProvider" in loaded.report.recognised


def test_a_file_without_a_name_goes_by_its_hash_and_one_with_a_wild_name_is_refused(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(levels_file())
    loaded = arrive(path)
    assert (loaded.config.name, loaded.config.architecture) == (f"onnx {loaded.encoder.weight_hash[:8]}", "ONNX")
    path.write_bytes(levels_file(properties={**COLOURS, "reelproof.name": "<script>"}))
    with pytest.raises(ValueError, match=r"reelproof\.name is '<script>'"):
        arrive(path)


def test_an_export_beside_its_checkpoint_is_not_the_checkpoint(file, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    file.rename(folder / ONNX)
    assert onnx_file(folder) == folder / ONNX
    (folder / "config.json").write_text("{}")
    assert onnx_file(folder) is None
    assert onnx_file(tmp_path / "nothing.onnx") is None


def test_a_whole_judging_stands_on_the_features_only_track_and_says_what_its_scale_is(file, tmp_path):
    loaded = arrive(file)
    card = card_of(loaded, Standing(), SUITE)
    assert (card.track, card.parameters, card.gflops) == ("features-only", 11, None)
    assert card.normalisation == Normalisation()
    result = evaluate(
        loaded.encoder, SUITE, opened(), student=Sees, cache=tmp_path / "cache", device="cpu", card=card
    ).result
    assert {score.stage for score in result.scores} == {"linear_probe", "retrieval", "robustness", "distillation"}
    assert {score.model for score in result.scores if score.stage == "robustness"} == {"probe"}
    assert any("is not finetuned" in remark for remark in result.remarks)
    assert any("chance is its only scale" in remark for remark in result.remarks)


def test_no_anchors_follow_an_onnx_file(file, tmp_path, monkeypatch):
    monkeypatch.delenv("REELPROOF_DATABASE", raising=False)
    home = Home(tmp_path / "home")
    loaded, kept = keep(file, home)
    worker = Worker(home, anchors=ANCHORS)
    queue: Queue = worker._queue
    card = card_of(loaded, Standing(), SUITE)
    request = Submission(
        name=card.name,
        architecture=card.architecture,
        suite="mini-v1",
        checkpoint=str(kept),
        encoder_hash=card.encoder_hash,
    )
    entry, _ = queue.add(request)
    worker._queue_anchors(entry)
    assert [one.submission.anchor for one in queue.entries()] == [""]
    queue._engine.dispose()
