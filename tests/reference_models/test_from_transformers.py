"""Repositories of the Hub through the library's own classes. What needs the library is skipped without the extra."""

import importlib.util
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench.encoder import layer_outputs
from bench.schema import Normalisation
from reference_models.backbones import build, from_transformers, parse
from reference_models.backbones.timesformer import TimeSformer
from reference_models.backbones.transformers_name import USUAL, Spec, name_of, spec_named, spec_of
from reference_models.backbones.videomae import VideoMAE
from reference_models.backbones.vivit import ViViT
from reference_models.backbones.vjepa2 import VJepa2
from reference_models.checkpoints.config import WEIGHTS
from reference_models.checkpoints.convert import convert
from reference_models.checkpoints.formats.format import translate
from reference_models.checkpoints.formats.hugging_face import HF_TIMESFORMER, HF_VIDEOMAE, HF_VIVIT, HF_VJEPA2
from reference_models.checkpoints.load import load
from tests.reference_models.shaken import shaken

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="the extra transformers is not installed"
)

SIZES = {"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
CLIP = {"num_frames": 4, "image_size": 32}
SMALL: dict[str, tuple[str, dict[str, Any]]] = {
    # the library's class that is saved, what its configuration sets
    "videomae": ("VideoMAEForVideoClassification", {**SIZES, **CLIP, "intermediate_size": 96}),
    "videomae, pretraining": (
        "VideoMAEForPreTraining",
        {**SIZES, **CLIP, "intermediate_size": 96, "use_mean_pooling": False, "decoder_num_hidden_layers": 1},
    ),
    "timesformer": ("TimesformerForVideoClassification", {**SIZES, **CLIP, "intermediate_size": 96}),
    "vivit": ("VivitModel", {**SIZES, **CLIP, "intermediate_size": 96}),
    "vjepa2": ("VJEPA2Model", {**SIZES, "frames_per_clip": 4, "crop_size": 32, "pred_num_hidden_layers": 1}),
}
NAMES = {
    "videomae": "transformers_videomae+w48+d2+h4+m96",
    "videomae, pretraining": "transformers_videomae+w48+d2+h4+m96+norm-tokens",
    "timesformer": "transformers_timesformer@4x32+w48+d2+h4+m96",
    "vivit": "transformers_vivit@4x32+w48+d2+h4+m96",
    "vjepa2": "transformers_vjepa2+w48+d2+h4+m192",
}
FEATURES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    # what the library itself makes of clips [B, T, C, H, W]
    "videomae": lambda model, clips: model.fc_norm(model.videomae(clips).last_hidden_state.mean(1)),
    "videomae, pretraining": lambda model, clips: model.videomae(clips).last_hidden_state.mean(1),
    "timesformer": lambda model, clips: model.timesformer(clips).last_hidden_state[:, 0],
    "vivit": lambda model, clips: model(clips).last_hidden_state[:, 0],
    "vjepa2": lambda model, clips: model(clips, skip_predictor=True).last_hidden_state.mean(1),
}

every = pytest.mark.parametrize("kind", SMALL)


def repository(kind: str, folder: Path) -> nn.Module:
    """A repository as the library saves it; returns the model that is in it."""
    import transformers  # noqa: PLC0415  (an extra)

    name, settings = SMALL[kind]
    model_class = getattr(transformers, name)
    model = shaken(model_class(model_class.config_class(**settings)))
    model.save_pretrained(folder)
    return model


