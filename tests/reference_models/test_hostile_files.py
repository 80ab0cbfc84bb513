"""Files that are damaged, or made to do harm: a sentence, no code run, no memory taken."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
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


def pickled(folder: Path, program: bytes) -> Path:
    """What torch.save would write, with this program in the place of its own."""
    with zipfile.ZipFile(folder / "program.pt", "w") as archive:
        for name, content in (("data.pkl", program), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"archive/{name}", content)
    return folder / "program.pt"


BUFFER = b"cbuiltins\nbytearray\nJ" + struct.pack("<i", 2**31 - 1) + b"\x85R"
"""Two gigabytes of zeros in 26 bytes."""

LONG_WORD = b"X" + struct.pack("<I", 10**6) + b"x" * 10**6
COPIES = b"\x80\x02]q\x00" + LONG_WORD + b"q\x01X\x05\x00\x00\x00utf-8q\x02c_codecs\nencode\nq\x0300" + b"0"
"""A list, a word of a million letters and a function that copies it, all remembered."""


PROGRAMS = {
    "ten million parts": b"\x80\x02](" + 10**7 * b"}" + b"e.",
    "one buffer": b"\x80\x02" + BUFFER + b".",
    "ten buffers": b"\x80\x02](" + 10 * BUFFER + b"e.",
    "a word copied 2000 times": COPIES + b"h\x00(" + 2000 * b"h\x03h\x01h\x02\x86R" + b"e.",
}
CONVERTED = """
import json, resource, sys
from pathlib import Path
from reference_models.checkpoints.convert import convert
for folder in map(Path, sys.argv[1:]):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        convert(folder / "program.pt", folder / "out")
    except ValueError as error:
        print(json.dumps([str(error), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is bounded on Linux")
def test_a_pickle_that_asks_for_far_more_memory_than_it_has_bytes_is_refused(tmp_path: Path) -> None:
    """In a process of its own: what another test has handed back to this one's allocator could be used again."""
    folders = [tmp_path / name for name in PROGRAMS]
    for folder, program in zip(folders, PROGRAMS.values(), strict=True):
        folder.mkdir()
        pickled(folder, program)
    done = subprocess.run([sys.executable, "-c", CONVERTED, *folders], capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(PROGRAMS)
    for words, grew_kb in answers:
        assert "asks for more memory than its size can need" in words
        assert grew_kb < AT_MOST_KB


def test_parts_that_hold_themselves_or_are_nested_without_end_are_told_or_refused(tmp_path: Path) -> None:
    content: dict[str, object] = {"model": dict(build(NAME).state_dict())}
    content["again"] = [content] * 3
    torch.save(content, tmp_path / "round.pt")
    assert not convert(tmp_path / "round.pt", tmp_path / "out").dropped
    state = {"a": torch.zeros(1)}
    deep = pickled(tmp_path, b"\x80\x02" + 100_000 * b"(" + b"t" * 100_000 + b".")
    with pytest.raises(ValueError, match="holds no state_dict"):
        convert(deep, tmp_path / "out")
    content = {"model": state, "more": []}
    for _ in range(20):
        content["more"] = [content["more"]]
    torch.save(content, tmp_path / "deep.pt")
    with pytest.raises(ValueError, match="nested deeper than 16 levels"):
        convert(tmp_path / "deep.pt", tmp_path / "out")


def test_a_class_of_somebodys_is_named_and_nobody_is_told_to_trust_it(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(2)}, "when": zipfile.ZipInfo("a")}, tmp_path / "file.pt")
    with pytest.raises(ValueError, match=r"cannot be read as weights alone: it holds zipfile\.ZipInfo") as refused:
        convert(tmp_path / "file.pt", tmp_path / "out")
    assert "weights_only" not in str(refused.value)


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


F32 = '"dtype":"F32"'


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(f'{{"a":{{{F32},"shape":[1000000000000],"data_offsets":[0,4000000000000]}}}}', id="a trillion"),
        pytest.param(f'{{"a":{{{F32},"shape":[1000000000000],"data_offsets":[0,8]}}}}', id="a trillion in eight bytes"),
        pytest.param(f'{{"a":{{{F32},"shape":[4294967296,4294967296,2],"data_offsets":[0,8]}}}}', id="overflow"),
        pytest.param(f'{{"a":{{{F32},"shape":[-2],"data_offsets":[0,8]}}}}', id="less than nothing"),
        pytest.param(
            f'{{"a":{{{F32},"shape":[2],"data_offsets":[0,8]}},"b":{{{F32},"shape":[2],"data_offsets":[0,8]}}}}',
            id="two in one place",
        ),
        pytest.param(
            f'{{"a":{{{F32},"shape":[1],"data_offsets":[0,4]}},"b":{{{F32},"shape":[1],"data_offsets":[2,6]}}}}',
            id="overlapping",
        ),
        pytest.param(f'{{"a":{{{F32},"shape":[1],"data_offsets":[4,8]}}}}', id="a hole"),
        pytest.param(f'{{"a":{{{F32},"shape":[1],"data_offsets":[4,0]}}}}', id="backwards"),
        pytest.param('{"a":{"dtype":"O","shape":[1],"data_offsets":[0,8]}}', id="no type"),
        pytest.param("[" * 100_000, id="deep"),
        pytest.param("{", id="cut"),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(tmp_path: Path, header: str) -> None:
    content = struct.pack("<Q", len(header)) + header.encode() + b"\0" * 8
    (tmp_path / "lie.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="damaged or cut short"):
        convert(tmp_path / "lie.safetensors", tmp_path / "out")


def test_a_safetensors_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    for length in (2**63, 2**40, 100):
        (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")
        with pytest.raises(ValueError, match="damaged or cut short"):
            convert(tmp_path / "lie.safetensors", tmp_path / "out")


def test_weights_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    weight = build(NAME).state_dict()["stem.conv.weight"].clone()
    weight[0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"1 of \d+ values of stem.conv.weight are NaN"):
        convert(small_file(tmp_path, stem__conv__weight=weight), tmp_path / "out")


@pytest.mark.parametrize(
    ("weight", "words"),
    [
        (torch.full((12, 3, 3, 3, 3), 1e300, dtype=torch.float64), r"972 of 972 values .* infinite in float32"),
        (torch.ones(12, 3, 3, 3, 3).to(torch.float8_e4m3fn), "is float8_e4m3fn"),
        (torch.ones(12, 3, 3, 3, 3, dtype=torch.complex64), "is complex64"),
        (torch.ones(12, 3, 3, 3, 3, dtype=torch.int8), "is int8"),
    ],
)
def test_numbers_that_float32_cannot_hold_are_refused(tmp_path: Path, weight: Tensor, words: str) -> None:
    assert weight.shape == build(NAME).state_dict()["stem.conv.weight"].shape
    with pytest.raises(ValueError, match=words):
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
