"""What the Hub and a reader find in a checkpoint's card."""

import pytest

from bench.schema import ClipSpec
from reference_models.checkpoints.config import CheckpointConfig
from reference_models.checkpoints.model_card import model_card, published_card


def card(licence="Apache-2.0", **fields):
    config = CheckpointConfig(
        name="Narrow", architecture="c3d", licence=licence, feature_dim=8, weight_hash="0" * 64, **fields
    )
    return model_card(config, 1234, "It was trained.")


@pytest.mark.parametrize(
    ("licence", "lines", "words"),
    [
        ("Apache-2.0", ['license: "apache-2.0"'], "Licence of the weights: Apache-2.0."),
        ("CC-BY-NC-4.0", ['license: "cc-by-nc-4.0"'], "Licence of the weights: CC-BY-NC-4.0."),
        ("Our Own (v2)", ['license: "other"', 'license_name: "our-own-v2"'], "Licence of the weights: Our Own (v2)."),
        ("", ['license: "unknown"'], "names no licence"),
    ],
)
def test_the_licence_is_in_the_words_that_the_hub_knows(licence, lines, words):
    text = card(licence)
    front = text.split("---\n")[1].splitlines()
    assert all(line in front for line in lines)
    assert words in text


def test_embedded_sets_do_not_point_at_somebody_elses_data():
    text = card(pretrained_on=("motion", "kinetics400"), pretext="clip order", clip=ClipSpec(resize=(64, 85), size=56))
    assert 'datasets: ["reelproof-motion", "kinetics400"]' in text


def test_a_published_card_names_its_address_and_shows_its_picture_once():
    once = published_card(card(), "hf://org/one", "![Curves](curves.png)")
    assert "path/to/this/folder" not in once
    assert once.index("## How it learnt\n\n![Curves](curves.png)\n\n## Use it\n") > once.index("Weight hash")
    assert published_card(once, "hf://org/one", "![Curves](curves.png)") == once


def test_a_card_of_ones_own_gets_the_picture_at_its_end():
    assert published_card("# Mine\n", "hf://org/one", "Slowly.") == "# Mine\n\n## How it learnt\n\nSlowly.\n\n"
    assert published_card("# Mine\n", "hf://org/one") == "# Mine\n"
