"""Released suites: their hashes, and that they are made of things that exist.

A hash that changes here is another suite. Do not edit it: give the suite a new name, and say so in CHANGELOG.md under "Scores".
"""

import os
from pathlib import Path

import numpy as np
import pytest

from bench.data import OPENERS, SUITES, dataset_manifest, suite_named
from bench.schema import STAGES
from bench.stages.lesson import MILESTONE_EPOCHS
from bench.statistics.comparisons import detectable_on
from bench.suites.conditions import OPTIONAL
from bench.suites.protocol import DatasetProtocol, Suite, TrainingCard
from bench.video.datasets.embedded import video_set
from bench.video.decode import PIXEL_CONTRACT
from corruptions.definition import Definition

HASHES = {
    "mini-v1": "be90b875d57b9ce18d0e30cf76e3e5e0b51c56759b173778929ad86cc42e0191",
    "ucf101-v1": "b2cc941c2a9cd870f612c2f7411497a543ca49170d3e654275e256af8d7d7318",
    "hmdb51-v1": "de92addfd055debc7bd504dc3c38a0a6b7e231f009a12db88904027c2926ba6c",
    "diving48-v1": "5cbcd10558ab998fae4a7aad6f9be31f7e08bf67f64edc757ebd5d0020d90862",
    "ucf101-open-v1": "ed63a14429ed216d87d576c64def82f40b894c9e8b8f4a776ffa5eea59147869",
}
OPTIONAL_ROBUSTNESS = {
    "mini-v1+imagenet-c": "9ca7f658ec7f08526bc723602dfbbc5f4a0a420147ecfb89151e4f76f5975484",
    "mini-v1+held": "46f4023c46dbd4d7ba0762c374b9a3ea9d5e8ff69eb9f9896fb075fc1aafc8ff",
    "ucf101-v1+imagenet-c": "635d789a521d305f66252e4d6eb330c3bbe86d6d38aa222634eb0161a4bb04a1",
    "ucf101-v1+held": "e1083e4febf3f361b1b7787921467920ad177e09950cd9e154ef808451cfeee9",
}


@pytest.mark.parametrize("name", SUITES)
def test_a_released_suite_has_the_hash_it_was_released_with(name):
    assert SUITES[name].status == "released"
    assert SUITES[name].hash == HASHES[name]


@pytest.mark.parametrize("name", OPTIONAL_ROBUSTNESS)
def test_optional_conditions_have_a_robustness_hash_of_their_own_and_share_all_else(name):
    suite, plain = suite_named(name), suite_named(name.partition("+")[0])
    assert suite.stage_hash("robustness") == OPTIONAL_ROBUSTNESS[name]
    assert [stage for stage in STAGES if suite.stage_hash(stage) != plain.stage_hash(stage)] == ["robustness"]
    assert suite.robustness.corruptions == OPTIONAL[name.partition("+")[2]].corruptions


def test_unknown_conditions_are_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"no conditions 'frost' for ucf101-v1\. There are: imagenet-c, held"):
        suite_named("ucf101-v1+frost")


@pytest.mark.parametrize("name", [*SUITES, *OPTIONAL_ROBUSTNESS])
def test_what_a_suite_names_exists(name):
    suite = suite_named(name)
    assert suite.pixel_contract == PIXEL_CONTRACT
    assert all(Definition.parse(noise).name == noise for noise in suite.robustness.corruptions)
    assert set(suite.robustness.models) == {"probe", "finetuned"}


@pytest.mark.parametrize("name", SUITES)
def test_a_suite_says_what_is_the_papers_what_is_ours_and_what_it_costs(name):
    about = SUITES[name].about
    assert about.question
    assert len(about.paper) >= 2
    assert len(about.ours) > len(about.paper)
    assert about.cost.startswith(("Measured", "Estimated"))


