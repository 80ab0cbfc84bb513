import json
import os
import shutil
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

import reference_models
from bench.encoder import weight_hash
from bench.schema import ClipSpec
from reference_models.backbones import build
from reference_models.checkpoints.config import About
from reference_models.checkpoints.load import load
from reference_models.checkpoints.save import save

NAME = "shufflenet_v1_x0_5"
ABOUT = About(
    name="Clip order (narrow)",
    architecture=NAME,
    clip=ClipSpec(resize=(64, 85), size=56),
    pretext="clip order prediction",
    family="non-contrastive",
    pretrained_on=("motion",),
    recipe="mini-vcop",
    licence="Apache-2.0",
    owner="Reelproof",
)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return save(tmp_path_factory.mktemp("checkpoints") / "good", build(NAME), ABOUT, story="It was trained.")


@pytest.fixture
def folder(good, tmp_path):
    return shutil.copytree(good, tmp_path / "checkpoint")


def change(folder, edit):
    """Apply `edit` to the tensors and leave config.json alone."""
    tensors = load_file(folder / "model.safetensors")
    edit(tensors)
    save_file(tensors, folder / "model.safetensors")


def configure(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def refused(folder):
    with pytest.raises(ValueError, match=r"\.$|\?$") as caught:
        load(folder)
    return str(caught.value)


def test_what_was_saved_is_what_is_loaded(good):
    loaded = reference_models.load(good)
    tensors = load_file(good / "model.safetensors")
    assert loaded.encoder.weight_hash == loaded.config.weight_hash == weight_hash(NAME, tensors)
    assert About(**loaded.config.model_dump(include=set(About.model_fields))) == ABOUT
    assert loaded.report.loaded == loaded.report.expected == len(tensors)
    assert loaded.encoder.feature_dim == 480
    assert not loaded.encoder.trunk.training
    assert loaded.encoder.encode(torch.zeros(1, 3, 16, 64, 64)).shape == (1, 480)


def test_loading_takes_nothing_from_the_callers_chance(good):
    torch.manual_seed(4)
    expected = torch.rand(2)
    torch.manual_seed(4)
    load(good)
    assert torch.equal(torch.rand(2), expected)


def test_the_model_card_says_what_it_is_and_how_to_use_it(good):
    card = (good / "README.md").read_text()
    for words in (
        'license: "apache-2.0"',
        "# Clip order (narrow)",
        "clip order prediction on motion",
        "It was trained.",
    ):
        assert words in card
    assert "reelproof submit" in card
    assert "| Clips in training | 16 frames, 56 x 56, every frame |" in card


def test_a_checkpoint_is_replaced_whole_and_nothing_is_left_beside_it(folder):
    save(folder, build(NAME), ABOUT.model_copy(update={"name": "Second"}))
    assert load(folder).config.name == "Second"
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoint"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="something else than a checkpoint"):
        save(tmp_path, build(NAME), ABOUT)
    assert (tmp_path / "thesis.tex").exists()


def test_a_full_disk_leaves_the_older_checkpoint(folder, monkeypatch):
    def full(*_args, **_settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reference_models.checkpoints.save.save_file", full)
    with pytest.raises(ValueError, match="No space left on device"):
        save(folder, build(NAME), ABOUT)
    assert load(folder).config.name == ABOUT.name
    assert [path.name for path in folder.parent.iterdir()] == ["checkpoint"]


def test_a_name_means_a_folder_that_pretrain_made(good, tmp_path, monkeypatch):
    monkeypatch.setenv("REELPROOF_HOME", str(tmp_path))
    shutil.copytree(good, tmp_path / "checkpoints" / "mini-vcop")
    assert load("mini-vcop").config.name == ABOUT.name
    with pytest.raises(ValueError, match="no folder mini-prp, and no checkpoint of that name"):
        load("mini-prp")


def test_a_missing_tensor_is_named(folder):
    change(folder, lambda tensors: tensors.pop("stem.conv.weight"))
    words = refused(folder)
    assert "lacks stem.conv.weight" in words
    assert NAME in words


def test_a_renamed_tensor_is_recognised(folder):
    change(folder, lambda tensors: tensors.update({"stem.conv.weights": tensors.pop("stem.conv.weight")}))
    assert "It has stem.conv.weights instead" in refused(folder)


def test_keys_with_a_prefix_are_recognised(folder):
    def prefix(tensors):
        for name in list(tensors):
            tensors[f"module.{name}"] = tensors.pop(name)

    change(folder, prefix)
    assert "The keys begin with 'module.'" in refused(folder)


def test_a_misshapen_tensor_is_named_with_both_shapes(folder):
    change(folder, lambda tensors: tensors.update({"stem.norm.weight": torch.ones(13)}))
    assert "stem.norm.weight has the shape [13], shufflenet_v1_x0_5 has [12]" in refused(folder)


def test_a_head_that_was_left_on_is_named(folder):
    change(folder, lambda tensors: tensors.update({"head.weight": torch.ones(4, 480)}))
    assert "holds head.weight, which shufflenet_v1_x0_5 does not have" in refused(folder)


def test_weights_of_another_of_our_architectures_are_recognised(folder):
    save_file(build("shufflenet_v1_x1").state_dict(), folder / "model.safetensors")
    assert f"holds the weights of shufflenet_v1_x1, but config.json says {NAME}" in refused(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_counted(folder, value):
    def spoil(tensors):
        tensors["stem.conv.weight"].view(-1)[:3] = value

    change(folder, spoil)
    assert "3 of 972 values of stem.conv.weight are NaN or infinite" in refused(folder)


def test_weights_in_another_type_are_refused(folder):
    change(folder, lambda tensors: tensors.update({"stem.norm.weight": torch.ones(12, dtype=torch.float16)}))
    assert "stem.norm.weight is float16, shufflenet_v1_x0_5 has it in float32" in refused(folder)


def test_weights_changed_after_saving_are_noticed(folder):
    change(folder, lambda tensors: tensors["stem.norm.weight"].mul_(2))
    assert "changed after the checkpoint was saved" in refused(folder)


def test_a_wrong_architecture_name_is_answered_with_the_nearest(folder):
    configure(folder, architecture="shufflenet_v1_x05")
    assert "Did you mean shufflenet_v1_x0_5" in refused(folder)


def test_a_cut_file_is_named(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "damaged or cut short" in refused(folder)


def test_a_config_that_is_no_json_is_named(folder):
    (folder / "config.json").write_text("{")
    assert "config.json is no JSON" in refused(folder)


@pytest.mark.parametrize(
    ("field", "value", "word"), [("feature_dim", 512, "480"), ("layout", 9, "layout"), ("nmae", "x", "nmae")]
)
def test_a_wrong_field_is_named(folder, field, value, word):
    configure(folder, **{field: value})
    words = refused(folder)
    assert "config.json" in words
    assert word in words


def test_a_folder_without_a_checkpoint_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    words = refused(tmp_path)
    assert "config.json and model.safetensors is missing. It holds notes.txt" in words


@pytest.mark.parametrize("as_file", [True, False])
def test_a_pickle_is_not_opened(tmp_path, as_file):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"weights": Trap()}, tmp_path / "model.pth")
    words = refused(tmp_path / "model.pth" if as_file else tmp_path)
    assert "can run code" in words
    assert "`reelproof convert model.pth -o FOLDER`" in words
    assert not (tmp_path / "sprung").exists()


def test_the_safetensors_file_alone_is_not_enough(good):
    assert "name the folder" in refused(good / "model.safetensors")


def test_a_table_of_whole_numbers_with_other_values_is_refused(tmp_path):
    save(tmp_path / "swin", build("swin3d_t"), ABOUT.model_copy(update={"architecture": "swin3d_t"}))
    change(tmp_path / "swin", lambda t: t["features.0.0.attn.relative_position_index"].add_(1))
    assert "relative_position_index is a table of the architecture" in refused(tmp_path / "swin")


def test_an_architecture_is_not_built_before_its_tensors_are_known_to_be_there(folder, monkeypatch):
    """A few bytes that name a large network take no memory."""
    monkeypatch.setattr("reference_models.checkpoints.load._built", lambda _: pytest.fail("it was built"))
    configure(folder, architecture="vjepa2_vit_l", feature_dim=1024)
    assert "lacks patch_embed.proj.weight" in refused(folder)


def test_a_header_that_lies_is_refused(folder):
    header = b'{"stem.conv.weight":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    assert "damaged or cut short" in refused(folder)


@pytest.mark.parametrize("content", ["[]", "[" * 100_000, "3"])
def test_a_config_of_another_kind_is_refused(folder, content):
    (folder / "config.json").write_text(content)
    assert "Copy it again" in refused(folder)
