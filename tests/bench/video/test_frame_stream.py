"""The frame stream: what a frame store gives, byte for byte, with nothing on the disk and little in memory."""

import pickle
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from bench.schema import CLEAN, ClipSpec, Condition
from bench.video import frame_store as module
from bench.video import frame_stream
from bench.video.clips import Clips
from bench.video.frame_store import build_store, open_stream
from bench.video.index import Video, VideoSet

SPEC = ClipSpec(num_frames=4, stride=2, resize=(20, 27), size=16)


@pytest.fixture
def videos(tmp_path, levels_video):
    """Four videos of different length, frame i of video v with a level of its own; the first shorter than a clip."""
    made = []
    for number in range(4):
        levels = [30 + 10 * number + i for i in range(5 + 7 * number)]
        path = levels_video(tmp_path / "videos" / f"v{number}.mp4", levels)
        made.append(Video(f"c/v{number}", path, number % 2, f"s{number}"))
    return VideoSet("four", tuple(made), ("even", "odd"))


@pytest.fixture
def both(videos, tmp_path):
    """A store and a stream of the same videos, in folders of their own."""
    store = build_store(videos, resize=SPEC.resize, folder=tmp_path / "store")
    return store, open_stream(videos, resize=SPEC.resize, folder=tmp_path / "stream", workers=2)


def test_a_stream_has_the_digests_and_the_bytes_of_a_store_and_stores_no_frame(both, tmp_path):
    store, stream = both
    assert (stream.ids, stream.digest, stream.num_bytes) == (store.ids, store.digest, store.num_bytes)
    for video_id in store.ids:
        assert (stream.num_frames(video_id), stream.frame_size(video_id)) == (store.num_frames(video_id), (20, 27))
        rows, crops = [[4, 0, 0, 3], range(3), [2]], [(4, 7, 16), None, (0, 11, 16)]
        for ours, theirs in zip(stream.clips(video_id, rows, crops), store.clips(video_id, rows, crops), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(stream.clip(video_id, rows[0]), store.clip(video_id, rows[0]))
    assert not list((tmp_path / "stream").glob("*/entries/*/*"))


def test_clips_of_every_kind_are_those_of_the_store(both, videos):
    noises = (CLEAN, Condition(corruption="gaussian/ucf101-p@source/v1", severity=3))
    stored, streamed = (Clips(SPEC, {"test": videos}, {"test": reader}) for reader in both)
    for video_id in videos.ids:
        np.testing.assert_array_equal(streamed.views("test", video_id, 3), stored.views("test", video_id, 3))
        np.testing.assert_array_equal(streamed.view("test", video_id, 3, 1), stored.view("test", video_id, 3, 1))
        ours, theirs = (
            clips.training_clip("test", video_id, np.random.default_rng(1), "random") for clips in (streamed, stored)
        )
        np.testing.assert_array_equal(ours, theirs)
        pairs = zip(*(clips.noisy_views("test", video_id, 2, noises) for clips in (streamed, stored)), strict=True)
        for (condition, our_views), (_, their_views) in pairs:
            np.testing.assert_array_equal(our_views, their_views, err_msg=str(condition))


def test_several_clips_of_a_video_cost_one_decode_and_none_beyond_the_last_frame(both, videos, monkeypatch):
    asked, decode_frames = [], frame_stream.decode_frames
    monkeypatch.setattr(frame_stream, "decode_frames", lambda *one: asked.append(one) or decode_frames(*one))
    Clips(SPEC, {"test": videos}, {"test": both[1]}).views("test", "c/v3", 3)
    both[1].clips("c/v3", [[5, 1], [1]], [None, None])
    assert [sorted(wanted)[-1] for _, wanted in asked] == [25, 5]


def test_memory_does_not_grow_with_the_video(tmp_path, levels_video):
    path = levels_video(tmp_path / "long.mp4", [20 + i % 200 for i in range(400)], size=(120, 160))
    long = VideoSet("long", (Video("long", path, 0, "s"),), ("x",))
    frame, whole = 120 * 160 * 3, 400 * 120 * 160 * 3
    tracemalloc.start()
    try:
        stream = open_stream(long, resize=(60, 80), folder=tmp_path / "stream")
        stream.clip("long", range(100, 104))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 40 * frame < whole / 8


def test_a_second_call_decodes_nothing_and_a_store_begins_where_the_stream_is(videos, tmp_path, monkeypatch):
    stream = open_stream(videos, resize=SPEC.resize, folder=tmp_path / "frames")
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode_frames", lambda path: pytest.fail(f"{path} was decoded again"))
        assert open_stream(videos, resize=SPEC.resize, folder=tmp_path / "frames").digest == stream.digest
    store = build_store(videos, resize=SPEC.resize, folder=tmp_path / "frames")
    assert store.digest == stream.digest
    np.testing.assert_array_equal(store.clip("c/v1", [3]), stream.clip("c/v1", [3]))
    monkeypatch.setattr(module, "decode_frames", lambda path: pytest.fail(f"{path} was decoded again"))
    assert open_stream(videos, resize=SPEC.resize, folder=tmp_path / "frames").digest == stream.digest


def test_a_stream_needs_no_room_and_says_what_it_spares(videos, tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=0))
    said = []
    stream = open_stream(videos, resize=SPEC.resize, folder=tmp_path / "stream", say=said.append)
    assert stream.num_frames("c/v0") == 5
    assert said == [
        "four: 4 videos are decoded to count their frames, and again for every clip. Nothing of them is stored; a frame store "
        "would take about 0.0 GB."
    ]


def test_unreadable_videos_are_named_when_the_stream_is_opened(videos, tmp_path):
    videos.videos[1].path.write_text("no video")
    videos.videos[2].path.unlink()
    with pytest.raises(ValueError, match=r"2 of the 4 videos of four cannot be read: c/v1, c/v2\."):
        open_stream(videos, resize=SPEC.resize, folder=tmp_path / "stream")
    stream = open_stream(videos, resize=SPEC.resize, folder=tmp_path / "stream", unreadable="leave_out")
    assert (stream.ids, set(stream.left_out)) == (("c/v0", "c/v3"), {"c/v1", "c/v2"})


def test_a_file_that_changes_or_goes_afterwards_is_refused(both, videos, levels_video):
    stream = both[1]
    levels_video(videos.videos[0].path, [1, 2, 3, 4, 5, 6])
    videos.videos[1].path.unlink()
    with pytest.raises(ValueError, match=r"v0\.mp4 was changed since its frames were counted"):
        stream.clip("c/v0", [0])
    with pytest.raises(ValueError, match=r"v1\.mp4 cannot be opened any more"):
        stream.clip("c/v1", [0])
    with pytest.raises(IndexError, match="c/v2 has frames 0 to 18, not 0 to 19"):
        stream.clip("c/v2", [0, 19])
    with pytest.raises(ValueError, match="four has no frames of c/zz"):
        stream.clip("c/zz", [0])


def test_a_pickled_stream_reads_the_same_and_a_withheld_label_changes_nothing(both, videos, tmp_path):
    stream = both[1]
    copy = pickle.loads(pickle.dumps(stream))
    np.testing.assert_array_equal(copy.clip("c/v1", [1, 2]), stream.clip("c/v1", [1, 2]))
    hidden = replace(videos.without_labels(), name="other")
    assert open_stream(hidden, resize=SPEC.resize, folder=tmp_path / "stream").digest == stream.digest
