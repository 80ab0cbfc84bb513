"""The bits are a function of names: whatever else changes around a frame, its noise does not."""

import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from corruptions import arrays, noise
from corruptions.definition import FAMILIES, POSITIONS, SEVERITIES, TABLES, Definition
from corruptions.noise import corrupt

every_family = pytest.mark.parametrize("family", FAMILIES)
every_engine = pytest.mark.parametrize("engine", ["compiled", "numpy", "torch"])

GAUSSIAN = Definition("gaussian")


def make_clip(num_frames=6, height=31, width=45, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num_frames, height, width, 3), dtype=np.uint8)


def draw(clip, engine, definition=GAUSSIAN, severity=3, video_id="v", numbers=None, region=None):
    numbers = range(len(clip)) if numbers is None else numbers
    settings = {"video_id": video_id, "frame_numbers": numbers, "region": region}
    if engine == "torch":
        return corrupt(torch.from_numpy(clip), definition, severity, engine="torch", **settings).numpy()
    return corrupt(clip, definition, severity, engine="plain" if engine == "numpy" else engine, **settings)


@every_family
@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_three_engines_draw_the_same_bits(family, severity):
    clip = make_clip()
    compiled, plain, tensors = (draw(clip, e, Definition(family), severity) for e in ("compiled", "numpy", "torch"))
    np.testing.assert_array_equal(compiled, plain)
    np.testing.assert_array_equal(compiled, tensors)
    assert (compiled != clip).any()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_draws_the_same_bits_under_every_condition():
    clip = make_clip(16, 112, 112)
    there = torch.from_numpy(clip).cuda()
    for family in FAMILIES:
        for severity in SEVERITIES:
            out = corrupt(there, Definition(family), severity, video_id="v", frame_numbers=range(16))
            assert out.is_cuda
            np.testing.assert_array_equal(out.cpu().numpy(), draw(clip, "numpy", Definition(family), severity))


@every_engine
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_region_of_any_slice_has_the_noise_it_has_within_the_whole(engine, data):
    height, width = data.draw(st.integers(1, 24)), data.draw(st.integers(1, 24))
    clip = make_clip(5, height, width)
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    bottom, right = data.draw(st.integers(top + 1, height)), data.draw(st.integers(left + 1, width))
    chosen = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5))
    first = data.draw(st.sampled_from([0, 1, 250, 10**12]))

    whole = draw(clip, "numpy", numbers=range(first, first + 5))
    part = draw(
        clip[chosen, top:bottom, left:right],
        engine,
        numbers=[first + number for number in chosen],
        region=(top, left, height, width),
    )
    np.testing.assert_array_equal(part, whole[chosen, top:bottom, left:right])


def test_the_size_of_the_full_frame_has_no_say():
    clip = make_clip()
    of_small, of_large = (draw(clip, "numpy", region=(4, 5, 100 * n, 100 * n)) for n in (1, 9))
    np.testing.assert_array_equal(of_small, of_large)


@every_engine
def test_work_in_blocks_of_any_size_gives_the_same(engine, monkeypatch):
    clip = make_clip()
    whole = draw(clip, engine)
    for most in (1, 300, 5000):
        for block in ("ARRAY_BLOCK", "TENSOR_BLOCK", "ACCELERATOR_BLOCK"):
            monkeypatch.setattr(noise, block, most)
        np.testing.assert_array_equal(draw(clip, engine), whole)


def test_a_frame_alone_and_clips_of_clips_get_the_noise_of_their_numbers():
    clip = make_clip()
    whole = draw(clip, "compiled")
    alone = corrupt(clip[4], Definition("gaussian"), 3, video_id="v", frame_numbers=4)
    np.testing.assert_array_equal(alone, whole[4])
    views = corrupt(
        clip.reshape(2, 3, *clip.shape[1:]),
        Definition("gaussian"),
        3,
        video_id="v",
        frame_numbers=[[0, 1, 2], [3, 4, 5]],
    )
    np.testing.assert_array_equal(views.reshape(clip.shape), whole)


