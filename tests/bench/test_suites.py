"""A suite is what its hashes say."""

from pathlib import Path

import pytest

from bench.data import dataset_manifest, reference_logits, suite_named
from bench.schema import STAGES
from bench.suites.mini_v1 import MINI_V1
from bench.suites.protocol import BUILDS_UPON
from bench.video.datasets.embedded import video_set
from bench.video.decode import PIXEL_CONTRACT
from bench.video.index import Dataset
from corruptions.definition import Definition


def changed(stage: str, **settings):
    return MINI_V1.model_copy(update={stage: getattr(MINI_V1, stage).model_copy(update=settings)})


def test_the_suite_names_the_pixels_that_this_version_decodes():
    assert MINI_V1.pixel_contract == PIXEL_CONTRACT


@pytest.mark.parametrize("name", ["appearance", "motion"])
def test_the_pinned_manifest_is_that_of_the_generated_set(name):
    train, validation, test = (video_set(name, split, Path()) for split in ("train", "validation", "test"))
    dataset = Dataset(name=name, train=train, validation=validation, test=test)
    assert MINI_V1.dataset(name).manifest_hash == dataset_manifest(dataset)
    assert MINI_V1.dataset(name).num_classes == len(train.class_names)


@pytest.mark.parametrize("name", ["appearance", "motion"])
def test_the_reference_teachers_table_fits_the_training_videos(name):
    videos = len(video_set(name, "train", Path())) + len(video_set(name, "validation", Path()))
    table = reference_logits(MINI_V1)[name]
    assert table.shape == (videos, MINI_V1.distillation.views, MINI_V1.dataset(name).num_classes)


def test_every_corruption_of_the_suite_is_one_that_exists():
    for name in MINI_V1.robustness.corruptions:
        assert Definition.parse(name).name == name


def test_a_name_a_status_or_words_are_no_part_of_a_suites_hash():
    assert MINI_V1.model_copy(update={"name": "other", "status": "draft", "about": None}).hash == MINI_V1.hash


@pytest.mark.parametrize("stage", STAGES)
def test_a_new_version_of_a_stage_changes_its_hash_and_those_that_build_upon_it(stage):
    other = changed(stage, version=99)
    moved = {name for name in STAGES if other.stage_hash(name) != MINI_V1.stage_hash(name)}
    assert moved == {stage} | {name for name in STAGES if stage in BUILDS_UPON[name]}
    assert other.hash != MINI_V1.hash


def test_another_clip_changes_every_stage():
    other = MINI_V1.model_copy(update={"clip": MINI_V1.clip.model_copy(update={"stride": 2})})
    assert all(other.stage_hash(stage) != MINI_V1.stage_hash(stage) for stage in STAGES)


def test_an_unknown_suite_is_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"no suite 'mini'.*mini-v1.*--data"):
        suite_named("mini")
