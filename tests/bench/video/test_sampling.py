"""Index arithmetic: every number is a frame, the first and the last are reached, short videos loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.schema import ClipSpec
from bench.video.sampling import clip_at, fits, random_speeds, random_start, random_tuple, spread_clips, tuple_span

frames = st.integers(1, 400)
clips = st.builds(ClipSpec, num_frames=st.integers(1, 64), stride=st.integers(1, 8))
seeds = st.integers(0, 2**32)


def steps(rows, num_frames, stride):
    """Whether neighbours in a row are `stride` apart, counting on from the start where the video ends."""
    return ((np.diff(rows, axis=-1) - stride) % num_frames == 0).all()


@given(num_frames=frames, clip=clips, num_clips=st.integers(1, 20))
def test_spread_clips_are_whole_and_valid_and_reach_both_ends(num_frames, clip, num_clips):
    rows = spread_clips(num_frames, clip, num_clips)
    assert (rows.shape, rows.dtype) == ((num_clips, clip.num_frames), np.int64)
    assert rows.min() >= 0
    assert rows.max() < num_frames
    assert steps(rows, num_frames, clip.stride)
    if num_clips > 1:
        assert rows[0, 0] == 0
        if fits(num_frames, clip.span):
            assert rows[-1, -1] == num_frames - 1
    if fits(num_frames, clip.span):
        starts = rows[:, 0]
        room = num_frames - clip.span
        ideal = np.linspace(0, room, num_clips) if num_clips > 1 else [room / 2]
        assert np.abs(starts - ideal).max() <= 0.5
        assert (rows[:, -1] == starts + clip.span - 1).all(), "a video that is long enough is not looped"


def test_spread_clips_in_numbers():
    clip = ClipSpec(num_frames=4, stride=2)
    assert spread_clips(20, clip, 3).tolist() == [[0, 2, 4, 6], [7, 9, 11, 13], [13, 15, 17, 19]]
    assert spread_clips(20, clip, 1).tolist() == [[6, 8, 10, 12]]
    assert spread_clips(3, clip, 2).tolist() == [[0, 2, 1, 0], [0, 2, 1, 0]]
    assert spread_clips(1, clip, 1).tolist() == [[0, 0, 0, 0]]


def test_ten_views_of_a_video_cover_it():
    seen = np.unique(spread_clips(160, ClipSpec(num_frames=16, stride=1), 10))
    assert len(seen) == 160


@given(num_frames=frames, clip=clips, seed=seeds)
def test_a_random_clip_is_whole_and_valid_and_the_same_for_the_same_seed(num_frames, clip, seed):
    row = random_start(num_frames, clip, np.random.default_rng(seed))
    assert row.shape == (clip.num_frames,)
    assert ((row >= 0) & (row < num_frames)).all()
    assert steps(row, num_frames, clip.stride)
    if fits(num_frames, clip.span):
        assert (np.diff(row) == clip.stride).all()
    else:
        assert row[0] == 0
    np.testing.assert_array_equal(row, random_start(num_frames, clip, np.random.default_rng(seed)))


def test_random_starts_are_even_and_reach_the_last_frame():
    rng = np.random.default_rng(0)
    starts = np.array([random_start(20, ClipSpec(num_frames=16), rng)[0] for _ in range(5000)])
    counts = np.bincount(starts, minlength=5)
    assert len(counts) == 5
    assert abs(counts - 1000).max() < 120


@given(num_frames=frames, clip=clips, num_clips=st.integers(1, 5), gap=st.integers(0, 16), seed=seeds)
def test_a_tuple_is_in_order_with_its_gaps(num_frames, clip, num_clips, gap, seed):
    rows = random_tuple(num_frames, clip, num_clips, gap, np.random.default_rng(seed))
    assert rows.shape == (num_clips, clip.num_frames)
    assert ((rows >= 0) & (rows < num_frames)).all()
    assert steps(rows, num_frames, clip.stride)
    if fits(num_frames, tuple_span(clip, num_clips, gap)):
        assert (rows[1:, 0] - rows[:-1, -1] == gap + 1).all()
        assert rows[-1, -1] - rows[0, 0] + 1 == tuple_span(clip, num_clips, gap)


@given(
    num_frames=frames,
    length=st.integers(1, 32),
    strides=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    seed=seeds,
)
def test_clips_of_different_speed_begin_together(num_frames, length, strides, seed):
    rows = random_speeds(num_frames, length, strides, np.random.default_rng(seed))
    assert rows.shape == (len(strides), length)
    assert ((rows >= 0) & (rows < num_frames)).all()
    assert (rows[:, 0] == rows[0, 0]).all()
    for row, stride in zip(rows, strides, strict=True):
        assert steps(row, num_frames, stride)
    if fits(num_frames, (length - 1) * max(strides) + 1):
        assert (np.diff(rows, axis=1) > 0).all() or length == 1


@given(clip=clips, num_clips=st.integers(1, 4), seed=seeds)
def test_where_the_span_just_fits_there_is_one_place_for_it(clip, num_clips, seed):
    rng = np.random.default_rng(seed)
    span = tuple_span(clip, num_clips, 3)
    rows = random_tuple(span, clip, num_clips, 3, rng)
    assert (rows[0, 0], rows[-1, -1]) == (0, span - 1)


def test_a_video_without_frames_has_no_clip():
    clip, rng = ClipSpec(), np.random.default_rng(0)
    for ask in (
        lambda: spread_clips(0, clip, 1),
        lambda: random_start(0, clip, rng),
        lambda: clip_at(0, clip, 0),
        lambda: random_tuple(0, clip, 2, 0, rng),
        lambda: random_speeds(0, 16, [1, 2], rng),
    ):
        with pytest.raises(ValueError, match="0 frames"):
            ask()
    with pytest.raises(ValueError, match="at least 1"):
        spread_clips(10, clip, 0)
