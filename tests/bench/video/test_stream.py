"""Native frames: those asked for and no others, in order, with few videos in memory."""

import threading
import time

import numpy as np
import pytest

from bench.video import stream as module
from bench.video.decode import UndecodableVideo, decode, decode_frames
from bench.video.index import Video
from bench.video.resize import resize_clip
from bench.video.stream import native_clips, native_frames, prepare_clip


@pytest.fixture
def videos(tmp_path, levels_video):
    return [
        Video(f"v{n}", levels_video(tmp_path / f"v{n}.mp4", [40 + 10 * n + i for i in range(8 + n)]), 0, f"s{n}")
        for n in range(6)
    ]


def test_only_the_frames_asked_for_are_kept(videos):
    numbers = np.array([[5, 2], [2, 7]])
    kept = native_frames(videos[0], numbers)
    whole = decode(videos[0].path)
    assert kept.numbers.tolist() == [2, 5, 7]
    np.testing.assert_array_equal(kept.frames_THW3, whole[[2, 5, 7]])
    np.testing.assert_array_equal(kept.clip(np.array([7, 2, 2, 5])), whole[[7, 2, 2, 5]])
    with pytest.raises(AssertionError, match="not kept"):
        kept.clip(np.array([3]))


def test_videos_come_in_the_order_of_the_requests(videos):
    requests = [(video, np.array([0, number])) for number, video in enumerate(videos)]
    got = list(native_clips(requests, workers=3))
    assert [frames.video.video_id for frames in got] == [video.video_id for video in videos]
    for number, frames in enumerate(got):
        np.testing.assert_array_equal(frames.clip(np.array([number])), decode(videos[number].path)[[number]])


def test_no_more_videos_are_held_than_promised(videos, monkeypatch):
    held, most, lock = 0, 0, threading.Lock()

    def counting(video, numbers):
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return native_frames(video, numbers)

    monkeypatch.setattr(module, "native_frames", counting)
    for _ in native_clips([(video, np.array([0])) for video in videos * 3], workers=2):
        time.sleep(0.005)  # a slow consumer
        with lock:
            held -= 1
    assert most <= 3


def test_a_consumer_may_stop_early(videos):
    clips = native_clips(((video, np.array([0])) for video in videos * 100), workers=2)
    assert next(clips).video is videos[0]
    clips.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]


def test_an_undecodable_video_is_an_error_when_its_turn_comes(videos, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    bad = Video("bad", tmp_path / "bad.mp4", 0, "s")
    clips = native_clips([(videos[0], np.array([1])), (bad, np.array([0]))], workers=2)
    assert next(clips).video is videos[0]
    with pytest.raises(UndecodableVideo, match=r"bad\.mp4"):
        next(clips)


def test_a_frame_beyond_the_end_is_an_error(videos):
    assert len(list(decode_frames(videos[0].path, {7}))) == 1
    with pytest.raises(UndecodableVideo, match="holds 8 frames; number 8 was asked for"):
        native_frames(videos[0], np.array([0, 8]))


def test_a_prepared_clip_is_chosen_resized_and_cropped():
    frames = np.random.default_rng(0).integers(0, 256, (5, 24, 32, 3), dtype=np.uint8)
    numbers = np.array([4, 0, 0])
    expected = resize_clip(frames, (16, 20))[numbers][:, 2:14, 4:16]
    np.testing.assert_array_equal(prepare_clip(frames, numbers, (16, 20), (2, 4, 12)), expected)
