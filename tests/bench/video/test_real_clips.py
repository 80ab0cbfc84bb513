"""Golden digests on official clips: the same bytes on every machine, for the same build of FFmpeg."""

import hashlib
import subprocess
import sys
from pathlib import Path

import av
import pytest

from bench.video.decode import decode, promised
from bench.video.resize import resize_clip

GOLDEN = {
    "hmdb51/cartwheel/Turnk_r_Pippi_Michel_cartwheel_f_cm_np2_le_med_6.avi": (83, "05518a102a53507f"),
    "hmdb51/wave/RATRACE_wave_f_nm_np1_fr_goo_37.avi": (72, "a9222dcaa6c67303"),
    "hmdb51/wave/SchoolRulesHowTheyHelpUs_wave_f_nm_np1_ba_med_0.avi": (74, "1a0e8f94b7b20c8b"),
    "hmdb51/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi": (48, "1cbe0165914e3817"),
    "k400/using_segway/R6llTwEh07w.mp4": (303, "8e600063667e6468"),
    "k400/using_segway/SOX5yA1l24A.mp4": (332, "28a4b5c7928cae34"),
    "k400/using_segway/WUzgd7C1pWA.mp4": (327, "0f5671455a4a9a99"),
    "ucf101/ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi": (164, "54440213f5a7cf15"),
    "ucf101/BaseballPitch/v_BaseballPitch_g01_c01.avi": (107, "923dc500241fc82d"),
    "ucf101/Biking/v_Biking_g05_c02.avi": (201, "67fed4114c60c820"),
    "ucf101/Punch/v_Punch_g03_c01.avi": (108, "0aab0b556c100bee"),
    "ucf101/SoccerJuggling/v_SoccerJuggling_g23_c01.avi": (240, "b2d78c5c07598c9f"),
    "ucf101/SoccerJuggling/v_SoccerJuggling_g24_c01.avi": (251, "9df3e7031e3be466"),
}
"""Frames, and the first 16 digits of the SHA-256 of their bytes."""

PROMISES_TOO_MUCH = {name for name in GOLDEN if name.startswith("hmdb51")}
SOME = ("ucf101/Punch/v_Punch_g03_c01.avi", "hmdb51/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi")
RESIZED = "74220721ceb0d59e"


def digest(frames):
    return hashlib.sha256(frames).hexdigest()[:16]


@pytest.mark.parametrize("name", SOME)
def test_an_official_clip_has_its_frames_and_bytes(real_data, name):
    video = decode(real_data / "clips" / name)
    assert (len(video), digest(video)) == GOLDEN[name]
    assert promised(real_data / "clips" / name).num_frames == len(video) + (name in PROMISES_TOO_MUCH)


@pytest.mark.prove
@pytest.mark.parametrize("name", sorted(set(GOLDEN) - set(SOME)))
def test_every_official_clip_has_its_frames_and_bytes(real_data, name):
    test_an_official_clip_has_its_frames_and_bytes(real_data, name)


def test_a_resized_official_clip_has_its_bytes(real_data):
    assert digest(resize_clip(decode(real_data / "clips" / SOME[0]), (128, 171))) == RESIZED


DIGESTS = """
import ctypes, hashlib, sys
from pathlib import Path
from bench.video.decode import decode
library, flags, *files = sys.argv[1:]
ctypes.CDLL(library).av_force_cpu_flags(int(flags))
print(*(hashlib.sha256(decode(Path(f))).hexdigest()[:16] for f in files))
"""


@pytest.mark.prove
@pytest.mark.parametrize("flags", [0x0, 0x1B, 0x3DB], ids=["no vectors", "SSE2", "SSE4.2"])
def test_the_bytes_of_official_clips_do_not_depend_on_vector_instructions(real_data, flags):
    libraries = list((Path(av.__file__).parents[1] / "av.libs").glob("libavutil*.so*"))
    if not libraries:
        pytest.skip("this build of PyAV does not carry its FFmpeg")
    files = [real_data / "clips" / name for name in GOLDEN]
    run = subprocess.run(
        [sys.executable, "-c", DIGESTS, libraries[0], str(flags), *files], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [wanted for _, wanted in GOLDEN.values()]
