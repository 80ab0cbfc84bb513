"""Encoders whose every score is known beforehand, through the whole harness."""

import pytest

from tests.bench.known_run import CHANCE, LovesNoise, PlayedClips, Remembers, Sees, SeesNothing, judged, values
from tests.bench.stages.known_nets import OrderAware, OrderBlind

MODELS = ("probe", "finetuned")


def everywhere(clean, noisy, decreases, area, break_point):
    """All scores of an encoder whose probe, finetuned model and student are equally good, but retrieval at 5 and CKA."""
    expected = {
        ("linear_probe", "", "top1", 0): clean,
        ("linear_probe", "", "gap_to_best_on_test", 0): 0,
        ("finetune", "", "top1", 0): clean,
        ("retrieval", "", "recall@1", 0): clean,
        ("distillation", "alone", "top1", 0): clean,
        ("distillation", "submission", "top1", 0): clean,
        ("distillation", "", "gain_over_alone", 0): 0,
    }
    for model in MODELS:
        expected |= {("robustness", model, "top1", level): value for level, value in enumerate([clean, *noisy])}
        expected |= {
            ("robustness", model, f"noise_mean@{level}", 0): value for level, value in enumerate(noisy, start=1)
        }
        expected |= {
            ("robustness", model, "noise_mean", 0): sum(noisy) / 5,
            ("robustness", model, "relative_decrease@1", 0): decreases[0],
            ("robustness", model, "relative_decrease@1-3", 0): decreases[1],
            ("robustness", model, "relative_decrease@1-5", 0): decreases[2],
            ("robustness", model, "area", 0): area,
            ("robustness", model, "break_point", 0): break_point,
        }
    return expected


KNOWN = {
    # right until the noise hides the class at severity 3; then everything is one class
    Sees: everywhere(1, [1, 1, CHANCE, CHANCE, CHANCE], (0, 2 / 9, 2 / 5), 2 / 3, 2.5),
    SeesNothing: everywhere(CHANCE, [CHANCE] * 5, (0, 0, 0), 1, None),
    # what was learnt by heart helps on no test video
    Remembers: everywhere(CHANCE, [CHANCE] * 5, (0, 0, 0), 1, None),
    # half of the clean videos are seen, a third of the others guessed; noise shows all: it falls by less than nothing
    LovesNoise: everywhere(2 / 3, [1] * 5, (-1 / 2, -1 / 2, -1 / 2), 1.45, None),
}


@pytest.mark.parametrize("net", KNOWN, ids=lambda net: net.__name__)
def test_every_score_is_the_one_that_follows_from_what_the_encoder_sees(net, tmp_path):
    result = judged(net, tmp_path)
    found = values(result)
    assert found.pop(("retrieval", "", "recall@5", 0)) == 1  # of any five in a row three show all classes
    kept = found.pop(("cka", "", "kept_after_finetuning", 0))
    assert kept == (None if net is SeesNothing else pytest.approx(1))  # one gain cannot change a similarity
    assert found == {key: value if value is None else pytest.approx(value) for key, value in KNOWN[net].items()}


@pytest.mark.parametrize(("net", "top1"), [(OrderBlind, 2 / 3), (OrderAware, 1)], ids=["blind", "aware"])
def test_who_does_not_see_the_order_of_frames_cannot_tell_a_clip_from_the_same_clip_backwards(net, top1, tmp_path):
    found = values(judged(net, tmp_path, PlayedClips))
    assert found["linear_probe", "", "top1", 0] == pytest.approx(top1)
    assert found["retrieval", "", "recall@1", 0] == pytest.approx(top1)
    assert found["robustness", "probe", "noise_mean", 0] == pytest.approx(top1)
    assert found["finetune", "", "top1", 0] <= top1 + 1e-9
    assert found["distillation", "submission", "top1", 0] <= top1 + 1e-9