@pytest.mark.parametrize("name", [name for name in SUITES if name != "mini-v1"])
def test_the_suites_on_real_videos_follow_the_paper_where_it_speaks(name):
    suite = SUITES[name]
    assert (suite.clip.num_frames, suite.clip.size, suite.precision) == (16, 112, "bf16")
    assert (suite.views.test, suite.finetune.seeds, suite.distillation.seeds) == (10, (0, 1, 2), (0, 1, 2))
    assert suite.retrieval.ks == (1, 5, 10, 20, 50)
    for kind, optimiser in (("convolutional", "sgd"), ("transformer", "adamw")):
        card = suite.finetune.card_of(kind)
        assert (card.optimiser, card.epochs, card.crop, card.flip, card.brightness) == (
            optimiser,
            100,
            "centre",
            False,
            0,
        )
        assert len(card.learning_rates) > 1
    assert suite.finetune.card_of("convolutional").momentum == 0.9
    assert suite.finetune.card_of("transformer").layer_decay < 1
    assert suite.finetune.card_of("transformer").drop_path > 0
    (dataset,) = suite.datasets
    assert dataset.official
    assert dataset.frames_digest is None


@pytest.mark.parametrize("name", OPENERS)
def test_the_pinned_manifest_is_that_of_the_official_lists(name):
    folder = os.environ.get("REELPROOF_TEST_DATA")
    if not folder:
        pytest.skip("REELPROOF_TEST_DATA names no folder with the official annotation files")
    dataset = OPENERS[name](Path(folder) / "annotations" / name)
    pinned = next(suite.datasets[0] for suite in SUITES.values() if suite.datasets[0].name == name)
    assert (pinned.manifest_hash, pinned.num_classes) == (dataset_manifest(dataset), len(dataset.train.class_names))
    told = f"from {100 * detectable_on(np.array(dataset.test.sources)):.1f} points on"
    assert all(told in suite.about.question for suite in SUITES.values() if suite.datasets[0].name == name)


@pytest.mark.parametrize("name", ["appearance", "motion"])
def test_mini_says_which_difference_it_can_tell(name):
    sources = np.array(video_set(name, "test", Path()).sources)
    assert f"{100 * detectable_on(sources):.1f} ({name})" in SUITES["mini-v1"].about.question


def test_a_setting_that_came_later_is_in_no_dump_while_it_holds_what_was_before():
    card = TrainingCard(learning_rates=(0.1,), weight_decay=0.0, epochs=1, batch_size=2)
    assert not {"layer_decay", "drop_path"} & card.model_dump().keys()
    assert card.model_copy(update={"layer_decay": 0.7}).model_dump()["layer_decay"] == 0.7
    assert TrainingCard.model_validate(card.model_dump()) == card


def test_whether_frames_are_pinned_is_no_part_of_the_hash_but_their_digest_is():
    suite = SUITES["ucf101-v1"]

    def with_dataset(**fields) -> Suite:
        (dataset,) = suite.datasets
        return suite.model_copy(update={"datasets": (DatasetProtocol(**{**dataset.model_dump(), **fields}),)})

    assert with_dataset(official=False).hash == suite.hash
    assert with_dataset(frames_digest="a" * 64).hash != suite.hash


@pytest.mark.parametrize(
    ("name", "train", "test"), [("ucf101-v1", 9537, 3783), ("hmdb51-v1", 3570, 1530), ("diving48-v1", 15027, 1970)]
)
def test_looking_back_at_every_tenth_epoch_costs_less_than_a_twentieth_of_finetuning(name, train, test):
    suite = SUITES[name]
    for kind in ("convolutional", "transformer"):
        card = suite.finetune.card_of(kind)
        passes = 3 * card.epochs * train + suite.views.test * test  # a step costs about three forward passes
        assert len(range(MILESTONE_EPOCHS, card.epochs + 1, MILESTONE_EPOCHS)) * test < passes / 20


# The open suite


def test_an_open_suite_takes_the_encoders_clip_and_keeps_its_hash_but_no_fit_of_another_clip():
    suite, closed = SUITES["ucf101-open-v1"], SUITES["ucf101-v1"]
    own = suite.clip.model_copy(update={"num_frames": 32, "stride": 2, "resize": (256, 340), "size": 224})
    opened = suite.with_clip(own)
    assert opened.clip == own
    assert suite.with_clip(None) == suite
    assert closed.with_clip(own) == closed
    assert opened.hash == suite.hash != closed.hash
    assert opened.fit_key("finetune", "ucf101") != suite.fit_key("finetune", "ucf101")
    assert closed.fit_key("finetune", "ucf101").keys() == {"stage", "dataset"}
