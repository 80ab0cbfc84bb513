"""Weights in several files are read whole, or refused with what does not fit."""

import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import save_torch_state_dict
from safetensors.torch import load_file, save_file

from reference_models.backbones import build
from reference_models.checkpoints.convert import convert
from reference_models.checkpoints.load import load
from reference_models.checkpoints.shards import INDEX, read_shards

NAME = "shufflenet_v1_x0_5"


@pytest.fixture
def cut(tmp_path: Path) -> Path:
    folder = tmp_path / "cut"
    folder.mkdir()
    save_torch_state_dict(build(NAME).state_dict(), folder, max_shard_size=400_000)
    (folder / "config.json").write_text("{}")
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def change(folder: Path, **fields: object) -> None:
    index = json.loads((folder / INDEX).read_text())
    (folder / INDEX).write_text(json.dumps({**index, **fields}))


def places(folder: Path) -> dict[str, str]:
    return json.loads((folder / INDEX).read_text())["weight_map"]


def test_a_folder_of_shards_is_converted_as_one_file_is(cut: Path, tmp_path: Path) -> None:
    whole = read_shards(cut / INDEX)
    save_file(whole, tmp_path / "whole.safetensors")
    for source, out in ((cut, "a"), (cut / INDEX, "b"), (tmp_path / "whole.safetensors", "c")):
        assert convert(source, tmp_path / out).loaded == len(whole)
    encoders = [load(tmp_path / name).encoder.weight_hash for name in "abc"]
    assert len(set(encoders)) == 1


def test_a_missing_shard_is_named(cut: Path) -> None:
    shard = sorted(cut.glob("*.safetensors"))[0]
    shard.unlink()
    with pytest.raises(ValueError, match=f"names {shard.name}, which is not there"):
        convert(cut, cut / "out")


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a\\b.safetensors", "weights.bin"])
def test_a_shard_elsewhere_is_not_read(cut: Path, name: str) -> None:
    change(cut, weight_map=dict.fromkeys(places(cut), name))
    with pytest.raises(ValueError, match="files of its own folder"):
        convert(cut, cut / "out")


def test_a_tensor_that_is_in_another_file_than_the_index_says_is_refused(cut: Path) -> None:
    one, other = sorted(cut.glob("*.safetensors"))[:2]
    key = next(iter(load_file(one)))
    save_file({**load_file(other), key: torch.zeros(1)}, other)
    with pytest.raises(ValueError, match=r"they differ in .*download the folder again"):
        convert(cut, cut / "out")


def test_a_cut_short_shard_is_refused(cut: Path) -> None:
    shard = sorted(cut.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged or cut short"):
        convert(cut, cut / "out")


def test_an_index_without_places_is_refused(cut: Path) -> None:
    change(cut, weight_map=[])
    with pytest.raises(ValueError, match="has no weight_map"):
        convert(cut, cut / "out")
