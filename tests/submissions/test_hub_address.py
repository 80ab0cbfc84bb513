"""An address on the Hub in the place of a checkpoint folder."""

from pathlib import Path

import pytest
import torch

from bench.home import Home
from reference_models.backbones import build
from reference_models.checkpoints.config import About
from reference_models.checkpoints.save import save
from submissions import cli
from submissions.checkpoint import arrive
from submissions.database import connect as open_database
from submissions.intake import keep
from submissions.ledger import Ledger
from submissions.queue import Queue
from tests.hub_server.client import connect
from tests.hub_server.server import running_hub
from tests.hub_server.store import File

NAME = "shufflenet_v1_x0_25"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        folder = save(tmp_path_factory.mktemp("saved") / "narrow", build(NAME), About(name="Narrow", architecture=NAME))
    return {path.name: File(path.read_bytes(), large=path.suffix == ".safetensors") for path in folder.iterdir()}


@pytest.fixture
def published(files, monkeypatch, tmp_path):
    """org/one on a running Hub; the address of its only commit."""
    with running_hub() as hub:
        connect(hub, monkeypatch, tmp_path)
        there = hub.store.create("models", "org/one")
        yield f"hf://org/one@{there.commit('main', there.refs['main'], 'first', files).oid}"


def test_a_bare_address_is_submitted_and_its_commit_is_printed_and_recorded(published, files, capsys):
    cli.submit(Path("hf://org/one"))
    assert published in capsys.readouterr().err
    engine = open_database(Home.default().database_url)
    (event,) = Ledger(engine).events()
    (entry,) = Queue(engine).entries()
    engine.dispose()
    assert published in event.words
    kept = Path(entry.submission.checkpoint)
    assert (kept / "model.safetensors").read_bytes() == files["model.safetensors"].content


def test_the_kept_copy_knows_where_it_came_from_and_says_so_in_its_load_report(published):
    loaded, kept = keep(Path(published), Home.default())
    assert loaded.report.recognised.endswith(f", from {published}")
    assert arrive(kept).report.recognised.endswith(f", from {published}")


def test_a_folder_that_only_says_so_is_not_believed(published, tmp_path):
    folder = tmp_path / "mine"
    fetched = keep(Path(published), Home.default())[1]
    folder.mkdir()
    for path in fetched.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    other = Home(tmp_path / "other home")
    assert "from hf://" not in arrive(keep(folder, other)[1]).report.recognised


def test_a_part_of_an_address_is_refused_before_anything_is_kept(published, tmp_path):
    with pytest.raises(ValueError, match="hf://ORG/NAME"):
        keep(Path("hf://org"), Home.default())
    assert not (tmp_path / "home" / "weights").exists()
