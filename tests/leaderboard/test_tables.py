"""The board as data: what is ranked, what shows the scale, what a row is compared with."""

import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from bench.results import StoredResult
from leaderboard.ranking import Ranks
from leaderboard.tables import Asked, board, gain_scale, scale
from leaderboard.terminal import plain_rows, terminal_table
from leaderboard.views import BoardView
from submissions.schema import Entry, Event, Status, Submission
from tests.leaderboard.invented import START, Skill, invent


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[StoredResult]:
    folder = tmp_path_factory.mktemp("results")
    made = [
        ("Random initialisation", Skill(0.3, 0.2, 0.2), {"anchor": "random"}),
        ("Supervised", Skill(0.9, 0.8, 0.7), {"anchor": "supervised"}),
        ("good", Skill(0.85, 0.6, 0.5, taught=0.6), {}),
        ("as good", Skill(0.84, 0.5, 0.4), {}),
        ("poor", Skill(0.35, 0.3, 0.3), {}),
        ("unfinished", Skill(0.6), {"leave_out": ("distillation",)}),
    ]
    return [invent(folder, name, skill=can, number=n, **more) for n, (name, can, more) in enumerate(made)]


RANKS = Ranks()
"""Remembers what it has read, as the server's does."""


def shown(stored: list[StoredResult], events: list[Event] | None = None, **asked: str) -> BoardView:
    return board(stored, (), events or [], Asked(**asked), RANKS)


def test_anchors_and_incomplete_rows_are_shown_and_never_ranked(stored: list[StoredResult]) -> None:
    view = shown(stored)
    assert [row.name for row in view.rows] == ["good", "as good", "poor"]
    assert [row.name for row in view.incomplete] == ["unfinished"]
    assert not view.incomplete[0].ranks
    assert {anchor.kind: len(anchor.lines) for anchor in view.anchors} == {"supervised": 1, "random": 1}


def test_rows_that_cannot_be_told_apart_share_the_first_place_and_the_poor_one_is_last(
    stored: list[StoredResult],
) -> None:
    ranks = {row.name: (row.ranks["noise"].low, row.ranks["noise"].high) for row in shown(stored).rows}
    assert ranks == {"good": (1, 2), "as good": (1, 2), "poor": (3, 3)}


def test_a_single_complete_row_has_no_rank(stored: list[StoredResult]) -> None:
    view = shown([one for one in stored if one.result.card.name in ("good", "Supervised")])
    assert [row.ranks for row in view.rows] == [{}]


def test_scores_are_points_and_stand_between_the_anchors_of_their_architecture(stored: list[StoredResult]) -> None:
    row = shown(stored).rows[0]
    result = next(one.result for one in stored if one.result.card.name == "good")
    score = result.find("finetune", "appearance", "top1")
    assert score is not None
    assert score.value is not None
    assert row.cells["finetune"].value == pytest.approx(100 * score.value, abs=1e-3)
    assert row.cells["finetune"].seeds == 3
    bed = row.beds["finetune"]
    assert bed.random is not None
    assert bed.supervised is not None
    assert bed.random < row.cells["finetune"].value < bed.supervised


def test_an_architecture_without_anchors_has_no_bed(stored: list[StoredResult], tmp_path) -> None:
    other = invent(tmp_path, "other", architecture="c3d", number=50)
    row = next(row for row in shown([*stored, other]).rows if row.name == "other")
    assert (row.beds["noise"].random, row.beds["noise"].supervised) == (None, None)


def test_of_one_encoder_the_newest_result_counts(tmp_path) -> None:
    first = invent(tmp_path, "again", number=1, skill=Skill(0.3))
    second = invent(tmp_path, "again", number=2, skill=Skill(0.9))
    view = shown([first, second])
    assert [row.id for row in view.rows] == [second.result.result_id]
    assert view.results == 2


def test_a_suite_that_changed_keeps_its_earlier_board(tmp_path) -> None:
    old = invent(tmp_path, "old", number=1, suite_state="first")
    new = invent(tmp_path, "new", number=2, suite_state="second")
    now = shown([old, new])
    assert [row.name for row in now.rows] == ["new"]
    assert [choice.key for choice in now.suites] == ["mini-v1", f"mini-v1@{old.result.suite_hash[:12]}"]
    before = shown([old, new], suite=now.suites[1].key)
    assert [row.name for row in before.rows] == ["old"]


def test_a_board_is_one_data_set_and_never_an_average_of_two(stored: list[StoredResult]) -> None:
    appearance, motion = (shown(stored, dataset=name) for name in ("appearance", "motion"))
    assert appearance.datasets == ("appearance", "motion")
    assert appearance.rows[0].cells != motion.rows[0].cells
    assert shown(stored, dataset="no such").dataset == "appearance"


