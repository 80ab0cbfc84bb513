"""The frame store: what it holds, and that nothing that happens to it makes it lie."""

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from bench.video import frame_store as module
from bench.video.decode import decode
from bench.video.frame_store import build_store, estimate_bytes
from bench.video.index import Video, VideoSet
from bench.video.resize import cropped, resize_clip


@pytest.fixture
def videos(tmp_path, levels_video):
    """Five videos of different length, frame i of video v with a level of its own."""
    made = []
    for number in range(5):
        levels = [30 + 10 * number + i for i in range(6 + number)]
        path = levels_video(tmp_path / "videos" / f"v{number}.mp4", levels)
        made.append(Video(f"c/v{number}", path, number % 2, f"s{number}"))
    return VideoSet("five", tuple(made), ("even", "odd"))


def entries(folder):
    return sorted(folder.glob("*/entries/*/*.npy"))


def test_a_clip_is_the_decoded_resized_and_cropped_frames(videos, tmp_path):
    store = build_store(videos, resize=(20, 27), folder=tmp_path / "store")
    for video in videos.videos:
        expected = resize_clip(decode(video.path), (20, 27))
        assert store.num_frames(video.video_id) == len(expected)
        assert store.frame_size(video.video_id) == (20, 27)
        numbers = np.array([0, 5, 5, 2, 1])
        np.testing.assert_array_equal(store.clip(video.video_id, numbers), expected[numbers])
        crop = (4, 7, 16)
        np.testing.assert_array_equal(store.clip(video.video_id, numbers, crop), cropped(expected[numbers], crop))
    assert store.ids == tuple(sorted(videos.ids))
    assert store.num_bytes == (6 + 7 + 8 + 9 + 10) * 20 * 27 * 3


@pytest.mark.parametrize(("resize", "size"), [(None, (32, 48)), (16, (16, 24)), ((8, 9), (8, 9))])
def test_frames_are_stored_at_the_size_asked_for(videos, tmp_path, resize, size):
    store = build_store(videos, resize=resize, folder=tmp_path / "store")
    assert store.frame_size("c/v0") == size
    np.testing.assert_array_equal(store.clip("c/v0", [3])[0], resize_clip(decode(videos.videos[0].path), size)[3])
    assert estimate_bytes(videos.videos, resize) == store.num_bytes


def test_an_entry_is_a_plain_npy_file_with_its_digest_at_the_end(videos, tmp_path):
    store = build_store(videos, resize=(20, 27), folder=tmp_path / "store")
    for path in entries(tmp_path / "store"):
        frames = np.load(path)
        digest = hashlib.sha256(frames.tobytes() + "x".join(map(str, frames.shape)).encode()).digest()
        assert path.read_bytes().endswith(digest)
        assert digest.hex() in {store.frames_digest(video_id) for video_id in store.ids}


def test_the_digest_is_about_ids_and_pixels_only(videos, tmp_path):
    one = build_store(videos, resize=(20, 27), folder=tmp_path / "one")
    shuffled = replace(videos.without_labels(), name="other", videos=videos.without_labels().videos[::-1])
    assert build_store(shuffled, resize=(20, 27), folder=tmp_path / "two", workers=2).digest == one.digest
    assert build_store(videos, resize=(20, 26), folder=tmp_path / "one").digest != one.digest
    assert build_store(videos.only(videos.ids[:4]), resize=(20, 27), folder=tmp_path / "one").digest != one.digest


@pytest.mark.parametrize("small", [0, 10**9], ids=["processes", "threads"])
def test_processes_and_threads_make_the_same_store(videos, tmp_path, monkeypatch, small):
    monkeypatch.setattr(module, "SMALL_BYTES", small)
    twin = replace(videos.videos[0], video_id="c/twin")  # the same file under two names
    both = replace(videos, videos=(*videos.videos, twin))
    one = build_store(both, resize=(20, 27), folder=tmp_path / "one")
    two = build_store(both, resize=(20, 27), folder=tmp_path / "two", workers=3)
    assert two.digest == one.digest
    assert len(entries(tmp_path / "two")) == 5


