"""The clips of a data set: one view is what all views hold, and noise at source is what a noisy file would show."""

import numpy as np
import pytest

from bench.schema import CLEAN, ClipSpec, Condition
from bench.video.clips import Clips
from bench.video.decode import decode
from bench.video.frame_store import build_store
from bench.video.index import Video, VideoSet
from bench.video.resize import centre_crop, resize_clip
from bench.video.sampling import spread_clips
from corruptions.definition import Definition
from corruptions.noise import corrupt

SPEC = ClipSpec(num_frames=4, stride=2, resize=(24, 40), size=16)
SHOT = "shot/ucf101-p@source/v1"


@pytest.fixture(scope="module")
def clips(tmp_path_factory, levels_video):
    folder = tmp_path_factory.mktemp("clips")
    paths = [
        levels_video(folder / f"{n}.mp4", range(20 + n, 20 + n + 6 * length, 6)) for n, length in ((0, 30), (1, 5))
    ]
    videos = VideoSet("set", tuple(Video(path.stem, path, 0, path.stem) for path in paths), ("x",))
    return Clips(SPEC, {"test": videos}, {"test": build_store(videos, resize=SPEC.resize, folder=folder / "frames")})


@pytest.mark.parametrize("video_id", ["0", "1"])
def test_one_view_is_that_of_all_views(clips, video_id):
    all_views = clips.views("test", video_id, 3)
    assert all_views.shape == (3, 4, 16, 16, 3)
    for number in range(3):
        np.testing.assert_array_equal(clips.view("test", video_id, 3, number), all_views[number])


def test_one_view_reads_no_other_frames(clips, monkeypatch):
    asked = []
    store = clips.stores["test"]
    monkeypatch.setattr(store, "clip", lambda video_id, numbers, crop: asked.append(numbers.tolist()))
    clips.view("test", "0", 3, 1)
    assert asked == [spread_clips(30, SPEC, 3)[1].tolist()]


def test_noise_at_source_is_that_of_the_whole_file(clips):
    """The harness draws it only where the crop looks; the pixels are those of corrupting every frame whole."""
    condition = Condition(corruption=SHOT, severity=3)
    found = dict(clips.noisy_views("test", "0", 2, [CLEAN, condition]))
    np.testing.assert_array_equal(found[CLEAN], clips.views("test", "0", 2))
    frames = decode(clips.video("test", "0").path)
    definition = Definition.parse(SHOT)
    noisy = corrupt(frames, definition, 3, video_id="0", frame_numbers=np.arange(len(frames)))
    crop = centre_crop(SPEC.resize, SPEC.size)
    for view, numbers in zip(found[condition], spread_clips(30, SPEC, 2), strict=True):
        np.testing.assert_array_equal(view, resize_clip(noisy[numbers], SPEC.resize, crop))


def test_training_clips_lie_within_the_frame_and_reach_its_edges(clips):
    rng = np.random.default_rng(0)
    store = clips.stores["test"]
    asked = []
    true = store.clip

    def spy(video_id, numbers, crop):
        asked.append((numbers[0], *crop))
        return true(video_id, numbers, crop)

    store.clip = spy
    try:
        for _ in range(400):
            assert clips.training_clip("test", "0", rng, "random").shape == (4, 16, 16, 3)
    finally:
        del store.clip
    starts, tops, lefts, sizes = map(set, zip(*asked, strict=True))
    assert starts == set(range(24))
    assert (min(tops), max(tops), min(lefts), max(lefts), sizes) == (0, 8, 0, 24, {16})


def test_noise_at_input_is_laid_upon_the_views_and_no_video_is_decoded(clips, monkeypatch):
    monkeypatch.setattr("bench.video.clips.native_frames", lambda *_: pytest.fail("decoded"))
    condition = Condition(corruption="gaussian/imagenet-c@input/v1", severity=2)
    found = dict(clips.noisy_views("test", "0", 2, [CLEAN, condition]))
    views = clips.views("test", "0", 2)
    np.testing.assert_array_equal(found[CLEAN], views)
    definition = Definition.parse(condition.corruption)
    for noisy, view, numbers in zip(found[condition], views, spread_clips(30, SPEC, 2), strict=True):
        np.testing.assert_array_equal(noisy, corrupt(view, definition, 2, video_id="0", frame_numbers=numbers))
