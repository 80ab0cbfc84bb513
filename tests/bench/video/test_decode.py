"""Decoding, on videos of which every frame is known, and on damaged ones."""

import ctypes
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.video.decode import UndecodableVideo, decode, decode_frames, promised

LEVELS = list(range(20, 220, 5))


def luma(level, full=False):
    """What an untagged gray level looks like: limited range, rounded."""
    return level if full else round(np.clip((level - 16) * 255 / 219, 0, 255))


@pytest.mark.parametrize(
    ("name", "settings_"),
    [
        ("h264_with_b_frames.mp4", {"options": {"qp": "0", "bf": "3", "g": "12"}}),
        ("variable_frame_rate.mp4", {"times": [n * n for n in range(len(LEVELS))]}),
        ("late_start.mp4", {"times": [1000 + n for n in range(len(LEVELS))]}),
        ("matroska.mkv", {"codec": "ffv1"}),
        ("transport_stream.ts", {}),
        ("half_chroma.mp4", {"pixels": "yuv420p"}),
        ("odd_size.mkv", {"codec": "ffv1", "size": (31, 45), "pixels": "yuv420p"}),
    ],
)
def test_every_frame_comes_once_and_in_order(tmp_path, levels_video, name, settings_):
    video = decode(levels_video(tmp_path / name, LEVELS, **settings_))
    assert video.dtype == np.uint8
    assert video.shape == (len(LEVELS), *settings_.get("size", (32, 48)), 3)
    expected = np.array([luma(level) for level in LEVELS])
    assert np.abs(video.astype(int) - expected[:, None, None, None]).max() <= 1


@pytest.mark.parametrize(
    ("name", "settings_", "off_by"),
    [
        (
            "mpeg4_with_b_frames.avi",
            {"codec": "mpeg4", "pixels": "yuv420p", "options": {"bf": "2", "g": "12", "qmax": "2"}},
            4,
        ),
        ("vp9.webm", {"codec": "libvpx-vp9", "pixels": "yuv420p", "options": {"crf": "4", "cpu-used": "8"}}, 4),
    ],
)
def test_lossy_codecs_give_every_frame_in_order(tmp_path, levels_video, name, settings_, off_by):
    video = decode(levels_video(tmp_path / name, LEVELS, **settings_))
    expected = np.array([luma(level) for level in LEVELS])
    assert np.abs(video.mean(axis=(1, 2, 3)) - expected).max() <= off_by


