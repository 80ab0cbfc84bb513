"""Hugging Face data sets with a Video column: written here by the library, read undecoded, decoded by us."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import datasets
import httpx2
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, Video

from bench.video.datasets import hub
from bench.video.datasets.folder import folder_dataset
from bench.video.datasets.hub import hub_dataset, is_hub_dataset
from bench.video.datasets.own import own_videos
from bench.video.decode import decode
from bench.video.frame_store import build_store
from tests.hub_server.server import ALICE, running_hub

CLASSES = ("jump", "run")


def quiet(words, share):
    assert 0 <= share <= 1


@pytest.fixture(scope="module")
def files(tmp_path_factory, levels_video):
    """Twelve videos of two classes; the first frame of number n is as bright as 40 + 10 n."""
    folder = tmp_path_factory.mktemp("files")
    for n in range(12):
        levels_video(folder / CLASSES[n % 2] / f"v{n:02}.mp4", [40 + 10 * n, 60, 70, 80])
    return folder


def table(files, numbers, *, embedded=True, **more):
    """Rows of the videos of these numbers; paths as stored are file names."""
    paths = [files / CLASSES[n % 2] / f"v{n:02}.mp4" for n in numbers]
    rows = {
        "video": [{"path": path.name, "bytes": path.read_bytes()} if embedded else str(path) for path in paths],
        "label": [n % 2 for n in numbers],
        **more,
    }
    types = {name: Value("string") for name in more}
    features = Features({"video": Video(), "label": ClassLabel(names=["jump", "run", "never"]), **types})
    return Dataset.from_dict(rows, features=features)


def saved(files, folder, how, **splits):
    """The splits, as the library writes them."""
    tables = DatasetDict(splits or {"train": table(files, range(8)), "test": table(files, range(8, 12))})
    if how == "save_to_disk":
        tables.save_to_disk(folder)
    else:
        (folder / "data").mkdir(parents=True)
        for name, rows in tables.items():
            rows.to_parquet(folder / "data" / f"{name}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("how", ["save_to_disk", "parquet"])
def test_videos_become_files_with_the_pixels_that_were_stored(files, tmp_path, how):
    place = saved(files, tmp_path / "set", how)
    assert is_hub_dataset(str(place))
    dataset = own_videos(place, tmp_path / "home", quiet)
    assert dataset.test.ids == ("v08", "v09", "v10", "v11")
    assert len(dataset.train) + len(dataset.validation) == 8
    assert dataset.train.class_names == CLASSES  # the class without a video is none
    assert dataset.test.labels.tolist() == [0, 1, 0, 1]
    for video in (*dataset.train.videos, *dataset.validation.videos, *dataset.test.videos):
        original = files / CLASSES[video.label or 0] / f"{video.video_id}.mp4"
        np.testing.assert_array_equal(decode(video.path), decode(original))
    store = build_store(dataset.test, resize=(16, 16), folder=tmp_path / "frames")
    assert store.ids == dataset.test.ids


def test_it_is_read_once_and_again_when_it_changed(files, tmp_path, monkeypatch):
    place = saved(files, tmp_path / "set", "parquet")
    first = hub_dataset(str(place), tmp_path / "home", quiet)
    with monkeypatch.context() as patch:
        patch.setattr(hub, "_open", lambda *_: pytest.fail("read again"))
        assert hub_dataset(str(place), tmp_path / "home", quiet) == first
    table(files, range(4, 12)).to_parquet(place / "data" / "test-00000-of-00001.parquet")
    table(files, range(4)).to_parquet(place / "data" / "train-00000-of-00001.parquet")
    assert len(hub_dataset(str(place), tmp_path / "home", quiet).test) == 8


def test_a_read_that_was_stopped_goes_on_with_the_files_that_are_whole(files, tmp_path):
    place = saved(files, tmp_path / "set", "save_to_disk")

    def stop(words, share):
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hub_dataset(str(place), tmp_path / "home", stop)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*.mp4")}
    assert len(kept) > 4
    assert not list((tmp_path / "home").rglob("rows.json"))
    hub_dataset(str(place), tmp_path / "home", quiet)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_two_who_read_it_at_once_have_the_same_whole_files(files, tmp_path):
    place = saved(files, tmp_path / "set", "save_to_disk")
    begun = threading.Barrier(2)

    def read(_):
        begun.wait()
        return hub_dataset(str(place), tmp_path / "home", lambda words, share: time.sleep(0.01))

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(read, range(2))
    assert one == other
    for video in one.train.videos:
        assert video.path.read_bytes() == (files / CLASSES[video.label] / f"{video.video_id}.mp4").read_bytes()
    assert not list((tmp_path / "home").rglob("*.half"))


def test_a_folder_that_takes_no_writing_is_said_in_a_sentence(files, tmp_path):
    place = saved(files, tmp_path / "set", "save_to_disk")
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ValueError, match=r"the videos of set cannot be written to .*home/local-\w+ \(.+\)\.$"):
        hub_dataset(str(place), tmp_path / "home", quiet)


def test_paths_of_a_local_set_are_used_where_they_are(files, tmp_path, monkeypatch):
    place = saved(files, tmp_path / "set", "save_to_disk")
    monkeypatch.setattr(hub, "_open", lambda *_: {"train": table(files, range(12), embedded=False)})
    dataset = hub_dataset(str(place), tmp_path / "home", quiet)
    assert {video.path.parent.parent for video in dataset.train.videos} == {files.resolve()}
    assert not list((tmp_path / "home").rglob("*.mp4"))


def test_without_a_test_split_whole_sources_are_carved_off(files, tmp_path):
    groups = [f"g{n // 2}" for n in range(12)]
    place = saved(files, tmp_path / "set", "save_to_disk", train=table(files, range(12), group=groups))
    dataset = hub_dataset(str(place), tmp_path / "home", quiet)
    assert {*dataset.train.sources, *dataset.validation.sources, *dataset.test.sources} == set(groups)
    for split in (dataset.train, dataset.validation, dataset.test):
        assert set(split.labels.tolist()) == {0, 1}


def test_withheld_test_labels_make_validation_the_judged_split(files, tmp_path):
    withheld = table(files, range(10, 12)).map(lambda row: {"label": -1})
    place = saved(
        files,
        tmp_path / "set",
        "save_to_disk",
        train=table(files, range(6)),
        validation=table(files, range(6, 10)),
        test=withheld,
    )
    dataset = hub_dataset(str(place), tmp_path / "home", quiet)
    assert dataset.test.ids == ("v06", "v07", "v08", "v09")
    assert len(dataset.train) + len(dataset.validation) == 6


def test_three_labelled_splits_are_taken_as_they_are(files, tmp_path):
    place = saved(
        files,
        tmp_path / "set",
        "save_to_disk",
        train=table(files, range(6)),
        validation=table(files, range(6, 8)),
        test=table(files, range(8, 12)),
    )
    dataset = hub_dataset(str(place), tmp_path / "home", quiet)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (6, 2, 4)


def test_a_name_that_stands_twice_makes_every_id_split_and_row(files, tmp_path):
    place = saved(
        files, tmp_path / "set", "save_to_disk", train=table(files, range(8)), test=table(files, range(7, 11))
    )
    dataset = hub_dataset(str(place), tmp_path / "home", quiet)
    assert dataset.test.ids == ("test/0", "test/1", "test/2", "test/3")
    assert all(video_id.startswith("train/") for video_id in dataset.train.ids)


def test_labels_may_be_words(files, tmp_path):
    rows = table(files, range(12)).remove_columns("label").add_column("class", [CLASSES[n % 2] for n in range(12)])
    place = saved(files, tmp_path / "set", "save_to_disk", train=rows)
    assert hub_dataset(str(place), tmp_path / "home", quiet).train.class_names == CLASSES


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda rows: rows.remove_columns("video"), r"has 0 Video columns, one is needed; its columns are label"),
        (lambda rows: rows.remove_columns("label"), r"has no column label or .*; its columns are video"),
        (lambda rows: rows.map(lambda row: {"label": -1}), "has no video with a label"),
        (lambda rows: rows.map(lambda row: {"label": 1}), "has one class, run|too few sources"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(files, tmp_path, make, message):
    place = saved(files, tmp_path / "set", "save_to_disk", train=make(table(files, range(6))))
    with pytest.raises(ValueError, match=message) as caught:
        hub_dataset(str(place), tmp_path / "home", quiet)
    assert str(caught.value).endswith(".")


def test_a_broken_file_is_named_when_it_is_decoded(files, tmp_path):
    broken = table(files, range(8)).to_list()
    broken[3]["video"] = {"path": "v03.mp4", "bytes": b"no video"}
    place = saved(
        files,
        tmp_path / "set",
        "save_to_disk",
        train=table(files, range(8)).from_list(broken, features=table(files, range(8)).features),
        test=table(files, range(8, 12)),
    )
    dataset = hub_dataset(str(place), tmp_path / "home", quiet)
    bad = next(s for s in (dataset.train, dataset.validation) if "v03" in s.ids)
    with pytest.raises(ValueError, match="cannot be read: v03"):
        build_store(bad, resize=(16, 16), folder=tmp_path / "frames")


@pytest.mark.parametrize("how", ["save_to_disk", "parquet"])
@pytest.mark.parametrize("share", [0, 0.5])
def test_half_a_download_is_said_in_a_sentence(files, tmp_path, how, share):
    place = saved(files, tmp_path / "set", how)
    for path in (*place.rglob("*.arrow"), *place.rglob("*.parquet")):
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"is no data set that can be read|cannot be read to its end") as caught:
        hub_dataset(str(place), tmp_path / "home", quiet)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "home").rglob("rows.json"))


def test_a_folder_of_classes_is_no_such_data_set(files, tmp_path):
    assert not is_hub_dataset(str(files))
    assert own_videos(files, tmp_path, quiet) == folder_dataset(files)


@pytest.mark.parametrize("place", ["hf://org/name@{}", "hf:/org/name@{}", "hf://datasets/org/name@{}"])
def test_a_repository_is_asked_for_at_its_commit(files, tmp_path, monkeypatch, place):
    commit = "0123456789abcdef0123456789abcdef01234567"
    asked = []

    def load_dataset(repo, **settings):
        asked.append((repo, settings))
        tables = {"train": table(files, range(8)), "test": table(files, range(8, 12))}
        return {split: rows.to_iterable_dataset() for split, rows in tables.items()}

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    for _ in range(2):
        dataset = own_videos(place.format(commit), tmp_path / "home", quiet)
        assert dataset.test.ids == ("v08", "v09", "v10", "v11")
    assert asked == [("org/name", {"revision": commit, "streaming": True})]
    assert f"org--name-{commit}" in str(dataset.test.videos[0].path)


def test_a_repository_cannot_name_files_of_this_machine(files, tmp_path, monkeypatch):
    """Such a row is an empty file, and so one that does not decode."""
    tables = {"train": table(files, range(8)), "test": table(files, range(8, 12), embedded=False)}
    rows = {split: one.to_iterable_dataset() for split, one in tables.items()}
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: rows)
    dataset = hub_dataset(f"hf://org/name@{'a' * 40}", tmp_path / "home", quiet)
    for video in dataset.test.videos:
        assert (tmp_path / "home").resolve() in video.path.resolve().parents
        assert video.path.stat().st_size == 0


PROGRAM = """
    import sys
    from pathlib import Path
    from datasets import load_from_disk
    from huggingface_hub import HfApi
    from bench.video.datasets.own import own_videos

    saved, files, home = (Path(name) for name in sys.argv[1:])
    load_from_disk(str(saved)).push_to_hub("org/clips")
    api = HfApi()
    api.create_repo("org/plain", repo_type="dataset")
    api.upload_folder(repo_id="org/plain", repo_type="dataset", folder_path=str(files), path_in_repo="train")
    for place in ("hf://org/clips", f"hf://org/plain@{api.dataset_info('org/plain').sha}"):
        dataset = own_videos(place, home, lambda words, share: None)
        for split in (dataset.train, dataset.validation, dataset.test):
            for video in split.videos:
                name = f"{split.class_names[video.label]}/{video.video_id}.mp4"
                assert video.path.read_bytes() == (files / name).read_bytes(), name
        print(len(dataset.train) + len(dataset.validation), len(dataset.test), *dataset.train.class_names)
    try:
        own_videos("hf://org/nothing", home, print)
    except ValueError as error:
        print(error)