def rewrite(folder: Path, edit: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    save_file(edit(load_file(folder / WEIGHTS)), folder / WEIGHTS)


def configure(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def of_version(number: int, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """VideoMAE's biases of queries and values under the names that they have in files of that version."""
    names = [("q_bias", "query.bias"), ("v_bias", "value.bias")]
    out = {}
    for key, tensor in tensors.items():
        for old, new in names:
            key = key.replace(old, new) if number == 5 else key.replace(new, old)
        out[key] = tensor
    return out


@needs_library
@every
def test_a_repository_gives_the_features_of_the_librarys_own_model(kind: str, tmp_path: Path) -> None:
    model = repository(kind, tmp_path / "hub")
    report = convert(tmp_path / "hub", tmp_path / "out")
    clips = torch.rand(2, 3, 4, 32, 32)
    with torch.inference_mode():
        expected = FEATURES[kind](model, clips.transpose(1, 2))
        for folder in ("out", "hub"):
            encoder = load(tmp_path / folder).encoder
            assert encoder.architecture == NAMES[kind]
            torch.testing.assert_close(encoder.encode(clips), expected, rtol=1e-5, atol=1e-6)
    assert report.loaded == report.expected
    assert f"hub-{kind.split(',')[0]}" in report.recognised


@needs_library
@pytest.mark.parametrize("kind", ["videomae", "videomae, pretraining"])
def test_videomaes_biases_of_queries_and_values_arrive_from_files_of_either_version(kind: str, tmp_path: Path) -> None:
    model = repository(kind, tmp_path)
    first: Any = model.get_submodule("videomae.encoder.layer.0.attention.attention")
    for number, key in ((4, "q_bias"), (5, "query.bias")):
        rewrite(tmp_path, partial(of_version, number))
        assert sum(name.endswith(f"layer.0.attention.attention.{key}") for name in load_file(tmp_path / WEIGHTS)) == 1
        found: Any = load(tmp_path).encoder.trunk.get_submodule("encoder.layer.0.attention.attention")
        assert torch.equal(found.query.bias, first.query.bias)
        assert torch.equal(found.value.bias, first.value.bias)
        assert found.query.bias.abs().min() > 0


@needs_library
def test_vivits_blocks_arrive_from_files_of_version_4(tmp_path: Path) -> None:
    repository("vivit", tmp_path)
    clips = torch.rand(1, 3, 4, 32, 32)

    def older(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        out = {}
        for key, tensor in tensors.items():
            for new, old in (
                ("layers.", "encoder.layer."),
                ("attention.o_proj.", "attention.output.dense."),
                ("attention.q_proj.", "attention.attention.query."),
                ("attention.k_proj.", "attention.attention.key."),
                ("attention.v_proj.", "attention.attention.value."),
                ("mlp.fc1.", "intermediate.dense."),
                ("mlp.fc2.", "output.dense."),
            ):
                key = key.replace(new, old)
            out[f"vivit.{key}"] = tensor
        return out

    with torch.inference_mode():
        expected = load(tmp_path).encoder.encode(clips)
        rewrite(tmp_path, older)
        assert torch.equal(load(tmp_path).encoder.encode(clips), expected)


@needs_library
@pytest.mark.parametrize(
    ("kind", "form", "ours"),
    [
        ("videomae", HF_VIDEOMAE, lambda: VideoMAE(width=48, heads=4, depth=2)),
        ("timesformer", HF_TIMESFORMER, lambda: TimeSformer(4, 32, width=48, heads=4, depth=2)),
        ("vivit", HF_VIVIT, lambda: ViViT(4, 32, width=48, heads=4, depth=2)),
        ("vjepa2", HF_VJEPA2, lambda: VJepa2(width=48, heads=4, depth=2)),
    ],
)
def test_our_own_network_of_the_same_layout_has_the_same_tokens(kind: str, form, ours, tmp_path: Path) -> None:
    import transformers  # noqa: PLC0415  (an extra)

    settings = SMALL[kind][1] | ({"layer_norm_eps": 1e-6, "intermediate_size": 192} if kind != "vjepa2" else {})
    name, _ = SMALL[kind]
    model_class = getattr(transformers, name)
    model = shaken(model_class(model_class.config_class(**settings)))
    model.save_pretrained(tmp_path)
    theirs: Any = load(tmp_path).encoder.trunk
    net = ours().eval()
    found = translate(form, model.state_dict()).tensors
    net.load_state_dict({key: found.get(key, own) for key, own in net.state_dict().items()})
    # another clip than the configured one, where both take any
    clips = torch.rand(2, 3, 4, 32, 32) if theirs.spec.built_for_one_clip else torch.rand(2, 3, 6, 48, 64)
    with torch.inference_mode():
        torch.testing.assert_close(theirs.forward_features(clips), net.forward_features(clips), rtol=1e-4, atol=1e-5)


@needs_library
@every
def test_it_keeps_the_contract_of_a_backbone(kind: str) -> None:
    torch.manual_seed(0)
    net: Any = build(NAMES[kind])
    clips = torch.rand(2, 3, 4, 32, 32)
    outputs = layer_outputs(net, clips)
    assert list(outputs) == ["stem", "block0", "block1", "pooled"]
    assert outputs["pooled"].shape == (2, net.feature_dim) == (2, 48)
    net(clips).sum().backward()
    assert [key for key, weight in net.named_parameters() if weight.grad is None] == []
    assert net.accepts(4, 32, 32) is None
    assert "not" in net.accepts(4, 32, 31)
    net.eval()
    with torch.inference_mode():
        torch.testing.assert_close(net(clips[1:]), net(clips)[1:], rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert net(clips).dtype == torch.float32


@needs_library
def test_no_code_of_a_repository_runs(tmp_path: Path) -> None:
    repository("vivit", tmp_path)
    mark = tmp_path / "ran"
    (tmp_path / "modeling.py").write_text(f"from pathlib import Path\nPath({str(mark)!r}).touch()\nclass Net: ...\n")
    configure(tmp_path, auto_map={"AutoModel": "modeling.Net", "AutoConfig": "modeling.Net"}, architectures=["Net"])
    load(tmp_path)
    convert(tmp_path, tmp_path / "out")
    assert not mark.exists()


@needs_library
def test_a_repository_with_a_missing_tensor_is_refused_by_its_name(tmp_path: Path) -> None:
    repository("videomae", tmp_path)
    key = "videomae.encoder.layer.1.attention.attention.v_bias"
    rewrite(tmp_path, lambda tensors: {name: tensor for name, tensor in tensors.items() if name != key})
    with pytest.raises(ValueError, match=r"hub-videomae.*Missing: encoder.layer.1.attention.attention.value.bias"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("file", "said", "expected"),
    [
        (
            "preprocessor_config.json",
            {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.5, 0.5], "rescale_factor": 1 / 255},
            Normalisation(mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)),
        ),
        (
            # (2 x - 1 - 0.5) / 0.5
            "preprocessor_config.json",
            {"image_processor_type": "VivitImageProcessor", "rescale_factor": 2 / 255, "image_mean": [0.5] * 3}
            | {"image_std": [0.5] * 3},
            Normalisation(mean=(0.75, 0.75, 0.75), std=(0.25, 0.25, 0.25)),
        ),
        (
            "video_preprocessor_config.json",
            {"do_normalize": False, "do_rescale": True},
            Normalisation(mean=(0, 0, 0), std=(1, 1, 1)),
        ),
    ],
)
@needs_library
def test_the_colours_are_those_of_the_repository(
    file: str, said: dict[str, object], expected: Normalisation, tmp_path: Path
) -> None:
    repository("vivit", tmp_path)
    (tmp_path / file).write_text(json.dumps(said))
    found = load(tmp_path).config.normalisation
    assert found.mean == pytest.approx(expected.mean)
    assert found.std == pytest.approx(expected.std)
    (tmp_path / file).write_text("{}")
    with pytest.raises(ValueError, match="does not say how colours are normalised"):
        load(tmp_path)


@pytest.mark.parametrize("spec", USUAL.values(), ids=USUAL)
def test_a_name_says_all_and_is_read_back(spec: Spec) -> None:
    other = spec.model_copy(update={"width": 96, "heads": 6, "eps": 1e-5, "bias": False, "act": "relu"})
    for one in (spec, other):
        assert spec_named(name_of(one)) == one
    assert parse(name_of(spec))[1] == ((spec.frames, spec.size) if spec.frames else None)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("transformers_bert", "no encoder of transformers that we take"),
        ("transformers_vivit@32x224+w7680000", "width"),
        ("transformers_vivit@32x224+w100", "100 channels cannot be split over 12 heads"),
        ("transformers_vivit@31x224", "no whole number of tokens"),
        ("transformers_videomae@16x224", "stored for a clip"),
        ("transformers_vivit", "written otherwise"),
        ("transformers_videomae+h12", "written otherwise"),
        ("transformers_videomae+act-eval", "act"),
        ("transformers_videomae+../x", "no encoder"),
    ],
)
def test_a_wrong_name_is_refused_in_a_sentence(name: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(name)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "videomae", "num_hidden_layers": 10**9}, "depth"),
        ({"model_type": "videomae", "hidden_size": "wide"}, "width"),
        ({"model_type": "vivit", "image_size": [224, 112]}, "size"),
        ({"model_type": "vivit", "num_channels": 1}, "three channels"),
        ({"model_type": "timesformer", "attention_type": "space_only"}, "divided_space_time"),
        ({"model_type": "vjepa2", "mlp_ratio": 1e300}, "mlp"),
        ({"model_type": "videomae", "hidden_act": "__import__('os')"}, "act"),
        ({"model_type": "bert"}, "model type 'bert'"),
    ],
)
def test_a_config_that_asks_for_something_else_is_refused_in_a_sentence(config: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        spec_of(config, (), "config.json")


def test_the_giant_v_jepa_2_is_named_with_its_odd_mlp() -> None:
    config = {"hidden_size": 1408, "num_hidden_layers": 40, "num_attention_heads": 22, "mlp_ratio": 48 / 11}
    spec = spec_of({"model_type": "vjepa2", **config}, (), "config.json")
    assert name_of(spec) == "transformers_vjepa2+w1408+d40+h22+m6144"


def test_without_the_library_the_sentence_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(from_transformers, "find_spec", lambda _name: None)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "videomae"}))
    save_file({"videomae.encoder.layer.0.output.dense.bias": torch.zeros(3)}, tmp_path / WEIGHTS)
    for read in (load, lambda folder: convert(folder, tmp_path / "out")):
        with pytest.raises(ValueError, match=r"pip install 'reelproof\[transformers\]'.*--arch videomae_vit_b"):
            read(tmp_path)