def test_a_second_call_decodes_nothing(videos, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    told = []
    first = build_store(videos, resize=(20, 27), folder=folder, progress=lambda *at: told.append(at))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5), (5, 5)]
    monkeypatch.setattr(module, "decode_frames", lambda path: pytest.fail(f"{path} was decoded again"))
    again = build_store(videos, resize=(20, 27), folder=folder)
    assert again.digest == first.digest
    part = build_store(videos.only(["c/v1", "c/v3"]), resize=(20, 27), folder=folder)
    assert part.frames_digest("c/v3") == first.frames_digest("c/v3"), "overlapping sets share entries"
    verified = build_store(videos, resize=(20, 27), folder=folder, verify=True)
    assert verified.digest == first.digest


def test_a_changed_file_is_noticed(videos, tmp_path, levels_video):
    folder = tmp_path / "store"
    before = build_store(videos, resize=None, folder=folder)
    levels_video(videos.videos[2].path, [200, 100, 50])
    after = build_store(videos, resize=None, folder=folder)
    assert (before.num_frames("c/v2"), after.num_frames("c/v2")) == (8, 3)
    assert before.digest != after.digest
    assert before.clip("c/v2", [7]).shape == (1, 32, 48, 3), "who has the store open keeps what he opened"


def test_a_moved_or_touched_file_costs_no_decode(videos, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    build_store(videos, resize=None, folder=folder)
    moved = videos.videos[0].path.rename(tmp_path / "elsewhere.mp4")
    os.utime(moved, ns=(1, 1))
    monkeypatch.setattr(module, "decode_frames", lambda path: pytest.fail(f"{path} was decoded again"))
    renamed = replace(videos, videos=(replace(videos.videos[0], path=moved), *videos.videos[1:]))
    assert build_store(renamed, resize=None, folder=folder).num_frames("c/v0") == 6


def test_a_truncated_or_missing_entry_is_made_again(videos, tmp_path):
    folder = tmp_path / "store"
    digest = build_store(videos, resize=None, folder=folder).digest
    first, second = entries(folder)[:2]
    first.write_bytes(first.read_bytes()[:-1])
    second.unlink()
    assert build_store(videos, resize=None, folder=folder).digest == digest
    assert build_store(videos, resize=None, folder=folder, verify=True).digest == digest


def test_a_flipped_bit_is_found_on_request_and_a_torn_end_when_it_is_read(videos, tmp_path):
    folder = tmp_path / "store"
    store = build_store(videos, resize=None, folder=folder)
    by_digest = {store.frames_digest(video_id): video_id for video_id in store.ids}
    inside, at_the_end = entries(folder)[:2]
    names = [by_digest[path.read_bytes()[-32:].hex()] for path in (inside, at_the_end)]
    for path, place in ((inside, 1000), (at_the_end, -1)):
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)
    with pytest.raises(ValueError, match="damaged; delete that file"):
        build_store(videos, resize=None, folder=folder).clip(names[1], [0])
    mended = build_store(videos, resize=None, folder=folder, verify=True)
    assert mended.digest == store.digest
    for number, video_id in enumerate(sorted(videos.ids)):
        np.testing.assert_array_equal(mended.clip(video_id, range(6)), decode(videos.videos[number].path)[:6])


def test_unreadable_videos_stop_the_build_by_name_or_are_left_out(videos, tmp_path):
    folder = tmp_path / "store"
    videos.videos[1].path.write_text("no video")
    videos.videos[3].path.unlink()
    for _ in range(2):
        with pytest.raises(
            ValueError, match=r"2 of the 5 videos of five cannot be read: c/v1, c/v3\..*v1\.mp4 is no video"
        ):
            build_store(videos, resize=None, folder=folder)
    store = build_store(videos, resize=None, folder=folder, unreadable="leave_out")
    assert store.ids == ("c/v0", "c/v2", "c/v4")
    assert set(store.left_out) == {"c/v1", "c/v3"}
    with pytest.raises(ValueError, match=r"no frames of c/v3: .*v3\.mp4 cannot be opened"):
        store.clip("c/v3", [0])


