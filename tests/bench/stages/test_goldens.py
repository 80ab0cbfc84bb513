"""What the integer versions of the stages stand for: numbers on fixed features, and the first steps of trainings.

A number that moves here moves scores. Then raise the stage's version in `bench.suites.protocol` (which makes another
suite of every suite), say so in CHANGELOG.md under "Scores", and only then write the new number down.
Frames and noise have their digests in tests/bench/video and tests/corruptions.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from bench.names import generator
from bench.scoring import chance_of_recall
from bench.stages import distillation, finetune
from bench.stages.classifier import ByDepth, plan_of
from bench.stages.linear_probe import _standardised
from bench.stages.retrieval import nearest
from bench.statistics.comparisons import compare, compare_two
from bench.statistics.intervals import Sample, accuracies
from bench.statistics.severity import area, break_point, relative_decrease
from bench.statistics.similarity import kept, kept_by_chance, similarity_map
from bench.suites.mini_v1 import MINI_V1
from bench.suites.paper import CONVOLUTIONAL, TRANSFORMER
from bench.training import train
from tests.bench.stages.test_distillation import LABELS, sure_table
from tests.bench.stages.tiny_case import tiny_case, tiny_suite
from tests.bench.statistics.test_similarity import grams

GOLDEN = json.loads((Path(__file__).parent / "goldens.json").read_text())


def features(count=80, width=24, classes=4):
    """Features of four classes that overlap, and the labels."""
    rng = generator("golden", "features")
    labels = np.arange(count) % classes
    centres = rng.normal(size=(classes, width)) * 0.5
    return (centres[labels] + rng.normal(size=(count, width))).astype(np.float32), labels


def hits(rows=3, seeds=2, videos=120):
    """Right or wrong, by row, seed and video, and twenty uneven sources."""
    rng = generator("golden", "hits")
    sources = np.sort(rng.integers(20, size=videos))
    easy = rng.normal(size=20)[sources]
    table = {
        f"row{row}": (easy + rng.normal(size=(seeds, videos)) + 0.2 * row > 0).astype(np.float64) for row in range(rows)
    }
    return table, np.array([f"s{source:02}" for source in sources])


def found():
    """Everything that is compared, as JSON values."""
    values, labels = features()
    problem, mean, scale = _standardised(values[:60], labels[:60], 4)
    weights, bias = problem.solve(1e-2, 1e-9)
    logits = ((values[60:] - mean) / scale) @ weights + bias
    table, sources = hits()
    sample = Sample.of_videos(table["row0"][..., None] == 1, sources)
    compared, pair = compare(table, sources), compare_two(table["row0"], table["row2"], sources)
    rng = generator("golden", "grams")
    layers = {name: rng.normal(size=(3, 12, width)) for name, width in (("stem", 30), ("block", 20), ("pooled", 8))}
    moved = {name: layer + 0.5 * rng.normal(size=layer.shape) for name, layer in layers.items()}
    before, after = grams(layers), grams(moved, "finetuned")
    keeps = kept(before, after, [f"source{n // 2}" for n in range(36)])
    (top1,) = accuracies(sample)
    noisy, levels = np.array([0.7, 0.55, 0.5, 0.3, 0.1]), np.arange(1.0, 6.0)
    return {
        "probe weights": weights[:3].tolist(),
        "probe logits": logits[:4].tolist(),
        "neighbours": nearest(values[60:], values[:60], 5)[:6].tolist(),
        "chance of recall": chance_of_recall(labels[:60], labels[60:], 5),
        "interval": [top1.value, top1.low, top1.high],
        "comparison": [compared.critical, *compared.difference_AA[0].tolist(), *compared.half_width_AA[0].tolist()],
        "pair": [pair.difference, pair.low, pair.high, pair.p_value, pair.detectable],
        "similarity": similarity_map(before, after).tolist(),
        "kept": [keeps.value, keeps.low, keeps.high, kept_by_chance(before, after, 5)],
        "curve": [
            float(relative_decrease(np.array(0.8), noisy).mean()),
            float(area(np.array(0.8), noisy, levels)),
            float(break_point(np.array(0.8), noisy, levels, 0.1)),
        ],
    }


def trace(folder, stage, card):
    """The first steps of a training: which videos in which order, which rates, which losses."""
    card = card.model_copy(update={"batch_size": 8, "epochs": 2, "learning_rates": card.learning_rates[:1]})
    case = tiny_case(folder, tiny_suite(card=card))
    if stage == "finetune":
        model, lesson = finetune.untrained(case, 0), finetune.lesson(case, ("train", "validation"), 0)
        loss = finetune.label_loss(case)
    else:
        model, lesson = distillation.untrained_student(case, 0), distillation.lesson(case, (sure_table(LABELS),), 0)
        loss = distillation.taught_loss(case.suite.distillation)
    plan = plan_of(model, card, card.learning_rates[0], lesson.steps, "fp32")
    trained = model if card.layer_decay == 1 else ByDepth(model)
    log = train(trained, loss, lesson.batch, plan, names=(lesson.name, 0), device=case.device)
    return {
        "order": [list(lesson.batch(step).video_ids) for step in range(2)],
        "rate": log.columns["rate"],
        "loss": log.loss[:4],
    }


TRACES = {
    "finetune, mini": ("finetune", MINI_V1.finetune.card),
    "finetune, convolutional": ("finetune", CONVOLUTIONAL),
    "finetune, transformer": ("finetune", TRANSFORMER),
    "distillation, mini": ("distillation", MINI_V1.distillation.card),
}


def test_the_versions_are_those_that_these_numbers_were_taken_under():
    stages = ("linear_probe", "finetune", "retrieval", "robustness", "distillation", "cka")
    assert {stage: getattr(MINI_V1, stage).version for stage in stages} == dict.fromkeys(stages, 1)


def test_probe_retrieval_cka_and_statistics_give_the_numbers_to_1e_6():
    now = found()
    assert now.keys() == GOLDEN["numbers"].keys()
    for name, expected in GOLDEN["numbers"].items():
        np.testing.assert_allclose(now[name], expected, rtol=0, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("name", TRACES)
def test_a_training_begins_as_it_always_did(name, tmp_path):
    now, expected = trace(tmp_path, *TRACES[name]), GOLDEN["traces"][name]
    assert now["order"] == expected["order"]
    np.testing.assert_allclose(now["rate"], expected["rate"], rtol=1e-12)
    np.testing.assert_allclose(now["loss"], expected["loss"], rtol=0, atol=1e-4)
