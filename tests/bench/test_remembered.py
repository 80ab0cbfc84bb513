"""Old submissions are scored anew from their features, without their weights; what is not kept is not made up."""

import pytest

from bench.encoder import TorchEncoder, encoder_hash
from bench.remembered import RememberedEncoder, score_again
from bench.run import evaluate
from bench.stages import linear_probe, retrieval, robustness
from tests.bench.known_run import SUITE, opened
from tests.bench.stages.tiny_case import TinyNet, random_tiny_net

OTHER = SUITE.model_copy(
    update={
        "linear_probe": SUITE.linear_probe.model_copy(update={"strengths": (0.3, 3.0)}),
        "retrieval": SUITE.retrieval.model_copy(update={"ks": (1, 3)}),
        "robustness": SUITE.robustness.model_copy(update={"models": ("probe",)}),
    }
)
STAGES = {"linear_probe": linear_probe.run, "retrieval": retrieval.run, "robustness": robustness.run}


def judged(folder, suite):
    encoder = TorchEncoder(random_tiny_net(), name="tiny")
    return evaluate(encoder, suite, opened(), student=TinyNet, cache=folder, device="cpu").result


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A result, and the cache of its judging."""
    folder = tmp_path_factory.mktemp("old")
    return judged(folder, SUITE), folder


def test_a_card_stands_for_its_encoder(old):
    encoder = RememberedEncoder(old[0].card)
    assert encoder_hash(encoder) == old[0].card.encoder_hash


def test_other_settings_give_the_scores_that_the_weights_would_have_given(old, tmp_path):
    result, folder = old
    found = score_again(result.card, OTHER, opened(), folder, tuple(STAGES.values()))
    expected = judged(tmp_path, OTHER)
    assert {score.stage for score in found} == set(STAGES)
    assert {score.metric for score in found if score.stage == "retrieval"} == {"recall@1", "recall@3"}
    assert found == [score for score in expected.scores if score.stage in STAGES]


def test_features_that_are_not_kept_are_named_as_missing(old, tmp_path):
    with pytest.raises(ValueError, match="Features of tiny that are asked for are not in the cache"):
        score_again(old[0].card, SUITE, opened(), tmp_path)
    more = OTHER.model_copy(update={"views": OTHER.views.model_copy(update={"test": 7})})
    with pytest.raises(ValueError, match="Evaluate its checkpoint once more"):
        score_again(old[0].card, more, opened(), old[1])
