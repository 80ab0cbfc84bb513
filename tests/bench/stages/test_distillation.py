import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.encoder import weight_hash
from bench.stages import distillation, finetune
from bench.suites.protocol import Distillation
from tests.bench.stages.tiny_case import CARD, random_tiny_net, tiny_case, tiny_suite

TRUTH = np.array([n % 3 for n in range(12)])
LABELS = np.array([n % 3 for n in range(30)])
"""Of training and validation videos."""


def sure_table(labels, views=2):
    """A teacher who knows these labels."""
    return np.repeat(10 * np.eye(3, dtype=np.float32)[labels][:, None], views, axis=1)


def hash_of(model):
    return weight_hash("fit", model.state_dict())


def fit(case, arm, seed=0):
    return distillation.fit(case, arm, seed)[0]


def test_four_arms_with_a_reference_and_two_without(tmp_path):
    alone = distillation.run(tiny_case(tmp_path))
    assert [g.model for g in alone.guesses] == ["alone", "submission"]
    assert "no reference teacher" in alone.remarks[0]
    output = distillation.run(tiny_case(tmp_path, reference_logits=sure_table(LABELS)))
    assert [g.model for g in output.guesses] == ["alone", "submission", "reference", "both"]
    assert output.remarks == ()
    for guesses in output.guesses:
        assert (guesses.stage, guesses.seed) == ("distillation", 0)
        assert (guesses.ranking_NK[:, 0] == TRUTH).mean() > 0.7


def test_a_student_believes_its_teacher(tmp_path):
    """A reference that calls every class by the next one's name, heard at full weight: so does the student."""
    settings = Distillation(student="tiny", card=CARD, teacher_weight=1.0, views=2, seeds=(0,))
    wrong = sure_table((LABELS + 1) % 3)
    case = tiny_case(tmp_path, tiny_suite(distillation=settings), reference_logits=wrong)
    output = distillation.run(case)
    said = {g.model: g.ranking_NK[:, 0] for g in output.guesses}
    assert (said["reference"] == (TRUTH + 1) % 3).mean() > 0.7
    assert (said["alone"] == TRUTH).mean() > 0.7


def test_arms_without_the_submission_are_computed_once_for_all_encoders(tmp_path):
    table = sure_table(LABELS)
    distillation.run(tiny_case(tmp_path, reference_logits=table))
    other = tiny_case(tmp_path, net=random_tiny_net(5), reference_logits=table)
    seconds = {
        arm: distillation.fit(other, arm, 0)[2]["seconds"] for arm in ("alone", "reference", "submission", "both")
    }
    assert seconds["alone"] == seconds["reference"] == 0
    assert seconds["submission"] > 0
    assert seconds["both"] > 0


def test_arms_begin_alike_and_only_the_teacher_tells_them_apart(tmp_path):
    case = tiny_case(tmp_path, reference_logits=sure_table(LABELS))
    assert hash_of(distillation.untrained_student(case, 0)) == hash_of(distillation.untrained_student(case, 0))
    assert len({hash_of(fit(case, arm)) for arm in ("alone", "submission", "reference", "both")}) == 4


def test_students_of_one_seed_see_the_same_clips_whoever_teaches(tmp_path):
    case = tiny_case(tmp_path)
    alone = distillation.lesson(case, (), 0).batch(3)
    taught = distillation.lesson(case, (sure_table(LABELS),), 0).batch(3)
    assert torch.equal(alone.tensors["clips"], taught.tensors["clips"])
    assert alone.video_ids == taught.video_ids
    assert taught.tensors["teachers"].shape == (8, 1, 3)
    assert torch.equal(taught.tensors["teachers"][:, 0].argmax(1), taught.tensors["labels"])


def test_interrupted_and_started_again_gives_the_same_students(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.REPORT_EVERY_S", -1.0)
    whole = hash_of(fit(tiny_case(tmp_path / "whole"), "alone"))

    def stop(words, share):
        if share > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(tiny_case(tmp_path / "parts", report=stop), "alone")
    assert hash_of(fit(tiny_case(tmp_path / "parts"), "alone")) == whole


def test_the_submission_teaches_with_its_finetuned_models_logits(tmp_path):
    case = tiny_case(tmp_path)
    table = distillation.submission_logits(case, 0)
    model = finetune.fit(case, 0)
    clips = torch.from_numpy(case.clips.views("train", "train4_1", 2))
    with torch.inference_mode():
        expected = model(distillation.normalise(clips, case.encoder.normalisation))
    assert table.shape == (30, 2, 3)
    assert table[4] == pytest.approx(expected.numpy(), abs=1e-5)


def test_no_test_video_is_looked_at_before_the_students_are_trained(tmp_path):
    case = tiny_case(tmp_path)
    fit(case, "submission")
    assert {split for split, _ in case.clips.asked} == {"train", "validation"}


def test_the_soft_loss_is_the_formula():
    rng = np.random.default_rng(0)
    student, teachers, temperature = rng.normal(size=(5, 4)), rng.normal(size=(5, 2, 4)), 3.0

    def softened(logits):
        powers = [math.exp(value / temperature) for value in logits]
        return [power / sum(powers) for power in powers]

    total = 0.0
    for said, ones in zip(student, teachers, strict=True):
        mean = [(a + b) / 2 for a, b in zip(softened(ones[0]), softened(ones[1]), strict=True)]
        total += sum(p * math.log(p / q) for p, q in zip(mean, softened(said), strict=True))
    found = distillation.soft_divergence(torch.from_numpy(student), torch.from_numpy(teachers), temperature)
    assert found.item() == pytest.approx(temperature**2 * total / 5)


def test_a_student_who_says_what_the_teacher_says_has_no_soft_loss():
    logits = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    assert distillation.soft_divergence(logits, logits[:, None], 4.0).item() == pytest.approx(0, abs=1e-6)


def test_a_reference_of_another_shape_is_refused(tmp_path):
    case = tiny_case(tmp_path, reference_logits=sure_table(LABELS[:29]))
    with pytest.raises(ValueError, match=r"\(29, 2, 3\).*\(30, 2, 3\)"):
        distillation.run(case)


def test_an_encoder_that_cannot_be_finetuned_teaches_with_its_probe(tmp_path):
    case = tiny_case(tmp_path)

    class FeaturesOnly:
        """What an exported network looks like."""

        name = architecture = "exported"
        trunk = None
        feature_dim = 8
        normalisation = case.encoder.normalisation
        weight_hash = "f" * 64
        encode = case.encoder.encode

    features_only = replace(case, encoder=FeaturesOnly())
    output = distillation.run(features_only)
    assert [g.model for g in output.guesses] == ["alone", "submission"]
    table = distillation.submission_logits(features_only, 0)
    assert table.shape == (30, 2, 3)
    assert (table.argmax(2) == LABELS[:, None]).mean() > 0.8