@every_engine
def test_memory_that_is_not_in_one_piece_or_may_not_be_written_is_read_all_the_same(engine, tmp_path):
    clip = make_clip()
    whole = draw(clip, engine)
    planes = np.ascontiguousarray(clip.transpose(3, 0, 1, 2)).transpose(1, 2, 3, 0)
    np.testing.assert_array_equal(draw(planes, engine), whole)
    backwards = np.ascontiguousarray(clip[::-1, :, ::-1])[:, :, ::-1]
    if engine != "torch":  # torch has no negative strides
        np.testing.assert_array_equal(draw(backwards, engine, numbers=range(5, -1, -1)), whole[::-1])
        np.save(tmp_path / "clip.npy", clip)
        stored = np.load(tmp_path / "clip.npy", mmap_mode="r")
        np.testing.assert_array_equal(draw(stored, engine), whole)


@every_engine
def test_the_input_is_left_alone_and_the_output_is_new(engine):
    clip = make_clip()
    out = draw(clip, engine)
    np.testing.assert_array_equal(clip, make_clip())
    assert not np.shares_memory(out, clip)
    assert out.flags.c_contiguous
    assert (out.shape, out.dtype) == (clip.shape, np.uint8)


def test_a_tensor_comes_back_as_a_tensor_and_an_array_as_an_array():
    clip = make_clip()
    assert type(draw(clip, "compiled")) is np.ndarray
    out = corrupt(torch.from_numpy(clip), Definition("shot"), 1, video_id="v", frame_numbers=range(6))
    assert isinstance(out, torch.Tensor)
    assert out.dtype == torch.uint8


@pytest.mark.parametrize("engine", ["auto", "compiled", "plain", "torch"])
def test_a_tensor_in_memory_can_be_noised_by_every_engine(engine):
    clip = make_clip()
    out = corrupt(torch.from_numpy(clip), GAUSSIAN, 3, video_id="v", frame_numbers=range(6), engine=engine)
    np.testing.assert_array_equal(out.numpy(), draw(clip, "numpy"))


def test_frame_numbers_may_come_as_any_row_of_integers():
    clip = make_clip()
    whole = draw(clip, "numpy")
    for numbers in (list(range(6)), tuple(range(6)), np.arange(6, dtype=np.uint8), torch.arange(6)):
        np.testing.assert_array_equal(draw(clip, "numpy", numbers=numbers), whole)


def test_a_full_name_does_as_well_as_a_definition():
    clip = make_clip()
    one, other = (draw(clip, "numpy", d) for d in (Definition("shot"), "shot/ucf101-p@source/v1"))
    np.testing.assert_array_equal(one, other)


def test_each_part_of_the_name_changes_the_noise():
    clip = np.full((2, 64, 64, 3), 128, np.uint8)
    draws = {
        "as is": draw(clip, "numpy"),
        "family": draw(clip, "numpy", Definition("speckle")),
        "table": draw(clip, "numpy", Definition("gaussian", "imagenet-c")),  # the same constants, another name
        "position": draw(clip, "numpy", Definition("gaussian", position="input")),
        "held": draw(clip, "numpy", Definition("gaussian", hold=True)),
        "severity": draw(clip, "numpy", severity=2),
        "video": draw(clip, "numpy", video_id="w"),
        "frame numbers": draw(clip, "numpy", numbers=(7, 8)),
        "place": draw(clip, "numpy", region=(1, 0, 65, 64)),
    }
    digests = {out.tobytes() for out in draws.values()}
    assert len(digests) == len(draws)


def test_fresh_noise_differs_from_frame_to_frame_and_held_noise_does_not():
    clip = np.full((3, 32, 32, 3), 128, np.uint8)
    fresh = draw(clip, "numpy", numbers=(4, 5, 9))
    held = draw(clip, "numpy", Definition("gaussian", hold=True), numbers=(4, 5, 9))
    assert (fresh[0] != fresh[1]).any()
    assert (fresh[1] != fresh[2]).any()
    assert (held == held[0]).all()
    np.testing.assert_array_equal(held[0], draw(clip, "numpy", Definition("gaussian", hold=True), numbers=(0, 1, 2))[0])


def test_no_two_names_are_spelled_alike():
    clip = np.full((1, 16, 16, 3), 128, np.uint8)
    one = draw(clip, "numpy", video_id="v\n1")
    other = draw(clip, "numpy", video_id="v", numbers=(1,))
    assert (one != other).any()


def test_names_that_are_no_unicode_and_names_in_any_script_can_be_drawn_for():
    clip = make_clip(1)
    names = ["動画/走る", "caf\u00e9", "cafe\u0301", os.fsdecode(b"broken\xff")]
    assert len({draw(clip, "numpy", video_id=name).tobytes() for name in names}) == len(names)


