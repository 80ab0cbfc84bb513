"""The test server keeps what the installed huggingface_hub expects of a Hub, over real HTTP."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx2
import numpy as np
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.hub_server.client import connect
from tests.hub_server.server import ALICE, READER, running_hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the library's way to send a file

LARGE = 40_000_000


@pytest.fixture
def hub():
    with running_hub() as running:
        yield running


@pytest.fixture(autouse=True)
def pauses(hub, monkeypatch, tmp_path):
    return connect(hub, monkeypatch, tmp_path)


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url)


def add(path, content):
    return CommitOperationAdd(path_in_repo=path, path_or_fileobj=content)


def commit(api, operations, **settings):
    return api.create_commit("org/one", operations, commit_message="a change", **settings)


def test_forty_megabytes_go_up_once_and_come_down_equal(hub, api, tmp_path):
    content = np.random.default_rng(0).bytes(LARGE)
    (tmp_path / "weights").write_bytes(content)
    api.create_repo("org/one")
    first = commit(api, [add("model.safetensors", str(tmp_path / "weights")), add("config.json", b"{}")])
    assert hub.count("PUT", "/large/") == 1
    path = api.hf_hub_download("org/one", "model.safetensors", revision=first.oid)
    assert Path(path).read_bytes() == content
    again = commit(api, [add("copy.safetensors", content)], parent_commit=first.oid)
    assert hub.count("PUT", "/large/") == 1  # the same bytes are there already
    assert api.model_info("org/one").sha == again.oid


def test_a_commit_upon_an_old_parent_is_refused_with_412_and_changes_nothing(api):
    api.create_repo("org/one")
    parent = api.model_info("org/one").sha
    first = commit(api, [add("a.txt", b"a")], parent_commit=parent)
    with pytest.raises(HfHubHTTPError) as caught:
        commit(api, [add("b.txt", b"b")], parent_commit=parent)
    assert caught.value.response.status_code == 412
    assert api.model_info("org/one").sha == first.oid
    assert not api.file_exists("org/one", "b.txt")


def test_a_pull_request_stands_beside_the_branch(hub, api):
    api.create_repo("org/one")
    before = api.model_info("org/one").sha
    reader = HfApi(endpoint=hub.url, token=READER)
    asked = commit(reader, [add("a.txt", b"a")], create_pr=True)
    assert asked.pr_revision == "refs/pr/1"
    assert api.model_info("org/one").sha == before
    assert Path(api.hf_hub_download("org/one", "a.txt", revision="refs/pr/1")).read_text() == "a"
    assert [ref.ref for ref in api.list_repo_refs("org/one", include_pull_requests=True).pull_requests] == ["refs/pr/1"]


def test_a_file_is_deleted_and_one_that_is_not_there_is_an_error(api):
    api.create_repo("org/one")
    commit(api, [add("a/b.txt", b"b"), add("a/c.txt", b"c")])
    commit(api, [CommitOperationDelete(path_in_repo="a/b.txt")])
    assert {file.path for file in api.list_repo_tree("org/one", recursive=True)} == {".gitattributes", "a", "a/c.txt"}
    with pytest.raises(RemoteEntryNotFoundError):
        commit(api, [CommitOperationDelete(path_in_repo="a/b.txt")])


def test_branches_tags_history_and_a_whole_snapshot(hub, api, tmp_path):
    api.create_repo("org/one")
    first = commit(api, [add("a.txt", b"first"), add("model.safetensors", b"weights")])
    api.create_branch("org/one", branch="trial")
    api.create_tag("org/one", tag="v1")
    commit(api, [add("a.txt", b"second")], revision="trial")
    assert [one.commit_id for one in api.list_repo_commits("org/one", revision="trial")][1] == first.oid
    snapshot = Path(snapshot_download("org/one", revision="v1", local_dir=tmp_path / "here", endpoint=hub.url))
    assert (snapshot / "a.txt").read_text() == "first"
    assert (snapshot / "model.safetensors").read_text() == "weights"
    assert [info.size for info in api.get_paths_info("org/one", ["a.txt", "none"], revision="trial")] == [6]


def test_a_part_of_a_file_can_be_asked_for(hub, api):
    api.create_repo("org/one")
    commit(api, [add("digits.bin", b"0123456789"), add("digits.txt", b"0123456789")])
    for name in ("digits.bin", "digits.txt"):
        url = f"{hub.url}/org/one/resolve/main/{name}"
        answer = httpx2.get(url, headers={"Range": "bytes=2-4"}, follow_redirects=True)
        assert (answer.status_code, answer.content) == (206, b"234")


def test_who_is_asked_and_what_is_not_there(hub, api):
    assert api.whoami()["name"] == "alice"
    api.create_repo("org/one", private=True)
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("org/one")
    with pytest.raises(RemoteEntryNotFoundError):
        api.hf_hub_download("org/one", "none.txt")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/one", revision="none")
    for token in (READER, False):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(endpoint=hub.url, token=token).model_info("org/one")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        api.whoami(token="hf_invented")


def test_a_data_set_is_pushed_and_loaded_with_the_library(hub, tmp_path):
    """In a process of its own: the library reads its settings when it is imported."""
    program = """
        import datasets

        rows = datasets.Dataset.from_dict({"video": ["a", "b", "c"], "top1": [0.5, 0.25, 1.0]})
        rows.push_to_hub("org/rows")
        loaded = datasets.load_dataset("org/rows", split="train")
        assert loaded.to_dict() == rows.to_dict(), loaded
    """
    pytest.importorskip("datasets")
    settings = {
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": ALICE,
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "USE_TORCH": "0",
    }
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    stored = hub.store.repositories["datasets", "org/rows"]
    tree = stored.commits[stored.refs["main"]].tree
    assert any(path.endswith(".parquet") and file.large for path, file in tree.items())
