"""ONNX files: parity with torch, free number of clips, named outputs. Skipped without the extra `onnx`."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.schema import Normalisation
from reference_models import export_onnx as exporter
from reference_models.backbones import BACKBONES, build
from reference_models.checkpoints.config import About
from reference_models.checkpoints.save import save
from reference_models.export_onnx import TOLERANCE, export_onnx

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the extra onnx is not installed",
)


def saved(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    return save(folder, build(name), About(name="a", architecture=name, normalisation=Normalisation(std=(1, 1, 1))))


def small_clip(name: str) -> tuple[str, int, int]:
    return (f"{name}@4x32", 4, 32) if BACKBONES[name].built_for_one_clip else (name, 16, 48)


def agrees_with_torch(name: str, frames: int, size: int, folder: Path) -> None:
    written = export_onnx(saved(folder / "model", name), clip=(frames, size))
    assert written.parity.largest_difference <= TOLERANCE
    assert written.parity.lowest_cosine > 0.99999
    with torch.device("meta"):
        assert written.outputs == ("features", *build(name).layers())


@needs_onnx
@pytest.mark.prove
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_is_written_with_features_and_layers_that_agree_with_torch(name: str, tmp_path: Path) -> None:
    agrees_with_torch(*small_clip(name), tmp_path)


@needs_onnx
@pytest.mark.prove
@pytest.mark.parametrize(
    "name",
    ["transformers_videomae", "transformers_timesformer@4x32", "transformers_vivit@4x32", "transformers_vjepa2"],
)
def test_the_hubs_encoders_are_written_likewise(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    agrees_with_torch(f"{name}+w48+d2+h4+m96", 4, 32, tmp_path)


@needs_onnx
@pytest.mark.prove
def test_the_file_takes_any_number_of_clips_and_says_what_it_is(tmp_path: Path) -> None:
    import onnxruntime  # noqa: PLC0415  (an extra)

    written = export_onnx(saved(tmp_path / "model", "squeezenet_1_1"), clip=(16, 32), with_layers=False)
    session = onnxruntime.InferenceSession(str(written.file), providers=["CPUExecutionProvider"])
    assert [output.name for output in session.get_outputs()] == ["features"]
    for number in (1, 4):
        (features,) = session.run(None, {"clips": np.zeros((number, 3, 16, 32, 32), np.float32)})
        assert features.shape == (number, 512)
    says = session.get_modelmeta().custom_metadata_map
    assert says["reelproof.architecture"] == "squeezenet_1_1"
    assert Normalisation.model_validate_json(says["reelproof.normalisation"]).std == (1, 1, 1)


@needs_onnx
def test_a_clip_that_the_network_does_not_take_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="multiple of 16, not 8"):
        export_onnx(saved(tmp_path / "model", "shufflenet_v1_x0_5"), clip=(8, 48))


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporter.importlib.util, "find_spec", lambda name: None if name == "onnxscript" else name)
    with pytest.raises(ValueError, match=r"onnxscript must be installed.*reelproof\[onnx\]"):
        export_onnx(tmp_path)
