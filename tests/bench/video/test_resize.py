"""The resize has Pillow's bytes, whichever way it is computed and whatever is cropped."""

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.video import resize as module
from bench.video.resize import centre_crop, cropped, resize_clip, resize_region, short_side, source_region

WAYS = [
    pytest.param(False, id="pillow"),
    pytest.param(True, id="numba", marks=pytest.mark.skipif(find_spec("numba") is None, reason="numba is an extra")),
]


@pytest.fixture(params=WAYS)
def way(request, monkeypatch):
    monkeypatch.setattr(module, "_has_numba", lambda: request.param)


def pillow(frames, size):
    height, width = size
    return np.stack([np.asarray(Image.fromarray(f).resize((width, height), Image.Resampling.BILINEAR)) for f in frames])


sides = st.integers(1, 90)


@settings(max_examples=150, deadline=None)
@given(native=st.tuples(sides, sides), size=st.tuples(sides, sides), data=st.data(), seed=st.integers(0, 2**32))
@pytest.mark.parametrize("compiled", WAYS)
def test_bytes_are_pillows_for_any_size_and_crop(compiled, native, size, data, seed):
    rng = np.random.default_rng(seed)
    frames = rng.choice([rng.integers(0, 256, (2, *native, 3)), rng.choice([0, 255], (2, *native, 3))]).astype(np.uint8)
    side = data.draw(st.integers(1, min(size)))
    crop = (data.draw(st.integers(0, size[0] - side)), data.draw(st.integers(0, size[1] - side)), side)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_has_numba", lambda: compiled)
        whole, part = resize_clip(frames, size), resize_clip(frames, size, crop)
        top, left, height, width = source_region(native, size, crop)
        region = resize_region(frames[:, top : top + height, left : left + width], native, size, crop)
    np.testing.assert_array_equal(whole, pillow(frames, size))
    np.testing.assert_array_equal(part, cropped(pillow(frames, size), crop))
    np.testing.assert_array_equal(region, part)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("native", "size"),
    [((240, 320), (128, 171)), ((256, 340), (128, 171)), ((1080, 1920), (128, 171)), ((100, 100), (224, 300))],
)
def test_bytes_are_pillows_at_the_sizes_of_real_videos(native, size):
    frames = np.random.default_rng(0).integers(0, 256, (2, *native, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_clip(frames, size), pillow(frames, size))
    crop = centre_crop(size, 112)
    np.testing.assert_array_equal(resize_clip(frames, size, crop), cropped(pillow(frames, size), crop))


@pytest.mark.usefixtures("way")
def test_a_view_with_gaps_is_resized_like_a_copy_and_left_alone():
    frames = np.random.default_rng(0).integers(0, 256, (6, 40, 60, 3), dtype=np.uint8)
    before = frames.copy()
    view = frames[::-2, 3:35, 5:59][:, :, ::-1]
    np.testing.assert_array_equal(resize_clip(view, (16, 20)), pillow(view.copy(), (16, 20)))
    np.testing.assert_array_equal(frames, before)


@pytest.mark.usefixtures("way")
def test_the_same_size_changes_nothing():
    frames = np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_clip(frames, (20, 30)), frames)


@settings(max_examples=60, deadline=None)
@given(native=st.tuples(sides, sides), size=st.tuples(sides, sides), data=st.data())
def test_a_crop_depends_on_its_source_region_and_on_nothing_else(native, size, data):
    rng = np.random.default_rng(0)
    side = data.draw(st.integers(1, min(size)))
    crop = (data.draw(st.integers(0, size[0] - side)), data.draw(st.integers(0, size[1] - side)), side)
    top, left, height, width = source_region(native, size, crop)
    one, other = (rng.integers(0, 256, (1, *native, 3), dtype=np.uint8) for _ in range(2))
    rows, columns = slice(top, top + height), slice(left, left + width)
    other[:, rows, columns] = one[:, rows, columns]
    np.testing.assert_array_equal(resize_clip(one, size, crop), resize_clip(other, size, crop))


def test_the_centre_crop_is_torchvisions():
    assert centre_crop((128, 171), 112) == (8, 30, 112)
    assert centre_crop((113, 115), 112) == (0, 2, 112)
    assert centre_crop((112, 112), 112) == (0, 0, 112)


def test_the_short_side_is_torchvisions():
    assert short_side((240, 320), 128) == (128, 170)
    assert short_side((320, 240), 128) == (170, 128)
    assert short_side((100, 100), 128) == (128, 128)


def test_a_crop_that_does_not_fit_is_refused():
    frames = np.zeros((1, 20, 30, 3), np.uint8)
    with pytest.raises(ValueError, match="crop of 40 pixels does not fit into frames of 20 x 30"):
        centre_crop((20, 30), 40)
    for crop in ((0, 20, 12), (-1, 0, 8), (0, 0, 21), (0, 0, 0)):
        with pytest.raises(ValueError, match="does not fit into frames"):
            resize_clip(frames, (20, 30), crop)
        with pytest.raises(ValueError, match="does not fit into frames"):
            cropped(frames, crop)
    with pytest.raises(ValueError, match="cannot be resized to 0 x 30"):
        resize_clip(frames, (0, 30))
    with pytest.raises(ValueError, match="not uint8"):
        resize_clip(frames.astype(np.float32), (10, 15))
