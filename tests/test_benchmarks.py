"""Every benchmark says how it is called, and is called alike."""

import ast
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).resolve().parent.parent / "benchmarks").glob("*.py"))
PROGRAMS = [path for path in FILES if "__main__" in path.read_text()]
"""As `make bench` finds them; the others are shared."""


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_benchmark_has_a_quick_run_and_json_and_names_its_command(path):
    explained = ast.get_docstring(ast.parse(path.read_text()))
    assert f"    python -m benchmarks.{path.stem} [--quick] [--json]" in explained
    assert all(f'parser.add_argument("--{name}", action="store_true"' in path.read_text() for name in ("quick", "json"))


def test_what_is_no_benchmark_is_shared_by_several():
    for shared in set(FILES) - set(PROGRAMS):
        users = [path for path in PROGRAMS if f"from benchmarks.{shared.stem} import" in path.read_text()]
        assert len(users) > 1, shared.stem
