"""The page's process: light, on its own, and clear about a port that is taken."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from leaderboard.cli import board, port_is_free
from tests.leaderboard.invented import invent

OPEN_EVERYTHING = """
import json, sys
from pathlib import Path
from fastapi.testclient import TestClient
from bench.home import Home
from leaderboard.app import build_app
from leaderboard.source import HomeSource

visitor = TestClient(build_app(HomeSource(Home(Path(sys.argv[1])))))
board = visitor.get("/view/board").json()
row = board["rows"][0]["id"]
pages = ["/", f"/row?id={row}", "/queue", "/notes", "/view/board", "/view/live", f"/view/row?id={row}"]
codes = {page.split("?")[0]: visitor.get(page).status_code for page in pages}
codes["missing"] = visitor.get("/view/row?id=none").status_code
tag = visitor.get("/view/board").headers["etag"]
codes["again"] = visitor.get("/view/board", headers={"if-none-match": tag}).status_code
(Path(sys.argv[1]) / "results" / "broken").mkdir()
broken = visitor.get("/view/board")
codes["broken"] = broken.status_code
heavy = sorted(name for name in ("torch", "torchvision", "timm", "av", "onnxruntime") if name in sys.modules)
print(json.dumps({"codes": codes, "heavy": heavy, "broken": broken.json()["error"]}))
"""


def test_every_page_opens_without_torch_or_a_decoder_and_a_broken_result_is_said(tmp_path: Path) -> None:
    invent(tmp_path / "results", "one", grams=True)
    done = subprocess.run(
        [sys.executable, "-c", OPEN_EVERYTHING, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["heavy"] == []
    assert said["codes"] == {
        "/": 200,
        "/row": 200,
        "/queue": 200,
        "/notes": 200,
        "/view/board": 200,
        "/view/live": 200,
        "/view/row": 200,
        "missing": 404,
        "again": 304,
        "broken": 500,
    }
    assert "broken holds no result.json" in said["broken"]


def test_the_board_is_a_table_or_rows_in_the_terminal(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("REELPROOF_HOME", str(tmp_path))
    invent(tmp_path / "results", "one", number=1)
    invent(tmp_path / "results", "two", number=2)
    board(as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["dataset"], row["standing"]) for row in rows] == [
        (name, dataset, "ranked")
        for dataset in ("appearance", "motion")
        for name in sorted(("one", "two"), key=lambda name: -_noise(rows, name, dataset))
    ]
    board(dataset="motion")
    assert "mini-v1, draft: motion" in capsys.readouterr().out


def _noise(rows: list[dict], name: str, dataset: str) -> float:
    return next(row["cells"]["noise"]["value"] for row in rows if (row["name"], row["dataset"]) == (name, dataset))


def test_a_board_without_results_says_how_to_make_one(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("REELPROOF_HOME", str(tmp_path))
    board()
    assert "reelproof submit CHECKPOINT" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"no result under ucf101-v1\. There are results under: none yet"):
        board(suite="ucf101-v1")


def test_a_port_in_use_is_said_with_the_next_step() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ValueError, match=rf"cannot listen on 127\.0\.0\.1:{port}.* --port {port + 1}"):
            port_is_free("127.0.0.1", port)


def test_a_number_that_is_no_port_is_refused() -> None:
    with pytest.raises(ValueError, match="no port"):
        port_is_free("127.0.0.1", 99999)
