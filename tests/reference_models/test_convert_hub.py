"""Our own networks with weights of the Hub, against the library that made them. Skipped where transformers is not installed."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from reference_models.backbones.vjepa2 import VJepa2
from reference_models.checkpoints.convert import convert
from reference_models.checkpoints.formats.format import translate
from reference_models.checkpoints.formats.hugging_face import HF_VJEPA2
from reference_models.checkpoints.load import load
from tests.reference_models.shaken import shaken

pytestmark = pytest.mark.prove


def same_features(
    model: nn.Module, feature: Callable[[Tensor], Tensor], frames: int, size: int, architecture: str, folder: Path
) -> None:
    model.save_pretrained(folder / "hub")
    report = convert(folder / "hub", folder / "out", arch=architecture)
    encoder = load(folder / "out").encoder
    assert encoder.architecture == architecture
    assert report.loaded == report.expected
    clips = torch.rand(2, 3, frames, size, size)
    with torch.inference_mode():
        expected, found = feature(clips.transpose(1, 2)), encoder.encode(clips)
    assert (expected - found).abs().max() <= 1e-5 * expected.abs().max()


def test_videomae_has_the_librarys_features_biases_of_queries_and_values_included(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.VideoMAEConfig(
        hidden_size=384, num_attention_heads=6, intermediate_size=1536, image_size=64, num_frames=8, layer_norm_eps=1e-6
    )
    model = shaken(transformers.VideoMAEForVideoClassification(config))
    model.fc_norm.eps = 1e-6  # the authors' value; the library builds this one norm with another
    feature = lambda clips: model.fc_norm(model.videomae(clips).last_hidden_state.mean(1))  # noqa: E731
    same_features(model, feature, 8, 64, "videomae_vit_s", tmp_path)


def test_timesformer_has_the_librarys_features(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = shaken(transformers.TimesformerModel(transformers.TimesformerConfig(image_size=64, num_frames=4)))
    same_features(model, lambda clips: model(clips).last_hidden_state[:, 0], 4, 64, "timesformer_b@4x64", tmp_path)


def test_vivit_has_the_librarys_features(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    model = shaken(transformers.VivitModel(transformers.VivitConfig(image_size=64, num_frames=8)))
    same_features(model, lambda clips: model(clips).last_hidden_state[:, 0], 8, 64, "vivit_b@8x64", tmp_path)


def test_v_jepa_2_has_the_librarys_tokens() -> None:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 96, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = transformers.VJEPA2Config(crop_size=64, frames_per_clip=8, pred_num_hidden_layers=1, **sizes)
    model = shaken(transformers.VJEPA2Model(config))
    ours = VJepa2(width=96, heads=4, depth=2).eval()
    ours.load_state_dict(translate(HF_VJEPA2, model.state_dict()).tensors)
    clips = torch.rand(2, 3, 8, 64, 64)
    with torch.inference_mode():
        expected = model(clips.transpose(1, 2), skip_predictor=True).last_hidden_state
        torch.testing.assert_close(ours.forward_features(clips), expected, rtol=1e-4, atol=1e-5)
