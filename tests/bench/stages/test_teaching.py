"""Any number of teachers: the paper's pairs, students who believe them, and the share of a gap that is recovered."""

import numpy as np
import pytest

from bench.guesses import Guesses
from bench.scoring import join, taught_scores
from bench.stages.teaching import PAPER, Ensemble, Teacher, study, teacher_from
from bench.suites.protocol import Distillation
from tests.bench.stages.test_distillation import LABELS, TRUTH, sure_table
from tests.bench.stages.tiny_case import CARD, TinyNet, random_tiny_net, tiny_case, tiny_suite, videos

SHORT = CARD.model_copy(update={"epochs": 5})
SUITE = tiny_suite(
    card=SHORT, distillation=Distillation(student="tiny", card=SHORT, teacher_weight=1.0, views=2, seeds=(0,))
)


def test_the_papers_four_questions_are_all_there():
    assert {question: len(pairs) for question, pairs in PAPER.items()} == {
        "complexity": 3,
        "sources": 4,
        "tasks": 2,
        "sizes": 4,
    }
    assert [len(pair.teachers) for pair in PAPER["complexity"]] == [3, 3, 3]
    assert all(len(pair.teachers) == 2 for question in ("sources", "tasks", "sizes") for pair in PAPER[question])


def test_two_sure_teachers_are_heard_as_their_mean_and_a_wrong_one_is_believed(tmp_path):
    case = tiny_case(tmp_path, SUITE)
    teachers = {"right": Teacher((sure_table(LABELS),), ()), "wrong": Teacher((sure_table((LABELS + 1) % 3),), ())}
    ensembles = (
        Ensemble("the right one", ("right",)),
        Ensemble("the wrong one", ("wrong",)),
        Ensemble("mostly right", ("right", "right", "wrong")),
    )
    said = {guesses.model: guesses.ranking_NK[:, 0] for guesses in study(case, ensembles, teachers)}
    assert set(said) == {"alone", "the right one", "the wrong one", "mostly right"}
    assert (said["the right one"] == TRUTH).mean() > 0.7
    assert (said["mostly right"] == TRUTH).mean() > 0.7
    assert (said["the wrong one"] == (TRUTH + 1) % 3).mean() > 0.7


def test_checkpoints_teach_by_their_finetuned_logits_and_the_gap_recovered_follows(tmp_path):
    teachers = {
        name: teacher_from(tiny_case(tmp_path, SUITE, net=random_tiny_net(seed)))
        for name, seed in (("one", 1), ("two", 2))
    }
    case = tiny_case(tmp_path, SUITE)
    students = {"other": lambda: TinyNet()}
    found = study(case, (Ensemble("both", ("one", "two"), "other"),), teachers, students)
    assert [g.model for g in found] == ["alone other", "both", "one", "two"]
    rows = join(found, videos("test", 12))
    scores = taught_scores(rows, "both", alone="alone other", teachers=("one", "two"))
    right = {g.model: (g.ranking_NK[:, 0] == TRUTH).mean() for g in found}
    assert scores["top1"].value == pytest.approx(right["both"])
    assert scores["best_teacher"].value == pytest.approx(max(right["one"], right["two"]))
    assert scores["gain_over_alone"].value == pytest.approx(right["both"] - right["alone other"])
    again = study(case, (Ensemble("both", ("one", "two"), "other"),), teachers, students)
    assert all(np.array_equal(a.ranking_NK, b.ranking_NK) for a, b in zip(found, again, strict=True))


def test_half_of_the_gap_is_half():
    def guesses(name, right):
        first = np.where(np.arange(12) < right, TRUTH, (TRUTH + 1) % 3)
        ranking = np.stack([first, (first + 1) % 3, (first + 2) % 3], axis=1).astype(np.int16)
        return Guesses("distillation", "shades", videos("test", 12).ids, ranking, model=name)

    rows = join([guesses("alone", 2), guesses("pair", 5), guesses("weak", 4), guesses("strong", 8)], videos("test", 12))
    scores = taught_scores(rows, "pair", alone="alone", teachers=("weak", "strong"))
    assert scores["gap_recovered"].value == pytest.approx(0.5)
    assert scores["gain_over_best_teacher"].value == pytest.approx(-3 / 12)
    assert np.isnan(taught_scores(rows, "pair", alone="strong", teachers=("weak",))["gap_recovered"].value)
    with pytest.raises(ValueError, match="no guesses of nobody"):
        taught_scores(rows, "pair", alone="nobody", teachers=("weak",))


def test_who_is_missing_or_of_another_shape_is_said_before_any_work(tmp_path):
    case = tiny_case(tmp_path, SUITE)
    with pytest.raises(ValueError, match="pair needs the teachers two, which were not given"):
        study(case, (Ensemble("pair", ("one", "two")),), {"one": Teacher((sure_table(LABELS),), ())})
    with pytest.raises(ValueError, match="pair needs a factory of the student r2plus1d_10"):
        study(case, (Ensemble("pair", (), "r2plus1d_10"),), {})
    with pytest.raises(ValueError, match=r"The logits of one for shades have the shape \(29, 2, 3\)"):
        study(case, (Ensemble("pair", ("one",)),), {"one": Teacher((sure_table(LABELS[:29]),), ())})
    assert not case.cache.folder.exists()
