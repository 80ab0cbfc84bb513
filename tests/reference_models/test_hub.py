"""Fetching from a Hub: what comes, what does not, and what a person is told."""

from pathlib import Path

import pytest

from reference_models import hub as ours
from reference_models.hub import fetch, parse
from tests.hub_server.client import connect
from tests.hub_server.server import READER, running_hub
from tests.hub_server.store import File

WEIGHTS = bytes(range(256)) * 4000
FILES = {
    "README.md": File(b"---\nlicense: mit\n---\n# A model\n"),
    "config.json": File(b'{"name": "a model"}'),
    "model.safetensors": File(WEIGHTS, large=True),
    "modeling.py": File(b"raise SystemExit"),
    "pytorch_model.bin": File(b"\x80\x04", large=True),
    "nested/model.safetensors": File(b"other", large=True),
    "training.jsonl": File(b"{}\n"),
}


@pytest.fixture
def hub():
    with running_hub() as running:
        yield running


@pytest.fixture(autouse=True)
def pauses(hub, monkeypatch, tmp_path):
    return connect(hub, monkeypatch, tmp_path)


@pytest.fixture
def there(hub):
    """org/one with two commits; the first is also a tag and a pull request."""
    made = hub.store.create("models", "org/one")
    first = made.commit("main", made.refs["main"], "first", FILES)
    made.refs["refs/tags/v1"] = made.refs["refs/pr/1"] = first.oid
    made.commit("main", first.oid, "second", {**FILES, "config.json": File(b'{"name": "renamed"}')})
    return made


def refused(address):
    with pytest.raises(ValueError, match=r"\.$") as caught:
        fetch(address)
    return str(caught.value)


