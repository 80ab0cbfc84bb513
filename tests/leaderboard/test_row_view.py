"""One row in full."""

from datetime import timedelta

import numpy as np
import pytest

from bench.results import StoredResult
from leaderboard.layers import groups
from leaderboard.ranking import Ranks
from leaderboard.row_view import row_view
from leaderboard.views import RowView
from submissions.schema import Event
from tests.leaderboard.invented import LAYERS, START, Skill, invent


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[StoredResult]:
    folder = tmp_path_factory.mktemp("results")
    return [
        invent(folder, "Random initialisation", skill=Skill(0.3, 0.2), anchor="random", number=1),
        invent(folder, "Supervised", skill=Skill(0.9, 0.8), anchor="supervised", number=2),
        invent(folder, "mine", skill=Skill(0.7, 0.6, steepness=0.08), number=3, grams=True),
        invent(folder, "other", skill=Skill(0.5), number=4, submission_id=None),
    ]


@pytest.fixture(scope="module")
def ranks() -> Ranks:
    return Ranks()


def shown(stored: list[StoredResult], name: str, ranks: Ranks, events: list[Event] | None = None) -> RowView:
    result = next(one.result for one in stored if one.result.card.name == name)
    view = row_view(stored, events or [], result.result_id, "motion", ranks)
    assert view is not None
    return view


def test_an_unknown_result_has_no_page(stored: list[StoredResult], ranks: Ranks) -> None:
    assert row_view(stored, [], "none", "motion", ranks) is None


def test_every_noise_has_the_curves_of_both_models_and_of_the_anchors(stored: list[StoredResult], ranks: Ranks) -> None:
    view = shown(stored, "mine", ranks)
    assert [panel.noise for panel in view.panels] == ["gaussian", "shot", "impulse", "speckle"]
    assert view.panels[0].corruption == "gaussian/ucf101-p@source/v1"
    for panel in view.panels:
        assert {curve.model for curve in panel.curves} == {"finetuned", "probe", "supervised", "random"}
        assert all([point.severity for point in curve.points] == list(range(6)) for curve in panel.curves)


def test_a_break_point_is_where_half_of_the_way_to_chance_is_lost(stored: list[StoredResult], ranks: Ranks) -> None:
    """Impulse takes 12 % of what is above chance a level, so half is gone after 4.2; Gaussian never takes it."""
    view = shown(stored, "mine", ranks)
    breaks = {panel.noise: panel.curves[0].break_point for panel in view.panels}
    assert breaks["impulse"] == pytest.approx(4.2, abs=0.5)
    assert breaks["gaussian"] is None


def test_the_heat_map_means_are_means_of_its_cells(stored: list[StoredResult], ranks: Ranks) -> None:
    heat = shown(stored, "mine", ranks).heats[0]
    cells = np.array([row.values for row in heat.rows], dtype=float)
    np.testing.assert_allclose([row.mean for row in heat.rows], cells.mean(axis=1))
    np.testing.assert_allclose(heat.means, cells.mean(axis=0))
    kept = np.array([row.kept for row in heat.rows], dtype=float)
    np.testing.assert_allclose(kept, 100 * cells / heat.clean, atol=0.01)


def test_layer_maps_are_one_on_the_diagonal_and_say_what_is_told_apart(
    stored: list[StoredResult], ranks: Ranks
) -> None:
    similarity = shown(stored, "mine", ranks).similarity
    assert similarity is not None
    assert [one.title for one in similarity.maps] == ["Pretrained", "Before × after", "Finetuned"]
    within = np.array(similarity.maps[0].values, dtype=float)
    np.testing.assert_allclose(np.diag(within), 1, atol=1e-3)
    np.testing.assert_array_equal(similarity.maps[0].told_apart, within > similarity.floor)
    assert not np.array(similarity.maps[1].told_apart).all()


def test_a_row_without_gram_matrices_has_no_maps(stored: list[StoredResult], ranks: Ranks) -> None:
    assert shown(stored, "other", ranks).similarity is None


