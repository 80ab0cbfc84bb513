"""The golden clip: it agrees here, and whatever moves a pixel is told."""

import ctypes
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from bench.video import golden
from bench.video.decode import decode
from bench.video.golden import FILES, HERE, golden_clip_agrees, golden_digests


def test_the_golden_clip_agrees_and_costs_little():
    golden_clip_agrees()  # whatever is compiled or loaded once
    started = time.process_time()
    assert golden_clip_agrees() is None
    assert time.process_time() - started < 2
    assert sum((HERE / name).stat().st_size for name in FILES) < 100_000
    assert set(golden_digests()) == set(FILES)


def test_the_files_have_what_real_ones_have():
    """B-frames in the AVI and the MP4, whose order every reader must restore; grain and edges in all."""
    for name in FILES:
        frames = decode(HERE / name)
        assert frames.shape == (12, 120, 160, 3)
        assert np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2, 3)).min() > 5
    for name in ("golden.avi", "golden.mp4"):
        with av.open(str(HERE / name)) as container:
            kinds = {PictureType(frame.pict_type).name for frame in container.decode(video=0)}
        assert kinds == {"I", "P", "B"}


def test_another_pixel_is_told_in_a_sentence(monkeypatch):
    def off_by_one(path):
        frames = decode(path)
        frames[3, 7, 5, 1] ^= 1
        return frames

    monkeypatch.setattr(golden, "decode", off_by_one)
    sentence = golden_clip_agrees()
    assert sentence is not None
    assert "the frames of golden.avi" in sentence
    assert "cannot be posted" in sentence
    assert sentence.endswith(".")


def test_another_resize_is_told_apart_from_another_decoder(monkeypatch):
    true = golden.resize_clip
    monkeypatch.setattr(golden, "resize_clip", lambda *arguments: true(*arguments) ^ 1)
    sentence = golden_clip_agrees()
    assert sentence is not None
    assert "the resized frames of golden.mp4" in sentence
    assert "the frames of golden.mp4" not in sentence


def test_a_decoder_that_fails_is_told(monkeypatch):
    def fails(path):
        raise golden.UndecodableVideo(f"{path} is coded in a way for which there is no decoder.")

    monkeypatch.setattr(golden, "decode", fails)
    assert "golden.webm does not decode" in str(golden_clip_agrees())


def test_a_shipped_file_that_was_changed_is_our_mistake(monkeypatch, tmp_path):
    for path in (*(HERE / name for name in FILES), HERE / "golden.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "golden.avi").open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr(golden, "HERE", tmp_path)
    with pytest.raises(AssertionError, match="not the file that is shipped"):
        golden_clip_agrees()


CHECK = """
import ctypes, sys
from bench.video.golden import golden_clip_agrees
ctypes.CDLL(sys.argv[1]).av_force_cpu_flags(int(sys.argv[2]))
print(golden_clip_agrees())
"""


@pytest.mark.parametrize("flags", [0x0, 0x3DB], ids=["no vectors", "SSE4.2"])
def test_the_golden_clip_agrees_on_lesser_processors(flags):
    libraries = list((Path(av.__file__).parents[1] / "av.libs").glob("libavutil*.so*"))
    if not libraries:
        pytest.skip("this build of PyAV does not carry its FFmpeg")
    known = ctypes.CDLL(str(libraries[0])).av_get_cpu_flags()
    run = subprocess.run(
        [sys.executable, "-c", CHECK, libraries[0], str(known & flags)], capture_output=True, text=True, check=True
    )
    assert run.stdout == "None\n"
