"""Publishing to a Hub: one commit or none, whatever goes wrong on the way."""

import json
import shutil

import pytest
import torch
from PIL import Image

import reference_models
from bench.schema import ClipSpec
from reference_models import cli
from reference_models.backbones import build
from reference_models.checkpoints.config import About
from reference_models.checkpoints.save import save
from reference_models.counts import count
from reference_models.publish import LOG, PICTURE, publish
from tests.hub_server.client import connect
from tests.hub_server.server import READER, running_hub
from tests.hub_server.store import File

ABOUT = About(
    name="Clip order (narrow)",
    architecture="shufflenet_v1_x0_25",
    pretext="clip order prediction",
    pretrained_on=("motion",),
    recipe="mini-vcop 0123456789ab",
    licence="Apache-2.0",
)
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the library's way to send a file

OURS = {"model.safetensors", "config.json", "README.md"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        trunk = build(ABOUT.architecture)
    return save(tmp_path_factory.mktemp("checkpoints") / "narrow", trunk, ABOUT, story="It was trained.")


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "checkpoint")


@pytest.fixture
def logged(folder):
    """With the clips and the log of its training."""
    config = json.loads((folder / "config.json").read_text())
    clip = ClipSpec(resize=(128, 171), size=112).model_dump(mode="json")
    (folder / "config.json").write_text(json.dumps({**config, "clip": clip}))
    rows = [{"step": n, "loss": 1.8 - n / 30, "accuracy": n / 40, "rate": 0.1} for n in range(1, 41)]
    (folder / LOG).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


@pytest.fixture
def hub():
    with running_hub() as running:
        yield running


@pytest.fixture(autouse=True)
def pauses(hub, monkeypatch, tmp_path):
    return connect(hub, monkeypatch, tmp_path)


def head(hub):
    there = hub.store.repositories["models", "org/one"]
    return there.commits[there.refs["main"]]


def commits(hub):
    """Of the repository, the Hub's own first one not counted."""
    return len(hub.store.repositories["models", "org/one"].commits) - 1


def refused(folder, **settings):
    with pytest.raises(ValueError, match=r"\.$") as caught:
        publish(folder, "org/one", **settings)
    return str(caught.value)


def test_a_checkpoint_stands_there_in_one_commit_and_loads_as_it_was_saved(hub, folder):
    published = publish(folder, "org/one")
    assert commits(hub) == 1
    assert published.commit == head(hub).oid
    assert head(hub).parent == next(iter(hub.store.repositories["models", "org/one"].commits))
    assert set(head(hub).tree) == OURS | {".gitattributes"}
    assert head(hub).tree["model.safetensors"].large
    loaded = reference_models.load(published.address)
    assert loaded.encoder.weight_hash == reference_models.load(folder).encoder.weight_hash
    assert loaded.config.name == ABOUT.name


def test_the_same_bytes_make_no_second_commit(hub, folder):
    first = publish(folder, "org/one")
    sent = hub.count("POST", "/commit/")
    second = publish(folder, "org/one")
    assert (second.commit, second.changed) == (first.commit, ())
    assert hub.count("POST", "/commit/") == sent == 1


def test_the_card_says_where_it_stands_and_shows_how_it_learnt(hub, logged, tmp_path):
    publish(logged, "org/one")
    card = head(hub).tree["README.md"].content.decode()
    front = card.split("---\n")[1]
    for line in ('license: "apache-2.0"', 'library_name: "reelproof"', 'pipeline_tag: "video-classification"'):
        assert f"{line}\n" in front
    assert 'datasets: ["reelproof-motion"]\n' in front
    for words in (
        'load("hf://org/one")',
        "submit hf://org/one",
        f"]({PICTURE})",
        "It was trained.",
        "@article{kumar2025",
        f"costs {count(ABOUT.architecture).gflops:.3g} GFLOPs",
    ):
        assert words in card
    assert "path/to/this/folder" not in card
    (tmp_path / PICTURE).write_bytes(head(hub).tree[PICTURE].content)
    with Image.open(tmp_path / PICTURE) as picture:
        assert (picture.format, picture.size) == ("PNG", (720, 220))


def test_what_the_author_wrote_into_the_card_stays(hub, folder):
    card = folder / "README.md"
    card.write_text(card.read_text() + "\nThanks to my cat.\n")
    publish(folder, "org/one")
    assert "Thanks to my cat." in head(hub).tree["README.md"].content.decode()


def test_another_picture_of_the_same_log_is_no_change(hub, logged, monkeypatch):
    first = publish(logged, "org/one")
    monkeypatch.setattr("reference_models.publish.curves", lambda _log: b"drawn by another version of Pillow")
    assert publish(logged, "org/one").commit == first.commit


def test_new_weights_change_what_they_must_and_leave_what_is_not_ours(hub, logged):
    publish(logged, "org/one")
    there = hub.store.repositories["models", "org/one"]
    there.commit("main", head(hub).oid, "mine", {**head(hub).tree, "notes.md": File(b"hello")})
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        save(logged, build(ABOUT.architecture), ABOUT)
    published = publish(logged, "org/one")
    assert set(published.changed) == OURS | {LOG, PICTURE}
    assert set(head(hub).tree) == OURS | {"notes.md", ".gitattributes"}
    assert PICTURE not in head(hub).tree["README.md"].content.decode()