KR_KB = {None: (0.299, 0.114), 1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


@pytest.mark.parametrize("value_range", [None, 1, 2])
@pytest.mark.parametrize("matrix", list(KR_KB))
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colours_follow_the_tags_and_are_bt601_limited_without(tmp_path, levels_video, matrix, value_range, pixels):
    """Against the formulas of ITU-T H.273, section 8.3."""
    if value_range == 2:
        pixels = pixels.replace("yuv4", "yuvj4") if "10" not in pixels else pixels
    scale = 4 if "10" in pixels else 1
    y, u, v = 120, 100, 160
    path = levels_video(
        tmp_path / "x.mp4",
        [y * scale] * 2,
        pixels=pixels,
        matrix=matrix,
        value_range=value_range,
        chroma=(u * scale, v * scale),
    )
    luma_, blue, red = (
        (y / 255, (u - 128) / 255, (v - 128) / 255)
        if value_range == 2
        else ((y - 16) / 219, (u - 128) / 224, (v - 128) / 224)
    )
    kr, kb = KR_KB[matrix]
    r, b = luma_ + 2 * (1 - kr) * red, luma_ + 2 * (1 - kb) * blue
    g = (luma_ - kr * r - kb * b) / (1 - kr - kb)
    middle = decode(path)[0, 16, 24]
    np.testing.assert_allclose(middle, np.array([r, g, b]) * 255, atol=1.01)


def test_gray_video_is_its_luma(tmp_path, levels_video):
    video = decode(levels_video(tmp_path / "gray.mkv", LEVELS, codec="ffv1", pixels="gray"))
    assert (video == video[..., :1]).all()
    assert np.abs(video[:, 0, 0, 0].astype(int) - LEVELS).max() <= 1


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_display_rotation_is_applied(tmp_path, picture_video, angle, mirror):
    picture = np.random.default_rng(0).integers(0, 256, (16, 32, 3), dtype=np.uint8)
    path = picture_video(tmp_path / "x.mp4", picture, turn=(angle, mirror))
    shown = np.rot90(picture, angle // 90)  # anticlockwise, as the angle is counted
    np.testing.assert_array_equal(decode(path)[0], shown[:, ::-1] if mirror else shown)


def test_an_odd_angle_is_refused(tmp_path, picture_video):
    path = picture_video(tmp_path / "x.mp4", np.zeros((16, 32, 3), np.uint8), turn=(30,))
    with pytest.raises(UndecodableVideo, match="quarter turns"):
        decode(path)


def test_pixel_aspect_is_ignored(tmp_path, levels_video):
    def anamorphic(stream):
        stream.codec_context.sample_aspect_ratio = 2

    assert decode(levels_video(tmp_path / "x.mp4", [50, 60], before=anamorphic)).shape == (2, 32, 48, 3)


def test_metadata_that_is_not_utf8_does_no_harm(tmp_path, levels_video):
    path = levels_video(tmp_path / "x.avi", LEVELS, codec="ffv1", metadata={"title": "Gruesse"})
    content = path.read_bytes()
    assert b"Gruesse" in content
    path.write_bytes(content.replace(b"Gruesse", b"Gr\xfc\xdfe\xff\xfe"))
    assert len(decode(path)) == len(LEVELS)


def test_a_name_that_looks_like_a_protocol_is_a_file(tmp_path, levels_video, monkeypatch):
    levels_video(tmp_path / "plain.mp4", [50, 60]).rename(tmp_path / "http:x%03d.mp4")
    monkeypatch.chdir(tmp_path)
    assert len(decode(Path("http:x%03d.mp4"))) == 2


def test_an_avi_that_promises_one_frame_too_many_gives_those_it_has(tmp_path, levels_video):
    """As the official HMDB51 files do: the last packet is a single byte."""
    path = levels_video(tmp_path / "x.avi", LEVELS, codec="mpeg4", pixels="yuv420p", options={"g": "5"})
    content = bytearray(path.read_bytes())
    last = content.rindex(b"00dc", 0, content.rindex(b"idx1"))
    size = int.from_bytes(content[last + 4 : last + 8], "little")
    content[last + 8 : last + 8 + size] = b"\x7f" + bytes(size - 1)
    path.write_bytes(content)
    assert promised(path).num_frames == len(LEVELS)
    assert len(decode(path)) == len(LEVELS) - 1


def noisy_video(path, codec, options, pixels="yuv420p", num_frames=40):
    """Frames that need many bytes, so that damage hits something."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, pixels
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


CODERS = [("x.avi", "mpeg4", {"g": "10"}), ("x.mp4", "libx264", {"g": "10", "bf": "0"})]


@pytest.mark.parametrize(("name", "codec", "options"), CODERS)
def test_damage_in_the_middle_is_an_error_that_says_where(tmp_path, name, codec, options):
    path = noisy_video(tmp_path / name, codec, options)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = np.random.default_rng(1).bytes(2000)
    path.write_bytes(content)
    with pytest.raises(UndecodableVideo, match=r"x\.\w+ is damaged after frame \d+"):
        decode(path)


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
@pytest.mark.parametrize(("name", "codec", "options"), CODERS)
def test_a_file_that_was_cut_short_is_an_error(tmp_path, name, codec, options, share):
    path = noisy_video(tmp_path / name, codec, options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UndecodableVideo, match=r"cut short|no video file"):
        decode(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_is_in_a_file_only_one_kind_of_error_comes_out(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = noisy_video(folder / "x.mp4", "mpeg4", {"g": "5"}, num_frames=6)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + 8] = data.draw(st.binary(min_size=0, max_size=8))
    path.write_bytes(content)
    try:
        assert decode(path).shape[3] == 3
    except UndecodableVideo as error:
        message = str(error)
    else:
        message = str(path)
    assert str(path) in message


def write_audio(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def test_what_is_no_video_is_said_in_a_sentence_with_its_name(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.txt").write_text("1 ApplyEyeMakeup\n" * 50)
    (tmp_path / "playlist.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/hostname\n")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    with av.open(str(tmp_path / "still.png"), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 16
        stream.pix_fmt = "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    (tmp_path / "still.png").rename(tmp_path / "still.mp4")
    write_audio(tmp_path / "audio.mp4")
    for name, reason in {
        "folder.mp4": "is a folder",
        "missing.mp4": "does not exist",
        "loop.mp4": "does not exist",
        "empty.mp4": "no video file",
        "text.txt": "no video file",
        "playlist.mp4": "no video file",
        "still.mp4": "no video file",
        "audio.mp4": "no video stream",
    }.items():
        with pytest.raises(UndecodableVideo, match=reason) as caught:
            decode(tmp_path / name)
        assert name in str(caught.value)


@pytest.mark.parametrize(("name", "codec"), [("x.avi", "mpeg4"), ("x.mp4", "libx264")])
def test_a_video_without_a_frame_is_said_so(tmp_path, name, codec):
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    with pytest.raises(UndecodableVideo, match=rf"{name} holds no (frame that can be decoded|video stream)"):
        decode(tmp_path / name)


def test_frames_can_be_had_one_by_one_and_kept(tmp_path, levels_video):
    path = levels_video(tmp_path / "x.mp4", LEVELS)
    np.testing.assert_array_equal(np.stack(list(decode_frames(path))), decode(path))


def test_a_header_tells_about_length_and_size(tmp_path, levels_video):
    assert promised(levels_video(tmp_path / "x.mp4", LEVELS)) == (len(LEVELS), 32, 48)
    assert promised(levels_video(tmp_path / "x.mkv", LEVELS, codec="ffv1")) == (len(LEVELS), 32, 48)


DIGESTS = """
import ctypes, glob, hashlib, sys
from pathlib import Path
import av
from bench.video.decode import decode
library, flags, *files = sys.argv[1:]
ctypes.CDLL(library).av_force_cpu_flags(int(flags))
print(*(hashlib.sha256(decode(Path(f))).hexdigest() for f in files))
"""


def test_the_bytes_do_not_depend_on_vector_instructions(tmp_path, levels_video):
    """Golden digests hold on x86 with and without AVX2; FFmpeg is told that the processor has nothing, SSE2, SSE4.2."""
    libraries = list((Path(av.__file__).parents[1] / "av.libs").glob("libavutil*.so*"))
    if not libraries:
        pytest.skip("this build of PyAV does not carry its FFmpeg")
    flags = ctypes.CDLL(str(libraries[0])).av_get_cpu_flags()
    files = [noisy_video(tmp_path / name, codec, options, num_frames=8) for name, codec, options in CODERS]
    runs = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS, libraries[0], str(few), *files], capture_output=True, text=True, check=True
        ).stdout
        for few in (flags, 0, flags & 0x1B, flags & 0x3DB)
    ]
    assert len(set(runs)) == 1
