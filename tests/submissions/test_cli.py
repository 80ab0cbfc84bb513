"""What the terminal shows of a result."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from bench.schema import CLEAN, Card, Condition, Environment, Normalisation, Result, Score
from submissions import cli

NOISY = Condition(corruption="gaussian/ucf101-p@source/v1", severity=3)


def score(metric, value, low=None, high=None, *, stage="robustness", condition=CLEAN, note=""):
    return Score(
        stage=stage,
        dataset="motion",
        metric=metric,
        model="probe",
        condition=condition,
        value=value,
        low=low,
        high=high,
        n=120,
        clusters=30,
        note=note,
    )


@pytest.fixture
def shown(monkeypatch):
    """Print these scores into a wide terminal; returns its lines."""

    def lines(*scores):
        result = Result(
            result_id="one",
            card=Card(
                name="one",
                architecture="net",
                weight_hash="1" * 64,
                encoder_hash="1" * 64,
                normalisation=Normalisation(),
                feature_dim=8,
                parameters=100,
            ),
            suite="mini-v1",
            suite_hash="2" * 64,
            suite_status="draft",
            created=datetime(2030, 1, 1, tzinfo=UTC),
            datasets=(),
            stages=(),
            scores=scores,
            environment=Environment(python="", platform="", cpu="", threads=1, libraries={}, code_version=""),
            postable=True,
        )
        console = Console(width=200, record=True)
        monkeypatch.setattr(cli, "Console", lambda: console)
        cli._print_result(result.model_dump(mode="json"), Path("folder"))
        return [line.replace("│", " ").split() for line in console.export_text().splitlines() if "motion" in line]

    return lines


def test_shares_are_shown_in_points_and_a_break_point_as_a_severity(shown):
    top1, breaks = shown(score("top1", 0.625, 0.5, 0.75), score("break_point", 2.46, 1.9, 3.04))
    assert top1[2:8] == ["top1", "probe", "62.5", "50.0", "to", "75.0"]
    assert breaks[2:8] == ["break_point", "probe", "2.5", "1.9", "to", "3.0"]


def test_an_interval_without_an_upper_end_says_so_and_an_absent_score_says_why(shown):
    breaks, none = shown(score("break_point", 4.5, 3.8), score("break_point", None, note="Never lost."))
    assert breaks[4:8] == ["4.5", "3.8", "and", "more"]
    assert none[4:6] == ["Never", "lost."]


def test_of_robustness_only_the_five_summaries_are_shown(shown):
    hidden = ("noise_mean@1", "noise_mean@5", "relative_decrease@1", "relative_decrease@1-3")
    kept = ("top1", "noise_mean", "relative_decrease@1-5", "area", "break_point")
    lines = shown(*(score(metric, 0.5) for metric in (*hidden, *kept)), score("top1", 0.4, condition=NOISY))
    assert [line[2] for line in lines] == list(kept)
    (other,) = shown(score("gain_over_alone", 0.01, stage="distillation"))
    assert other[1:3] == ["motion", "gain_over_alone"]


@pytest.mark.parametrize(("words", "share"), [("5%", 0.05), ("0.25", 0.25), ("100%", 1.0)])
def test_a_share_is_read_as_it_is_written(words, share):
    assert cli._share(words) == pytest.approx(share)


@pytest.mark.parametrize("words", ["0%", "five", "120%", "-1", "nan"])
def test_what_is_no_share_is_refused_with_an_example(words):
    with pytest.raises(ValueError, match=r"a share of the test videos is expected, such as 5%"):
        cli._share(words)
