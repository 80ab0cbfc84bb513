"""The table of a reference teacher: made from a checkpoint, read back by its digest, and missed in words where there is none."""

import hashlib

import numpy as np
import pytest

from bench import data
from bench.data import SUITES, reference_logits, reference_table
from bench.stages import distillation, finetune
from reference_models.studies import reference_teacher
from reference_models.studies.reference_teacher import table_of
from tests.bench.stages.tiny_case import tiny_case, tiny_suite


def test_the_table_is_what_the_finetuned_checkpoint_says_of_the_fixed_clips_and_teaches_the_two_arms(
    tmp_path, monkeypatch
):
    case = tiny_case(tmp_path)
    content = table_of(case)
    path = tmp_path / "tiny_reference_shades.npz"
    path.write_bytes(content)
    monkeypatch.setattr(data, "reference_table", lambda suite, dataset: tmp_path / f"{suite}_reference_{dataset}.npz")
    settings = case.suite.distillation.model_copy(
        update={"reference_digest": {"shades": hashlib.sha256(content).hexdigest()}}
    )
    suite = tiny_suite(distillation=settings)
    assert suite.hash != case.suite.hash
    table = reference_logits(suite)["shades"]
    fitted = finetune.fit_and_tell(case, 0)
    np.testing.assert_allclose(table, distillation.teacher_logits(case, fitted.model, fitted.key), rtol=1e-3, atol=1e-3)
    output = distillation.run(tiny_case(tmp_path, suite, reference_logits=table))
    assert [guesses.model for guesses in output.guesses] == ["alone", "submission", "reference", "both"]
    assert output.remarks == ()


def test_another_table_than_the_suites_is_never_read(tmp_path, monkeypatch):
    (tmp_path / "t.npz").write_bytes(b"something else")
    monkeypatch.setattr(data, "reference_table", lambda *_: tmp_path / "t.npz")
    with pytest.raises(AssertionError, match=r"is not the table of mini-v1"):
        reference_logits(SUITES["mini-v1"])


def test_optional_conditions_share_the_table_of_their_suite():
    assert reference_table("mini-v1+held", "motion") == reference_table("mini-v1", "motion")
    assert reference_table("mini-v1", "motion").exists()


@pytest.mark.parametrize("name", [name for name in SUITES if name != "mini-v1"])
def test_a_suite_without_a_reference_teacher_says_so_in_words_and_names_the_program_that_makes_one(name):
    suite = SUITES[name]
    assert reference_logits(suite) == {}
    (sentence,) = [line for line in suite.about.ours if line.startswith("distillation")]
    assert "There is no reference teacher, so the arms are alone and submission" in sentence
    assert f"`python -m {reference_teacher.__name__}`" in sentence


def test_a_result_without_a_reference_teacher_says_which_students_are_not_there(tmp_path):
    (remark,) = distillation.run(tiny_case(tmp_path)).remarks
    assert remark.startswith(
        "tiny has no reference teacher for shades: its students learn alone and from the submission."
    )
