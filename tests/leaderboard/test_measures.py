"""Scores as the page shows them."""

from bench.schema import Score
from leaderboard.measures import estimate


def score(metric: str, value: float | None, low: float | None, high: float | None) -> Score:
    return Score(
        stage="robustness", dataset="motion", metric=metric, value=value, low=low, high=high, n=120, clusters=30
    )


def test_shares_are_shown_in_points() -> None:
    shown = estimate(score("area", 0.625, 0.5, 0.75))
    assert shown is not None
    assert (shown.value, shown.low, shown.high) == (62.5, 50, 75)


def test_a_break_point_stays_a_severity() -> None:
    shown = estimate(score("break_point", 2.46, 1.9, None))
    assert shown is not None
    assert (shown.value, shown.low, shown.high) == (2.46, 1.9, None)


def test_what_has_no_value_is_not_shown() -> None:
    assert estimate(None) is None
    assert estimate(score("break_point", None, None, None)) is None