def test_layers_are_grouped_by_stage() -> None:
    assert groups(LAYERS) == (
        ("stem", 0, 0),
        ("stage2", 1, 4),
        ("stage3", 5, 12),
        ("stage4", 13, 16),
        ("pooled", 17, 17),
    )


def test_a_gain_whose_interval_holds_zero_is_called_not_sure(stored: list[StoredResult], ranks: Ranks) -> None:
    view = shown(stored, "mine", ranks)
    assert [arm.key for arm in view.arms] == ["alone", "reference", "submission", "both"]
    assert "over the student alone" in view.distillation_words
    gain = next(one for one in view.headlines if one.column.key == "distillation").score
    assert gain is not None
    assert gain.low is not None
    first, _, _ = view.distillation_words.partition(" Both teachers")
    assert (gain.low <= 0) == (": not sure" in first)


def test_provenance_names_suite_encoder_code_and_the_command(stored: list[StoredResult], ranks: Ranks) -> None:
    view = shown(stored, "mine", ranks)
    result = next(one.result for one in stored if one.result.card.name == "mine")
    origin = dict(view.provenance)
    assert origin["Suite hash"] == result.suite_hash
    assert origin["Encoder hash"] == result.card.encoder_hash
    assert "0123456789ab" in dict(view.environment)["Code"]
    assert "uncommitted changes" in dict(view.environment)["Code"]
    assert view.command == f"reelproof verify {result.card.encoder_hash[:8]}"
    assert [seconds for _, seconds, _ in view.durations] == [7, 18, 29, 40, 51, 62]


def test_what_a_stage_chose_on_this_data_set_is_shown(stored: list[StoredResult], ranks: Ranks) -> None:
    view = shown(stored, "mine", ranks)
    assert view.noted == (("Linear probe", f"strength {'0.01' if view.dataset == 'appearance' else '0.1'}"),)


def test_the_probe_above_random_initialisation_proves_that_the_weights_are_in(
    stored: list[StoredResult], ranks: Ranks
) -> None:
    assert "the weights are in" in dict(shown(stored, "mine", ranks).load_report)["Proof"]


def test_history_holds_the_ledger_s_lines_of_this_encoder_and_suite_in_order(
    stored: list[StoredResult], ranks: Ranks
) -> None:
    result = next(one.result for one in stored if one.result.card.name == "mine")

    def event(hours: int, kind: str, words: str, suite: str = "mini-v1") -> Event:
        time = START + timedelta(hours=hours)
        return Event(time=time, event=kind, encoder_hash=result.card.encoder_hash, suite=suite, words=words)

    events = [
        event(1, "admitted", "412 of 412"),
        event(2, "scored", "every stage"),
        event(3, "verdict", "DRIFT: outside the interval"),
        event(4, "verdict", "MATCH: all equal", suite="another"),
    ]
    lines = [(line.title, line.words) for line in shown(stored, "mine", ranks, events).history]
    assert lines == [("Admitted", "412 of 412"), ("Scored", "every stage"), ("DRIFT", "outside the interval")]


def test_a_row_computed_by_its_author_says_so_and_has_a_history_of_one_line(
    stored: list[StoredResult], ranks: Ranks
) -> None:
    view = shown(stored, "other", ranks)
    assert view.row.self_run
    assert [line.title for line in view.history] == ["Scored"]


def test_an_anchor_has_a_page_without_rank_and_without_itself_as_an_anchor(
    stored: list[StoredResult], ranks: Ranks
) -> None:
    view = shown(stored, "Random initialisation", ranks)
    assert all(one.rank is None for one in view.headlines)
    assert {curve.model for curve in view.panels[0].curves} == {"finetuned", "probe", "supervised"}


def test_an_older_result_of_an_encoder_keeps_its_page(tmp_path) -> None:
    old, new = (invent(tmp_path, "again", number=number) for number in (1, 2))
    view = row_view([old, new], [], old.result.result_id, "motion", Ranks())
    assert view is not None
    assert view.row.id == old.result.result_id