def test_somebody_elses_commit_meanwhile_is_built_upon(hub, folder):
    def meanwhile():
        there = hub.store.repositories["models", "org/one"]
        there.commit("main", head(hub).oid, "theirs", {**head(hub).tree, "notes.md": File(b"hello")})

    hub.fail(method="POST", path="/commit/main$", meanwhile=meanwhile)
    published = publish(folder, "org/one")
    assert published.commit == head(hub).oid
    assert set(head(hub).tree) == OURS | {".gitattributes", "notes.md"}
    assert hub.count("PUT", "/large/") == 1


def test_somebody_elses_card_meanwhile_is_not_overwritten(hub, folder):
    def meanwhile():
        there = hub.store.repositories["models", "org/one"]
        there.commit("main", head(hub).oid, "theirs", {**head(hub).tree, "README.md": File(b"---\n---\ntheirs")})

    hub.fail(method="POST", path="/commit/main$", meanwhile=meanwhile)
    words = refused(folder)
    assert "Somebody changed README.md" in words
    assert head(hub).oid in words
    assert set(head(hub).tree) == {".gitattributes", "README.md"}


def test_a_server_that_dies_while_it_is_sent_to_keeps_nothing_and_the_next_run_does_it(hub, folder):
    hub.fail(method="PUT", path="^/large/", die_after=100_000)
    words = refused(folder)
    assert "cannot be reached, or broke off" in words
    hub.start()
    assert (commits(hub), hub.store.large) == (0, {})
    assert publish(folder, "org/one").commit == head(hub).oid
    assert commits(hub) == 1


def test_a_commit_whose_answer_is_lost_is_found_and_not_made_twice(hub, folder):
    hub.fail(method="POST", path="/commit/main$", answer_lost=True)
    assert publish(folder, "org/one").commit == head(hub).oid
    assert commits(hub) == 1


@pytest.mark.parametrize("path", ["^/large/[0-9a-f]+$", "/objects/batch$", "/preupload/"])
def test_the_library_tries_an_upload_again(hub, folder, pauses, path):
    method = "PUT" if path.startswith("^/large") else "POST"
    hub.fail(method=method, path=path, status=503)
    hub.fail(method=method, path=path, status=429, headers={"Retry-After": "4"})
    assert publish(folder, "org/one").commit == head(hub).oid
    assert pauses == [1.0, 5.0]  # the library adds a second to what it is told


@pytest.mark.parametrize("path", ["/repos/create$", "/commit/main$"])
def test_what_the_library_asks_once_is_asked_again_when_the_hub_says(hub, folder, pauses, path):
    hub.fail(method="POST", path=path, status=429, headers={"Retry-After": "4"})
    assert publish(folder, "org/one").commit == head(hub).oid
    assert (commits(hub), pauses) == (1, [4.0])


def test_a_hub_that_refuses_every_commit_keeps_nothing(hub, folder):
    hub.fail(method="POST", path="/commit/main$", status=503, times=1000)
    assert "HTTP 503" in refused(folder)
    assert commits(hub) == 0


def test_a_hub_without_xet_storage_is_told_with_the_way_round_it(hub, folder, monkeypatch):
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    assert "Set HF_HUB_DISABLE_XET=1" in refused(folder)
    assert commits(hub) == 0


@pytest.mark.parametrize(
    ("token", "words"),
    [("", "wants a valid token"), ("hf_invented", "wants a valid token"), (READER, "may not do this")],
)
def test_who_may_not_write_is_told_so_and_nothing_is_made(hub, folder, monkeypatch, token, words):
    monkeypatch.setenv("HF_TOKEN", token)
    assert words in refused(folder)
    assert hub.store.repositories == {}


def test_a_new_repository_is_private_if_asked_and_a_public_one_does_not_become_so(hub, folder):
    publish(folder, "org/one", private=True)
    assert hub.store.repositories["models", "org/one"].private
    hub.store.repositories["models", "org/one"].private = False
    assert "is there and public" in refused(folder, private=True)


def test_a_damaged_checkpoint_is_refused_before_anything_is_asked(hub, folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "weight_hash": "0" * 64}))
    assert "changed after the checkpoint was saved" in refused(folder)
    assert hub.seen == []


@pytest.mark.parametrize("repo", ["one", "org/one@main", "org/one/two"])
def test_a_name_that_is_none_is_refused(folder, repo):
    with pytest.raises(ValueError, match="ORG/NAME"):
        publish(folder, repo)


def test_the_command_prints_the_commit_and_what_comes_next(hub, folder, capsys):
    cli.publish(folder, "org/one")
    said = capsys.readouterr().out
    assert f"Published hf://org/one@{head(hub).oid}" in said
    assert f"reelproof submit hf://org/one@{head(hub).oid}" in said
    cli.publish(folder, "org/one")
    assert f"hf://org/one@{head(hub).oid} holds these bytes already" in capsys.readouterr().out
    cli.publish(folder, "org/one", as_json=True)
    assert json.loads(capsys.readouterr().out)["commit"] == head(hub).oid


def test_a_dry_run_shows_the_files_and_asks_nothing(hub, folder, capsys):
    cli.publish(folder, "org/one", dry_run=True)
    said = capsys.readouterr().out
    assert all(name in said for name in OURS)
    assert "Nothing was sent" in said
    assert hub.seen == []
