"""What docs/corruptions.md shows, works."""

import re
from pathlib import Path

from corruptions.definition import FAMILIES, TABLES

PAGE = (Path(__file__).parents[2] / "docs" / "corruptions.md").read_text()


def test_the_examples_run(capsys):
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, namespace)
    assert namespace["noisy"].shape == namespace["clip"].shape
    assert "promises kept" in capsys.readouterr().out
    names = [(family, severity) for family, severity, _ in namespace["conditions"](namespace["clip"][:1], "v")]
    assert len(set(names)) == 20


def test_the_constants_are_those_of_the_tables():
    for name, table in TABLES.items():
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{name}`"))
        cells = [[float(c) for c in cell.split()] for cell in row.split("|")[2:-1]]
        assert cells == [list(table.constants[family]) for family in FAMILIES]
