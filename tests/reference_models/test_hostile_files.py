"""Files that are damaged, or made to do harm: a sentence, no code run, no memory taken."""

import io
import os
import resource
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from reference_models.backbones import build
from reference_models.checkpoints.convert import convert

NAME = "shufflenet_v1_x0_5"
AT_MOST_KB = 300_000
"""What reading one hostile file may take; what the files below claim begins at 400,000."""


@pytest.fixture(autouse=True)
def memory_is_bounded() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < AT_MOST_KB


def small_file(folder: Path, **changes: Tensor) -> Path:
    state = {**build(NAME).state_dict(), **{key.replace("__", "."): v for key, v in changes.items()}}
    torch.save(state, folder / "file.pt")
    return folder / "file.pt"


class Gadget:
    """What a pickle can do when it is trusted."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickle_with_a_gadget_is_refused_and_does_nothing(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "ran"
    torch.save({"state_dict": {"a": Gadget(mark)}}, tmp_path / "bad.pt", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match="cannot be read as weights alone"):
        convert(tmp_path / "bad.pt", tmp_path / "out")
    assert not mark.exists()


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    whole = small_file(tmp_path).read_bytes()
    for size in (0, 10, 1000, len(whole) // 2, len(whole) - 30):
        (tmp_path / "cut.pt").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"cut short|cannot be read"):
            convert(tmp_path / "cut.pt", tmp_path / "out")
    state = {key: tensor.clone() for key, tensor in build(NAME).state_dict().items()}
    save_file(state, tmp_path / "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "cut.safetensors").read_bytes()[:-100])
    with pytest.raises(ValueError, match="cut short"):
        convert(tmp_path / "cut.safetensors", tmp_path / "out")


def test_a_compressed_archive_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        with archive.open("archive/data/0", "w") as entry:
            for _ in range(400):
                entry.write(bytes(1_000_000))
    (tmp_path / "bomb.pt").write_bytes(bomb.getvalue())
    with pytest.raises(ValueError, match="compressed archive"):
        convert(tmp_path / "bomb.pt", tmp_path / "out")


def test_a_tensor_of_a_trillion_elements_in_four_bytes_is_refused(tmp_path: Path) -> None:
    file = small_file(tmp_path, extra__weight=torch.zeros(1).expand(10**12))
    with pytest.raises(ValueError, match=r"1000000000000.*4 bytes are there"):
        convert(file, tmp_path / "out")


def test_an_old_file_that_claims_more_numbers_than_it_has_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(12345)}, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    written = (tmp_path / "old.pt").read_bytes()
    small, large = b"M" + struct.pack("<H", 12345), b"J" + struct.pack("<i", 500_000_000)
    assert small in written
    (tmp_path / "old.pt").write_bytes(written.replace(small, large))
    with pytest.raises(ValueError, match=r"cannot be read as weights alone|claims"):
        convert(tmp_path / "old.pt", tmp_path / "out")


def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 8)
    with pytest.raises(ValueError, match="damaged or cut short"):
        convert(tmp_path / "lie.safetensors", tmp_path / "out")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    weight = build(NAME).state_dict()["stem.conv.weight"].clone()
    weight[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"1 of \d+ values of stem.conv.weight are NaN"):
        convert(small_file(tmp_path, stem__conv__weight=weight), tmp_path / "out")


def test_a_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    for content, words in (
        ([1, 2], "holds no state_dict: there is list"),
        ({"epoch": 3}, "holds no state_dict: there is keys epoch"),
        ({"a": torch.zeros(2)}, "in no format we know"),
        ({"a": torch.zeros(2, 2).to_sparse()}, "no dense tensor"),
    ):
        torch.save(content, tmp_path / "other.pt")
        with pytest.raises(ValueError, match=words):
            convert(tmp_path / "other.pt", tmp_path / "out")
    with pytest.raises(ValueError, match="There is no file"):
        convert(tmp_path / "nothing.pt", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds neither"):
        convert(tmp_path / "empty", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("[" * 100_000, "nested too deeply", id="deep"),
        pytest.param("[1, 2]", "holds a list", id="no object"),
        pytest.param("", "is no JSON", id="empty"),
    ],
)
def test_settings_beside_the_weights_that_are_none_are_refused(tmp_path: Path, content: str, words: str) -> None:
    file = small_file(tmp_path)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        convert(file, tmp_path / "out")


def test_a_huge_file_of_settings_is_refused_unread(tmp_path: Path) -> None:
    file = small_file(tmp_path)
    with (tmp_path / "config.json").open("wb") as sparse:
        sparse.truncate(2**30)
    with pytest.raises(ValueError, match=r"has 1,073,741,824 bytes; such a file has some thousand"):
        convert(file, tmp_path / "out")
