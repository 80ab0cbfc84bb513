"""Batches of whole sources: known orders, and a recipe that asks for them."""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from bench.ranks import ALONE
from bench.schema import ClipSpec
from bench.video.index import Video, VideoSet
from reference_models import batches
from reference_models.added import added, settings_of
from reference_models.by_source import by_source
from reference_models.pretext.cvrl import InstanceContrast
from reference_models.recipes.cvrl import mini_cvrl
from reference_models.recipes.named import recipe_named

SOURCES = ("b", "a", "c", "a", "b", "d", "c", "d", "a", "b", "c", "d")
"""Twelve videos, three of each source, in no order."""


def test_every_video_comes_once_an_epoch():
    order = by_source(SOURCES, "a name")
    for epoch in range(3):
        positions = [at for step in range(epoch * 2, epoch * 2 + 2) for at in order(step, 6)]
        assert sorted(positions) == list(range(12))


def test_a_batch_of_a_multiple_of_their_size_holds_whole_sources():
    order = by_source(SOURCES, "a name")
    for step in range(20):
        assert set(Counter(SOURCES[at] for at in order(step, 6)).values()) == {3}
        assert len({SOURCES[at] for at in order(step, 3)}) == 1


def test_another_batch_size_cuts_the_same_order_and_an_epoch_may_end_within_a_batch():
    order = by_source(SOURCES, "a name")
    in_sixes = [at for step in range(10) for at in order(step, 6)]
    in_fives = [at for step in range(12) for at in order(step, 5)]
    assert in_sixes == in_fives


def test_the_order_is_a_function_of_names_and_step():
    forwards, backwards = by_source(SOURCES, "a name", 1), by_source(SOURCES, "a name", 1)
    steps = range(30)
    assert [forwards(step, 6) for step in steps] == [backwards(step, 6) for step in reversed(steps)][::-1]
    assert [forwards(step, 6) for step in steps] != [by_source(SOURCES, "a name", 2)(step, 6) for step in steps]


def test_sources_and_their_videos_stand_differently_in_every_epoch():
    order = by_source(SOURCES, "a name")
    epochs = [order(epoch, 12) for epoch in range(50)]
    assert len({tuple(SOURCES[at] for at in epoch) for epoch in epochs}) > 15  # of 24 orders of the sources
    of_a = {tuple(at for at in epoch if SOURCES[at] == "a") for epoch in epochs}
    assert len(of_a) == 6


def test_sources_of_unequal_size_lose_no_video():
    sources = ("x", "y", "y", "y", "y", "z", "z")
    order = by_source(sources, "a name")
    positions = order(0, 7)
    assert sorted(positions) == list(range(7))
    of_epoch = [sources[at] for at in positions]
    assert sum(one != other for one, other in pairwise(of_epoch)) == 2


class Still:
    """Videos of 16 black frames of 16 x 16."""

    def num_frames(self, _video_id):
        return 16

    def frame_size(self, _video_id):
        return 16, 16

    def clips(self, _video_id, rows, _cuts):
        return [np.zeros((len(row), 16, 16, 3), np.uint8) for row in rows]


@pytest.fixture
def chosen(tmp_path):
    videos = [Video(f"v{at:02d}", tmp_path / f"v{at:02d}.mp4", None, source) for at, source in enumerate(SOURCES)]
    return SimpleNamespace(task=InstanceContrast(), videos=VideoSet("twelve", tuple(videos), ()), store=Still())


def sources_of(chosen, batch):
    return Counter(chosen.videos.video(video_id).source for video_id in batch.video_ids)


def test_a_recipe_that_asks_for_them_gets_batches_of_whole_sources(chosen):
    clip = ClipSpec(num_frames=4, resize=(16, 16), size=16)
    recipe = replace(mini_cvrl(), batch_size=6, batches="by_source", clip=clip)
    make = batches.batches(recipe, chosen, ALONE)
    assert all(set(sources_of(chosen, make(step)).values()) == {3} for step in range(8))
    shuffled = batches.batches(replace(recipe, batches="shuffled"), chosen, ALONE)
    assert any(set(sources_of(chosen, shuffled(step)).values()) != {3} for step in range(8))


@dataclass(frozen=True)
class Old:
    rate: float = 1.0


@dataclass(frozen=True)
class Newer(Old):
    depth: int = added(3)
    names: tuple[str, ...] = field(default=())


def test_a_setting_added_later_counts_only_where_it_is_used():
    assert settings_of(Newer()) == {"rate": 1.0, "names": ()}
    assert settings_of(Newer(depth=4)) == {"rate": 1.0, "depth": 4, "names": ()}
    assert Newer().depth == 3


def test_batches_by_source_are_another_recipe():
    shuffled = replace(mini_cvrl(), batches="shuffled")
    assert "batches" not in shuffled.settings
    assert replace(shuffled, batches="by_source").hash != shuffled.hash


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("mini-rotnet", "2a1e1aa7ee65"),
        ("mini-vcop", "96674b9295f1"),
        ("paper-cvrl", "79fd322c6001"),
        ("paper-tdl", "05ab394cf710"),
        ("paper-rspnet", "62360262fe89"),
        ("paper-videomae", "6e42f0cda0"),
        ("paper-videomae-map", "94bb63734b"),
        ("upstream-videomae", "da646cb432"),
    ],
)
def test_recipes_from_before_these_settings_keep_their_hash(name, begins):
    """The shipped checkpoint is one of mini-rotnet."""
    assert recipe_named(name).hash.startswith(begins)
