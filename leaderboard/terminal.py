"""The board in a terminal: the same view as the page's, as a table and as plain rows."""

from rich import box
from rich.table import Table
from rich.text import Text

from leaderboard.views import AnchorLine, BoardView, Column, Estimate, Row

MINUS = "−"


NARROW = 110
"""Below this width relative decrease and cost are left out, so that every interval stays readable."""

SHORT = {"noise": "noise", "decrease": "decrease", "retrieval": "R@1", "distillation": "taught", "cost": "GFLOPs"}


def terminal_table(view: BoardView, width: int = NARROW) -> Table:
    """Ranked rows first, then incomplete ones, then the anchors that show the scale.

    Args:
        view: The board.
        width: Columns of the terminal.
    """
    state = f", {view.suite.status}" if view.suite is not None else ""
    title = f"{view.asked}{state}: {view.dataset}" if view.dataset else f"{view.asked}{state}"
    table = Table(title=title, box=box.SIMPLE_HEAVY, padding=(0, 1), collapse_padding=True, pad_edge=False)
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("model", overflow="fold", min_width=12)
    columns = [column for column in view.columns if width >= NARROW or column.ranks]
    for column in columns:
        table.add_column(SHORT.get(column.key, column.title.lower()), justify="right", no_wrap=True)
    for row in view.rows:
        table.add_row(_rank(row, view), _name(row), *(_cell(row.cells.get(c.key), c) for c in columns))
    if view.incomplete:
        table.add_section()
    for row in view.incomplete:
        table.add_row("–", _name(row), *(_cell(row.cells.get(c.key), c) for c in columns))
    table.add_section()
    for anchor in view.anchors:
        for line in anchor.lines:
            cells = [_cell(line.cells.get(column.key), column) for column in columns]
            words = Text("Supervised" if anchor.kind == "supervised" else "Random initialisation", style="dim")
            table.add_row("anchor", words.append(f"\n{line.architecture}"), *cells, style="dim")
    chances = ["" if c.chance is None or c.kind != "whisker" else f"{c.chance:.1f}" for c in columns]
    if any(chances):
        table.add_row("anchor", "Chance", *chances, style="dim")
    return table


def plain_rows(view: BoardView) -> list[dict[str, object]]:
    """Rows for programs: every row with its scores in points, incomplete rows and anchors said to be such."""
    found: list[dict[str, object]] = []
    for standing, rows in (("ranked", view.rows), ("incomplete", view.incomplete)):
        for row in rows:
            found.append({**_where(view), "standing": standing, **row.model_dump(mode="json")})
    for anchor in view.anchors:
        for line in anchor.lines:
            found.append({**_where(view), "standing": "anchor", "anchor": anchor.kind, **_line(line)})
    return found


def _where(view: BoardView) -> dict[str, object]:
    return {
        "suite": view.asked,
        "suite_hash": view.suite.hash if view.suite is not None else "",
        "dataset": view.dataset,
        "track": view.track,
    }


def _line(line: AnchorLine) -> dict[str, object]:
    return line.model_dump(mode="json")


def _rank(row: Row, view: BoardView) -> str:
    first = next((column.key for column in view.columns if column.ranks), None)
    rank = row.ranks.get(first) if first is not None else None
    if rank is None:
        return "–"
    return str(rank.low) if rank.low == rank.high else f"{rank.low}–{rank.high}"


def _name(row: Row) -> Text:
    """Text, so that no name is taken for markup."""
    words = Text(row.name, style="bold")
    if row.verified:
        words.append(" ✓")
    under = " · ".join(word for word in (row.architecture, row.pretext) if word)
    return words.append(f"\n{under}", style="dim not bold")


def _cell(score: Estimate | None, column: Column) -> Text:
    if score is None:
        return Text("–")
    signed = column.kind == "gain"
    words = Text(_number(score.value, signed) if column.key != "cost" else f"{score.value:.2f}")
    if score.low is not None and score.high is not None and column.kind != "plain":
        words.append(f"\n{_number(score.low, signed)}…{_number(score.high, signed)}", style="dim")
    return words


def _number(value: float, signed: bool) -> str:
    if signed and abs(value) < 0.05:
        return "0.0"
    return (f"{value:+.1f}" if signed else f"{value:.1f}").replace("-", MINUS)