def test_threads_draw_what_one_thread_draws():
    clip = make_clip(8, 64, 64)
    with ThreadPoolExecutor(4) as pool:
        for engine in ("compiled", "numpy", "torch"):
            many = list(pool.map(lambda v, e=engine: draw(clip, e, video_id=v), [f"v{i % 4}" for i in range(16)]))
            for i, out in enumerate(many):
                np.testing.assert_array_equal(out, draw(clip, engine, video_id=f"v{i % 4}"))


def test_another_process_draws_the_same():
    program = (
        "import hashlib, numpy as np; from corruptions import Definition, corrupt;"
        "clip = np.arange(2 * 31 * 45 * 3).astype(np.uint8).reshape(2, 31, 45, 3);"
        "out = corrupt(clip, Definition('speckle'), 4, video_id='v', frame_numbers=(3, 4), engine='plain');"
        "print(hashlib.sha256(out.tobytes()).hexdigest())"
    )
    environment = os.environ | {"PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    there = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    clip = np.arange(2 * 31 * 45 * 3).astype(np.uint8).reshape(2, 31, 45, 3)
    here = draw(clip, "compiled", Definition("speckle"), 4, numbers=(3, 4))
    assert there.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


def test_global_random_generators_are_neither_read_nor_moved():
    clip = make_clip()
    first = draw(clip, "compiled")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    np.testing.assert_array_equal(draw(clip, "torch"), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_default_device_elsewhere_has_no_say():
    """Constants and steps live where the frames are, not where torch makes tensors by default."""
    clip = make_clip(3, 17, 23)
    with torch.device("meta"):
        there = corrupt(torch.from_numpy(clip), GAUSSIAN, 3, video_id="v", frame_numbers=range(3), engine="torch")
    np.testing.assert_array_equal(there.numpy(), draw(clip, "numpy"))


def test_a_clip_of_no_frames_comes_back_empty():
    assert draw(make_clip()[:0], "numpy", numbers=[]).shape == (0, 31, 45, 3)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("table", TABLES)
@every_family
def test_every_definition_draws_at_every_severity(family, table, position):
    clip = make_clip(1, 16, 16)
    draws = {draw(clip, "numpy", Definition(family, table, position), s).tobytes() for s in SEVERITIES}
    assert len(draws) == 5


def test_big_frames_need_no_more_memory_than_the_output_and_64_mib():
    import tracemalloc  # noqa: PLC0415  (it slows down what runs while it is loaded)

    frame = np.zeros((1, 1080, 1920, 3), np.uint8)
    strided = np.zeros((2, 1080, 1920, 4), np.uint8)[..., :3]
    for given_frames in (frame, strided):
        for engine in ("plain", "compiled"):
            tracemalloc.start()
            out = corrupt(
                given_frames, Definition("shot"), 1, video_id="v", frame_numbers=range(len(given_frames)), engine=engine
            )
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < out.nbytes + (64 << 20)


def test_numpy_is_all_that_is_needed():
    """No torch, numba, SciPy or typer, and importing the package alone loads not even NumPy."""
    program = (
        "import sys\n"
        "for absent in ('torch', 'numba', 'scipy', 'typer', 'rich', 'PIL', 'av'): sys.modules[absent] = None\n"
        "import corruptions; assert 'numpy' not in sys.modules\n"
        "import numpy as np\n"
        "out = corruptions.corrupt(np.full((2, 8, 8, 3), 90, np.uint8), corruptions.Definition('shot'), 3,"
        " video_id='v', frame_numbers=range(2))\n"
        "assert (out != 90).any()\n"
        "ours = {'bench', 'submissions', 'reference_models', 'leaderboard'} & set(sys.modules)\n"
        "assert not ours, ours\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p or "." for p in sys.path)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_engines_share_one_description():
    """The three are called alike; a new argument must reach all of them."""
    from inspect import signature  # noqa: PLC0415

    from corruptions import compiled, tensors  # noqa: PLC0415  (numba is an extra)

    assert list(signature(arrays.add_noise).parameters) == list(signature(compiled.add_noise).parameters)
    assert list(signature(arrays.add_noise).parameters) == list(signature(tensors.add_noise).parameters)