"""


def test_a_repository_is_read_undecoded_over_http(files, tmp_path):
    """Parquet with embedded bytes, and plain files below class folders; from a server of the test, in a process of its own."""
    place = saved(files, tmp_path / "set", "save_to_disk")
    with running_hub() as hub:
        settings = {
            "HF_ENDPOINT": hub.url,
            "HF_TOKEN": ALICE,
            "HF_HOME": str(tmp_path / "hf"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        ran = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(PROGRAM), place, files, tmp_path / "home"],
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr[-3000:]
    pushed, plain, nothing = ran.stdout.splitlines()
    assert pushed == "8 4 jump run"
    assert plain == "10 2 jump run"
    assert nothing.startswith("the data set org/nothing cannot be asked for on the Hub: ")


def test_a_hub_that_does_not_answer_is_said_in_a_sentence(tmp_path, monkeypatch):
    def dies(self, repo, revision=None):
        raise httpx2.ConnectError("All connection attempts failed")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", dies)
    with pytest.raises(
        ValueError, match=r"^the data set org/name at main cannot be asked for on the Hub: All .* failed\.$"
    ):
        hub_dataset("hf://org/name@main", tmp_path, quiet)


def test_the_library_is_not_loaded_for_a_folder_of_classes(files, tmp_path):
    code = (
        "import sys; from pathlib import Path; from bench.video.datasets.own import own_videos\n"
        f"own_videos({str(files)!r}, Path({str(tmp_path)!r}), print)\n"
        "assert not {'datasets', 'huggingface_hub', 'torch', 'torchcodec'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