def test_a_video_that_came_back_is_taken_in(videos, tmp_path, levels_video):
    path = videos.videos[3].path
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(ValueError, match="1 of the 5"):
        build_store(videos, resize=None, folder=tmp_path / "store")
    path.write_bytes(content)
    assert build_store(videos, resize=None, folder=tmp_path / "store").num_frames("c/v3") == 9


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(videos, tmp_path, monkeypatch):
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(ValueError, match=r"frames of five need about 0\.0 GB and .* has 0\.0 GB free\. Make room"):
        build_store(videos, resize=None, folder=tmp_path / "store")
    assert entries(tmp_path / "store") == []


def test_a_disk_that_fills_up_is_said_so_and_leaves_nothing_half_written(videos, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    seen = []

    def full_at_the_third(descriptor):
        seen.append(descriptor)
        if len(seen) == 3:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "fsync", full_at_the_third)
        with pytest.raises(ValueError, match="is full: no space for the frames of c/v2"):
            build_store(videos, resize=None, folder=folder)
    assert len(entries(folder)) == 2
    assert not list(folder.glob("*/unfinished/*/*"))
    assert build_store(videos, resize=None, folder=folder).ids == tuple(sorted(videos.ids))


def test_what_a_stopped_build_made_needs_no_room_again(videos, tmp_path, monkeypatch):
    class StopHereError(Exception):
        pass

    def stop(done, total):
        if done == 3:
            raise StopHereError

    folder = tmp_path / "store"
    with pytest.raises(StopHereError):
        build_store(videos, resize=None, folder=folder, progress=stop)
    left = (9 + 10) * 32 * 48 * 3
    usage = module.shutil.disk_usage(tmp_path)
    for free, enough in ((left - 1, False), (left, True)):
        monkeypatch.setattr(module.shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        if enough:
            assert len(build_store(videos, resize=None, folder=folder).ids) == 5
            assert len(build_store(videos, resize=None, folder=folder, verify=True).ids) == 5
        else:
            with pytest.raises(ValueError, match="Make room"):
                build_store(videos, resize=None, folder=folder)


def test_what_will_be_written_is_said_once_and_before_the_work(videos, tmp_path):
    said, told = [], []
    for _ in range(2):
        build_store(
            videos,
            resize=None,
            folder=tmp_path / "store",
            say=lambda words: said.append((words, len(told))),
            progress=lambda *at: told.append(at),
        )
    place = next((tmp_path / "store").iterdir())
    ((words, after),) = said
    assert words.startswith(f"five: the frames of 5 videos take about 0.0 GB in {place}, which has ")
    assert words.endswith(" GB free.")
    assert after == 0


def test_a_disk_that_takes_no_writing_is_said_in_a_sentence_and_a_whole_store_on_it_is_read(
    videos, tmp_path, monkeypatch
):
    folder = tmp_path / "store"
    part = build_store(videos.only(["c/v0", "c/v1"]), resize=None, folder=folder)

    def read_only(self, mode="r", *more, **named):
        if set(mode) & set("wax+"):
            raise OSError(30, "Read-only file system", str(self))
        return opened(self, mode, *more, **named)

    opened = Path.open
    monkeypatch.setattr(Path, "open", read_only)
    assert build_store(videos.only(["c/v0", "c/v1"]), resize=None, folder=folder).digest == part.digest
    with pytest.raises(ValueError, match=r"the frames of c/v2 cannot be stored in .*Read-only file system"):
        build_store(videos, resize=None, folder=folder)


def test_a_damaged_list_is_written_anew_from_the_frames_that_are_there(videos, tmp_path, monkeypatch):
    folder = tmp_path / "store"
    digest = build_store(videos, resize=None, folder=folder).digest
    (kept,) = folder.glob("*/sets/*.json")
    monkeypatch.setattr(module, "decode_frames", lambda path: pytest.fail(f"{path} was decoded again"))
    for damage in (b"", b"\x00" * 40, kept.read_bytes()[:-9], b'{"videos": [{"video_id": "c/v0", "shape": [1]}]}'):
        kept.write_bytes(damage)
        assert build_store(videos, resize=None, folder=folder).digest == digest


def test_a_bad_video_below_a_folder_whose_name_is_no_utf8_is_named_too(videos, tmp_path, levels_video):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    folder.mkdir()
    (folder / "bad.mp4").write_text("no video")
    good = levels_video(tmp_path / "good.mp4", [1, 2, 3]).rename(folder / "good.mp4")
    pair = VideoSet("pair", (Video("a", folder / "bad.mp4", 0, "a"), Video("b", good, 0, "b")), ("x",))
    with pytest.raises(ValueError, match="1 of the 2 videos of pair cannot be read: a"):
        build_store(pair, resize=None, folder=tmp_path / "store")
    assert build_store(pair, resize=None, folder=tmp_path / "store", unreadable="leave_out").ids == ("b",)


def test_a_clock_that_stands_wrong_changes_nothing(videos, tmp_path, monkeypatch):
    for number, video in enumerate(videos.videos):
        os.utime(video.path, (0, 4_000_000_000 * (number % 2)))  # 1970 and 2096
    digest = build_store(videos, resize=None, folder=tmp_path / "store").digest
    for path in (tmp_path / "store").rglob("*.*"):
        os.utime(path, (0, 0))
    monkeypatch.setattr(module, "decode_frames", lambda path: pytest.fail(f"{path} was decoded again"))
    assert build_store(videos, resize=None, folder=tmp_path / "store").digest == digest


def test_a_folder_that_cannot_be_written_is_said_so(videos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot be stored in .*file"):
        build_store(videos, resize=None, folder=tmp_path / "file")


def test_what_progress_raises_stops_the_build_and_the_next_goes_on(videos, tmp_path):
    class StopHereError(Exception):
        pass

    def stop(done, total):
        if done == 2:
            raise StopHereError

    with pytest.raises(StopHereError):
        build_store(videos, resize=None, folder=tmp_path / "store", progress=stop)
    assert len(entries(tmp_path / "store")) == 2
    assert len(build_store(videos, resize=None, folder=tmp_path / "store").ids) == 5


def test_frame_numbers_off_the_video_are_refused(videos, tmp_path):
    store = build_store(videos, resize=None, folder=tmp_path / "store")
    for numbers in ([-1], [6]):
        with pytest.raises(IndexError, match="c/v0 has frames 0 to 5"):
            store.clip("c/v0", numbers)
    with pytest.raises(ValueError, match="no frames of c/zz: it is not among"):
        store.clip("c/zz", [0])


def test_a_clip_is_the_callers_own(videos, tmp_path):
    store = build_store(videos, resize=None, folder=tmp_path / "store")
    clip = store.clip("c/v0", [0, 1])
    before = clip.copy()
    clip[:] = 0
    np.testing.assert_array_equal(store.clip("c/v0", [0, 1]), before)


def test_a_clip_can_be_written_into_its_place_in_a_batch(videos, tmp_path):
    store = build_store(videos, resize=None, folder=tmp_path / "store")
    batch = np.zeros((2, 3, 16, 16, 3), np.uint8)
    given = store.clip("c/v1", [2, 0, 0], (4, 8, 16), out=batch[1])
    assert given.base is batch
    np.testing.assert_array_equal(batch[1], store.clip("c/v1", [2, 0, 0], (4, 8, 16)))
    assert not batch[0].any()


def test_many_threads_and_a_pickled_copy_read_the_same(videos, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_OPEN", 2)
    store = build_store(videos, resize=None, folder=tmp_path / "store")
    copy = pickle.loads(pickle.dumps(store))
    expected = {video_id: store.clip(video_id, range(6)) for video_id in store.ids}

    def read(number):
        video_id = store.ids[number % 5]
        reader = (store, copy)[number % 2]
        return (reader.clip(video_id, range(6)) == expected[video_id]).all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(400)))


def test_a_builder_that_is_locked_out_waits_and_can_be_called_off(videos, tmp_path):
    folder = tmp_path / "store"
    build_store(videos.only(["c/v0"]), resize=None, folder=folder)
    place = next(folder.iterdir())
    key = hashlib.sha256("\n".join(sorted(videos.ids)).encode()).hexdigest()[:32]

    class LeaseLostError(Exception):
        pass

    def call_off(done, total):
        raise LeaseLostError

    with FileLock(place / "unfinished" / f"{key}.lock"), pytest.raises(LeaseLostError):
        build_store(videos, resize=None, folder=folder, progress=call_off)


BUILD = """
import sys
from pathlib import Path
from bench.video import frame_store
from bench.video.index import Video, VideoSet

frame_store.SMALL_BYTES = 0
if __name__ == "__main__":
    store, workers, *paths = sys.argv[1:]
    videos = VideoSet("many", tuple(Video(Path(p).stem, Path(p), None, p) for p in paths), ("x",))
    print("started", flush=True)
    made = frame_store.build_store(videos, resize=(64, 85), folder=Path(store), workers=int(workers),
                       progress=lambda done, total: print(done, flush=True))
    print(made.digest)
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory, levels_video):
    """Enough to be killed in between: 24 videos with 60 frames."""
    folder = tmp_path_factory.mktemp("many")
    paths = [folder / f"m{n:02}.mp4" for n in range(24)]
    for number, path in enumerate(paths):
        levels_video(path, [60 + (number + i) % 90 for i in range(60)], size=(120, 160))
    return VideoSet("many", tuple(Video(path.stem, path, None, path.stem) for path in paths), ("x",))


def build_elsewhere(tmp_path, store, workers, videos):
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    return subprocess.Popen(
        [sys.executable, script, store, str(workers), *(str(video.path) for video in videos.videos)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        start_new_session=True,
    )


def still_running(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_build_goes_on_where_it_was_and_its_workers_end_with_it(many, tmp_path):
    folder = tmp_path / "store"
    killed = build_elsewhere(tmp_path, folder, 2, many)
    with killed.stdout:
        for line in killed.stdout:
            if line.strip() == "8":
                break
        os.kill(killed.pid, signal.SIGKILL)  # the parent alone
        killed.wait()
    for _ in range(100):
        if not still_running(killed.pid):
            break
        time.sleep(0.1)
    assert not still_running(killed.pid)
    done = entries(folder)
    assert 8 <= len(done) < 24
    times = {path: path.stat().st_mtime_ns for path in done}

    finished = build_store(many, resize=(64, 85), folder=folder)
    assert finished.digest == build_store(many, resize=(64, 85), folder=tmp_path / "whole").digest
    assert {path: path.stat().st_mtime_ns for path in done} == times, "what was done is not done again"
    assert len(entries(folder)) == 24
    assert not list(folder.glob("*/unfinished/*/*"))


@pytest.mark.prove
def test_two_builders_at_once_make_one_store(many, tmp_path):
    both = [build_elsewhere(tmp_path, tmp_path / "store", 2, many) for _ in range(2)]
    digests = [process.communicate()[0].split()[-1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert len(set(digests)) == 1
    assert len(entries(tmp_path / "store")) == 24


@pytest.mark.prove
def test_a_killed_worker_is_said_so(many, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SMALL_BYTES", 0)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        pytest.skip("needs /proc")

    def kill_a_worker(done, total):
        if done == 2:
            pids = [int(pid) for pid in children.read_text().split()]
            named = [pid for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
            os.kill(named[-1], signal.SIGKILL)

    with pytest.raises(ValueError, match="process was killed"):
        build_store(many, resize=(64, 85), folder=tmp_path / "store", workers=2, progress=kill_a_worker)
    assert len(build_store(many, resize=(64, 85), folder=tmp_path / "store", workers=2).ids) == 24