def nothing_is_kept(tmp_path):
    kept = [path for path in (tmp_path / "home").rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    return kept == []


def test_only_the_files_we_know_come_and_the_commit_is_named(there):
    fetched = fetch("hf://org/one")
    assert fetched.address == f"hf://org/one@{there.refs['main']}"
    names = {path.name for path in fetched.folder.iterdir()}
    assert names == {"README.md", "config.json", "model.safetensors", "source.txt"}
    assert (fetched.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert (fetched.folder / "source.txt").read_text() == f"{fetched.address}\n"


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1"])
def test_a_tag_or_a_pull_request_stands_for_its_commit(there, revision):
    fetched = fetch(f"hf://org/one@{revision}")
    assert fetched.commit == there.refs["refs/tags/v1"]
    assert (fetched.folder / "config.json").read_text() == '{"name": "a model"}'


def test_a_branch_is_asked_for_every_time_but_its_files_come_once(hub, there):
    first = fetch("hf://org/one@main")
    downloads = hub.count("GET", "/resolve/")
    assert fetch("hf://org/one@main") == first
    assert hub.count("GET", "/resolve/") == downloads
    newer = there.commit("main", there.refs["main"], "third", FILES)
    assert fetch("hf://org/one@main").commit == newer.oid != first.commit


def test_a_fetched_commit_needs_no_network(hub, there):
    fetched = fetch("hf://org/one")
    hub.die()
    asked = len(hub.seen)
    assert fetch(fetched.address) == fetched
    assert len(hub.seen) == asked


def test_a_path_means_the_same_address(there):
    assert parse(Path("hf://org/one@v1")) == ("org/one", "v1")
    assert fetch(Path("hf://org/one")).commit == there.refs["main"]


@pytest.mark.parametrize("address", ["hf://one", "hf://org/one/model.safetensors", "hf://org/one@", "hf://../one"])
def test_what_is_no_address_is_refused_with_an_example(address):
    assert "hf://ORG/NAME@COMMIT" in refused(address)


def test_weights_alone_in_another_format_are_named_and_not_fetched(hub, tmp_path):
    made = hub.store.create("models", "org/pickled")
    made.commit("main", made.refs["main"], "first", {"pytorch_model.bin": File(b"\x80\x04", large=True)})
    words = refused("hf://org/pickled")
    assert "pytorch_model.bin" in words
    assert "reelproof convert" in words
    assert hub.count("GET", "/resolve/") == hub.count("GET", "/large/") == 0
    assert nothing_is_kept(tmp_path)


def test_an_onnx_file_comes_where_it_is_all_there_is(hub):
    made = hub.store.create("models", "org/exported")
    files = {"model.onnx": File(b"an onnx file", large=True), "config.json": File(b"{}")}
    made.commit("main", made.refs["main"], "first", files)
    fetched = fetch("hf://org/exported")
    assert {path.name for path in fetched.folder.iterdir()} == {"model.onnx", "source.txt"}


def test_sizes_are_checked_before_anything_is_fetched(hub, there, monkeypatch, tmp_path):
    monkeypatch.setitem(ours.KNOWN, ours.WEIGHTS, len(WEIGHTS) - 1)
    assert f"has {len(WEIGHTS):,} bytes, more than the {len(WEIGHTS) - 1:,}" in refused("hf://org/one")
    assert hub.count("HEAD", "/resolve/") == 0
    assert nothing_is_kept(tmp_path)


def test_a_body_cut_short_is_gone_on_with_where_it_broke_off(hub, there):
    fault = hub.fail(method="GET", path="^/large/", keep=300_000)
    fetched = fetch("hf://org/one")
    assert (fetched.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert fault.met == 1
    assert hub.count("GET", "/large/") == 2


def test_a_body_cut_short_every_time_is_given_up_and_nothing_is_kept(hub, there, tmp_path):
    hub.fail(method="GET", path="^/large/", keep=0, times=1000)
    assert "broke off" in refused("hf://org/one")
    assert nothing_is_kept(tmp_path)


def test_other_bytes_than_the_hub_lists_are_not_kept(hub, there, tmp_path):
    hub.fail(method="GET", path="^/large/", change=True)
    assert "other bytes than the Hub lists" in refused("hf://org/one")
    assert nothing_is_kept(tmp_path)
    assert (fetch("hf://org/one").folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_small_file_with_other_bytes_is_not_kept_either(hub, there):
    hub.fail(method="GET", path="config.json$", change=True)
    assert "config.json" in refused("hf://org/one")


def test_a_busy_hub_is_asked_again_when_it_says(hub, there, pauses):
    hub.fail(method="GET", path="/revision/main$", status=429, headers={"Retry-After": "7"})
    hub.fail(method="GET", path="/revision/main$", status=503)
    assert fetch("hf://org/one").commit == there.refs["main"]
    assert pauses == [7.0, 2.0]


def test_a_hub_that_asks_to_wait_too_long_is_left_to_the_person(hub, there, pauses):
    hub.fail(method="GET", path="/revision/main$", status=429, headers={"Retry-After": "3600"})
    assert "Try again in 3600 s" in refused("hf://org/one")
    assert pauses == []


def test_a_hub_that_stays_unwell_is_given_up(hub, there, pauses):
    fault = hub.fail(method="GET", path="/revision/main$", status=503, times=100)
    assert "HTTP 503" in refused("hf://org/one")
    assert (fault.met, len(pauses)) == (ours.TRIES, ours.TRIES - 1)


def test_a_hub_that_cannot_be_reached_is_told_with_what_is_here(hub, there):
    fetched = fetch("hf://org/one")
    hub.die()
    words = refused("hf://org/one")
    assert "cannot be reached" in words
    assert fetched.address in words


def test_offline_a_branch_is_refused_with_the_commits_that_are_here(there, monkeypatch):
    fetched = fetch("hf://org/one")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = refused("hf://org/one")
    assert "HF_HUB_OFFLINE" in words
    assert fetched.address in words
    assert fetch(fetched.address) == fetched


def test_a_private_repository_opens_to_its_owner_alone(hub, there, monkeypatch):
    there.private = True
    assert fetch("hf://org/one").commit == there.refs["main"]
    for token in (READER, ""):
        monkeypatch.setenv("HF_TOKEN", token)
        assert "There is no org/one" in refused("hf://org/one")


def test_a_gated_repository_says_where_to_ask(hub, there):
    hub.fail(method="GET", path="/revision/main$", status=403, headers={"X-Error-Code": "GatedRepo"})
    assert "gated" in refused("hf://org/one")


def test_a_bad_token_a_wrong_name_and_a_wrong_revision_are_told_apart(there, monkeypatch):
    assert "There is no org/two" in refused("hf://org/two")
    assert "no branch, tag or commit v2" in refused("hf://org/one@v2")
    monkeypatch.setenv("HF_TOKEN", "hf_invented")
    assert "wants a valid token" in refused("hf://org/one")