def test_an_unknown_suite_is_an_empty_board_that_says_what_was_asked(stored: list[StoredResult]) -> None:
    view = shown(stored, suite="diving48-v1")
    assert (view.suite, view.asked, view.rows) == (None, "diving48-v1", ())


def test_no_result_at_all_is_a_board_with_all_its_columns() -> None:
    view = shown([])
    assert [column.key for column in view.columns] == [
        "noise",
        "decrease",
        "finetune",
        "probe",
        "retrieval",
        "distillation",
        "cost",
    ]


def test_own_videos_are_a_suite_of_their_own_behind_the_public_ones(tmp_path) -> None:
    public = invent(tmp_path, "public", number=1)
    own = invent(tmp_path, "mine", number=2, suite="local:0123456789ab", datasets={"folder": 8})
    view = shown([public, own])
    assert [(choice.name, choice.local) for choice in view.suites] == [("mini-v1", False), ("local:0123456789ab", True)]
    assert view.asked == "mini-v1"


@pytest.mark.parametrize(
    ("words", "verified"),
    [("MATCH: all equal", True), ("WITHIN NOISE: 3 differ", True), ("DRIFT: outside", False), ("MISMATCH: no", False)],
)
def test_a_row_is_verified_by_its_last_verdict(stored: list[StoredResult], words: str, verified: bool) -> None:
    result = next(one.result for one in stored if one.result.card.name == "good")

    def event(said: str) -> Event:
        return Event(time=START, event="verdict", encoder_hash=result.card.encoder_hash, suite=result.suite, words=said)

    view = shown(stored, [event("MISMATCH: first"), event(words)])
    row = next(row for row in view.rows if row.name == "good")
    assert (row.verified, row.verdict) == (verified, words.split(":")[0])
    assert not any(other.verdict for other in view.rows if other.name != "good")


def test_what_is_kept_under_noise_is_a_share_of_clean_accuracy(stored: list[StoredResult]) -> None:
    row = shown(stored).rows[0]
    assert len(row.kept) == 4
    assert all(len(levels) == 5 for levels in row.kept)
    gaussian = row.kept[0]
    assert gaussian[0] is not None
    assert gaussian[4] is not None
    assert 100 >= gaussian[0] > gaussian[4] > 0


@pytest.mark.parametrize(
    ("values", "high"), [([3.0], 10.0), ([52.5, 60.0], 60.0), ([60.1], 70.0), ([99.0], 100.0), ([], 100.0)]
)
def test_a_scale_ends_at_the_next_ten_above_everything(values: list[float], high: float) -> None:
    assert scale(values) == (0.0, high, (0.0, high / 2, high))


def test_a_scale_of_gains_holds_zero_and_everything() -> None:
    low, high, ticks = gain_scale([-3.0, 11.5])
    assert (low, high) == (-5.0, 15.0)
    assert ticks == (0.0, 10.0)


def test_the_state_changes_with_the_content_and_only_then(stored: list[StoredResult]) -> None:
    assert shown(stored).state == shown(list(stored)).state
    assert shown(stored).state != shown(stored[:-1]).state


def test_a_view_is_plain_json_and_comes_back_as_it_was(stored: list[StoredResult]) -> None:
    again = BoardView.model_validate_json(shown(stored).model_dump_json())
    assert again == shown(stored)


def test_the_terminal_shows_every_row_and_takes_no_word_for_markup(tmp_path) -> None:
    rows = [
        invent(tmp_path, "one", number=1, card={"architecture": "[bold]odd[/bold]"}),
        invent(tmp_path, "other", number=2, skill=Skill(0.2)),
    ]
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(terminal_table(shown(rows)))
    text = console.export_text()
    for words in ("one", "[bold]odd[/bold]", "other", "Chance", "12.5", "noise", "GFLOPs"):
        assert words in text


def test_plain_rows_say_how_each_row_stands(stored: list[StoredResult]) -> None:
    rows = json.loads(json.dumps(plain_rows(shown(stored))))
    standing = {row.get("name") or row["anchor"]: row["standing"] for row in rows}
    assert standing == {
        "good": "ranked",
        "as good": "ranked",
        "poor": "ranked",
        "unfinished": "incomplete",
        "supervised": "anchor",
        "random": "anchor",
    }


def test_a_suite_that_is_only_waited_for_has_no_choice_yet(stored: list[StoredResult]) -> None:
    now = datetime.now(UTC)
    entry = Entry(
        id=1,
        submission=Submission(name="soon", architecture="c3d", suite="mini-v1"),
        status=Status.QUEUED,
        attempts=0,
        note="",
        created=now,
        changed=now,
        result_id=None,
        heartbeat=None,
    )
    view = board([], [entry], (), Asked(), Ranks())
    assert (view.suites, view.asked) == ((), "mini-v1")
