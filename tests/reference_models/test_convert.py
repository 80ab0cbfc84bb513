"""What `convert` reads besides the layouts, and what it is told."""

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from bench.schema import Normalisation
from reference_models.backbones import build
from reference_models.checkpoints.convert import convert, recognise
from reference_models.checkpoints.load import load
from reference_models.checkpoints.weights_file import WeightsFile
from tests.reference_models.layouts import hub_vivit_5, meta_state, video_swin

NAME = "shufflenet_v1_x0_5"


def small_file(folder: Path) -> Path:
    torch.save(build(NAME).state_dict(), folder / "file.pt")
    return folder / "file.pt"


def test_a_safetensors_file_and_a_hub_folder_are_read_too(tmp_path: Path) -> None:
    state = {key: tensor.clone() for key, tensor in build(NAME).state_dict().items()}
    save_file(state, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    for source in (tmp_path, tmp_path / "model.safetensors"):
        assert convert(source, tmp_path / "out").loaded == len(state)


def test_the_colours_are_the_authors_where_he_says_so(tmp_path: Path) -> None:
    colours = Normalisation(mean=(0.1, 0.2, 0.3), std=(1, 1, 1))
    convert(small_file(tmp_path), tmp_path / "out", normalisation=colours)
    assert load(tmp_path / "out").config.normalisation == colours


def test_half_precision_is_widened_and_said(tmp_path: Path) -> None:
    state = {k: v.half() if v.is_floating_point() else v for k, v in build(NAME).state_dict().items()}
    torch.save(state, tmp_path / "half.pt")
    assert "stored in float16" in convert(tmp_path / "half.pt", tmp_path / "out").recognised


def test_a_file_older_than_the_batch_counter_is_filled_and_said(tmp_path: Path) -> None:
    state = {k: v for k, v in build(NAME).state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "old.pt")
    assert "older than the counter" in convert(tmp_path / "old.pt", tmp_path / "out").recognised


def test_every_tensor_beside_the_weights_is_told_with_its_place_and_settings_are_no_hindrance(tmp_path: Path) -> None:
    state = build(NAME).state_dict()
    step = {"exp_avg": torch.zeros(3), "step": 7}
    torch.save(
        {
            "model": state,
            "model_ema": {"stem.conv.weight": torch.zeros(2)},
            "optimizer": {"state": {0: step, 1: step}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]},
            "queue": torch.zeros(3),
            "args": argparse.Namespace(lr=0.1, mean=torch.zeros(3)),
        },
        tmp_path / "training.pth",
    )
    report = convert(tmp_path / "training.pth", tmp_path / "out")
    assert report.loaded == report.expected == len(state)
    assert report.dropped == {
        "/model_ema/stem.conv.weight": "beside the weights, in its 'model_ema'",
        "/optimizer/state/0/exp_avg": "beside the weights, in its 'optimizer'",
        "/queue": "beside the weights",
        "/args/mean": "beside the weights, in its 'args'",
    }


def test_the_architecture_asked_for_is_taken_among_twins(tmp_path: Path) -> None:
    state = meta_state("swin3d_t")
    for arch, expected in (("auto", "swin3d_t"), ("swin3d_t_exact_bias", "swin3d_t_exact_bias")):
        found = recognise(WeightsFile(video_swin(state), "", {}), Path("file"), arch=arch)
        assert found.architecture == expected


def test_a_vivit_from_the_hub_is_built_for_the_clip_in_its_config() -> None:
    state = hub_vivit_5(meta_state("vivit_b@32x64"))
    found = recognise(WeightsFile(state, "", {"num_frames": 32, "image_size": 64}), Path("file"))
    assert found.architecture == "vivit_b@32x64"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "vpoc"}, "no format 'vpoc'"),
        ({"arch": "r3d_81"}, "Did you mean"),
        ({"format": "vcop", "arch": "swin3d_t"}, "No format vcop of ours holds a swin3d_t"),
        ({"format": "vcop"}, "in no format we know|does not fill"),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(options: dict[str, str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        convert(small_file(tmp_path), tmp_path / "out", **options)


def test_a_table_with_other_values_than_it_must_have_is_refused(tmp_path: Path) -> None:
    trunk = build("swin3d_t")
    state = dict(trunk.state_dict())
    key = "features.0.0.attn.relative_position_index"
    state[key] = state[key] + 1
    torch.save(state, tmp_path / "swin.pt")
    with pytest.raises(ValueError, match="other values than it must have"):
        convert(tmp_path / "swin.pt", tmp_path / "out")
