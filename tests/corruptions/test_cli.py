"""What the commands print."""

import json

import pytest
from typer.testing import CliRunner

from corruptions.cli import app
from corruptions.definition import Definition

HERE = "tests.corruptions.authors_module"


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_list_as_json_has_every_definition_once_and_nothing_else():
    rows = json.loads(run("list", "--json").stdout)
    names = [name for row in rows for name in row["definitions"]]
    assert len(rows) == 16
    assert len(set(names)) == 64
    assert all(Definition.parse(name).name == name for name in names)
    assert {"family", "table", "constants", "formula", "source"} <= set(rows[0])


def test_list_shows_constants_positions_and_sources():
    shown = run("list").stdout
    for part in (
        "ucf101-p",
        "250",
        "Poisson(c x) / c",
        "make_cifar_c.py",
        "source, input",
        "gaussian/ucf101-p@source/v1",
    ):
        assert part in shown


def test_check_of_a_good_corruption_ends_well():
    result = run("check", f"{HERE}:posterise")
    assert result.exit_code == 0
    assert "promises kept" in result.stdout


def test_check_of_a_bad_one_ends_badly_and_says_what_to_fix():
    result = run("check", f"{HERE}:hash_seeded")
    assert result.exit_code == 1
    assert "not hash()" in result.stdout
    findings = json.loads(run("check", f"{HERE}:hash_seeded", "--json").stdout)
    assert [f["kept"] for f in findings].count(False) == 1


@pytest.mark.parametrize("target", ["nowhere:thing", "fog/ucf101-p@source/v1"])
def test_check_of_nothing_is_refused(target):
    result = run("check", target)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
