"""Wrong input is refused in a sentence that says what was found and what is expected."""

import numpy as np
import pytest
import torch

from corruptions import noise
from corruptions.definition import Definition
from corruptions.noise import corrupt

CLIP = np.zeros((4, 12, 16, 3), np.uint8)


def ask(frames=CLIP, definition=Definition("shot"), severity=3, **settings):  # noqa: B008  (frozen)
    settings = {"video_id": "v", "frame_numbers": range(4)} | settings
    return corrupt(frames, definition, severity, **settings)


@pytest.mark.parametrize(
    ("frames", "found"),
    [
        (CLIP.astype(np.float32), "float32.*expected uint8"),
        (torch.zeros(4, 12, 16, 3), "float32.*expected uint8"),
        (CLIP.astype(np.int64), "int64.*expected uint8"),
        (CLIP.astype(bool), "bool.*expected uint8"),
        (CLIP[0, :, :, 0], r"\(12, 16\).*expected a clip"),
        (CLIP.transpose(0, 3, 1, 2), r"\(4, 3, 12, 16\).*channels last.*channels first\?"),
        (CLIP[..., :1], r"\(4, 12, 16, 1\).*channels last"),
        ([[1, 2], [3, 4]], "list.*NumPy array or torch tensor"),
        (None, "NoneType.*NumPy array or torch tensor"),
    ],
)
def test_frames_that_are_no_uint8_rgb(frames, found):
    with pytest.raises(ValueError, match=found):
        ask(frames)


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, "3", None, True, np.nan])
def test_a_severity_off_the_scale(severity):
    with pytest.raises(ValueError, match=r"severity is .*expected an integer from 1 to 5"):
        ask(severity=severity)


def test_a_severity_as_a_numpy_integer_is_welcome():
    np.testing.assert_array_equal(ask(severity=np.int64(3)), ask())


@pytest.mark.parametrize(
    ("frame_numbers", "found"),
    [
        ([0, 1, 2, -1], "frame number -1.*counted from 0"),
        (np.array([0, 1, 2, 2**63], np.uint64), "frame number 9223372036854775808"),
        ([0, 1, 2], r"shape \(3,\) for frames of shape \(4,\)"),
        (3, r"shape \(\) for frames of shape \(4,\)"),
        ([[0, 1], [2, 3]], r"shape \(2, 2\)"),
        ([0.0, 1.0, 2.0, 3.0], "expected integers"),
        ([True, False, True, False], "expected integers"),
        (["0", "1", "2", "3"], "expected integers"),
    ],
)
def test_frame_numbers_that_are_none(frame_numbers, found):
    with pytest.raises(ValueError, match=found):
        ask(frame_numbers=frame_numbers)


@pytest.mark.parametrize(
    "region", [(0, 0, 11, 16), (0, 0, 12, 15), (1, 0, 12, 16), (0, 5, 20, 20), (-1, 0, 20, 20), (0, -1, 20, 20)]
)
def test_a_region_outside_the_frame(region):
    with pytest.raises(ValueError, match="do not lie inside a full frame"):
        ask(region=region)


@pytest.mark.parametrize("region", [(0, 0, 12), (0.0, 0, 12, 16), 5, "full"])
def test_a_region_that_is_not_four_integers(region):
    with pytest.raises(ValueError, match="four integers"):
        ask(region=region)


def test_a_full_frame_that_the_counters_cannot_reach():
    with pytest.raises(ValueError, match="too large"):
        ask(region=(0, 2_000_000, 12, 3_000_000))


@pytest.mark.parametrize("video_id", ["", None, 7, b"v"])
def test_a_video_without_a_name(video_id):
    with pytest.raises(ValueError, match=r"video_id is .*expected the video's name"):
        ask(video_id=video_id)


def test_an_unknown_engine():
    with pytest.raises(ValueError, match="expected one of auto, compiled, plain, torch"):
        ask(engine="fast")


def test_the_torch_engine_on_an_array():
    with pytest.raises(ValueError, match="works on tensors, not on a ndarray"):
        ask(engine="torch")


def test_the_compiled_engine_without_numba(monkeypatch):
    monkeypatch.setattr(noise, "_has_numba", lambda: False)
    with pytest.raises(ValueError, match="needs numba"):
        ask(engine="compiled")
    assert ask().shape == CLIP.shape


def test_the_compiled_engine_on_another_device():
    with pytest.raises(ValueError, match="does not reach meta"):
        ask(torch.zeros(4, 12, 16, 3, dtype=torch.uint8, device="meta"), engine="compiled")
