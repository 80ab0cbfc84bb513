"""What judging would cost: every stage is told, nothing is left behind, and what is there already is not counted."""

import pytest

from bench.encoder import TorchEncoder
from bench.estimate import estimated
from bench.run import evaluate
from bench.schema import STAGES
from tests.bench.known_run import SUITE, opened
from tests.bench.stages.tiny_case import TinyNet, random_tiny_net


@pytest.fixture
def costs(tmp_path):
    """By stage, and what was told."""
    told = []
    encoder = TorchEncoder(random_tiny_net(), name="tiny")

    def measure():
        found = estimated(
            encoder,
            SUITE,
            opened(),
            student=TinyNet,
            cache=tmp_path / "cache",
            device="cpu",
            progress=lambda *words: told.append(words),
        )
        return {cost.stage: cost for cost in found}

    return measure, encoder, tmp_path / "cache", told


def test_every_stage_is_told_and_the_cache_stays_empty(costs):
    measure, _, cache, told = costs
    found = measure()
    assert list(found) == list(STAGES)
    assert all(cost.memory_bytes > 2**20 for cost in found.values())
    assert all(cost.seconds > 0 for cost in found.values())
    assert [stage for stage, state, *_ in told if state == "done"] == list(STAGES)
    assert not cache.exists()


def test_disk_is_what_the_cache_then_grows_by_and_students_of_nobody_count_once(costs):
    measure, encoder, cache, _ = costs
    first = measure()
    evaluate(encoder, SUITE, opened(), student=TinyNet, cache=cache, device="cpu")
    kept = {path.parent.name for path in cache.rglob("*.safetensors")}
    assert {"outputs", "finetuned", "student", "grams"} <= kept
    expected = {
        "robustness": 4 * 12 * 6 * (8 + 3),  # videos, conditions, numbers of the trunk and of the finetuned model
        "cka": 4 * 3 * 2 * 6 * 6 * 2,
    }
    assert {stage: first[stage].disk_bytes for stage in expected} == expected
    again = measure()["distillation"]
    assert again.disk_bytes < first["distillation"].disk_bytes  # the student that learnt alone is there
