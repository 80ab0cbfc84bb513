"""From a task's places to pixels: what is shown is read, and nothing else."""

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest

from bench.names import generator
from bench.schema import ClipSpec
from reference_models.augmentation import Augmentation
from reference_models.batches import Chosen, batches
from reference_models.pretext.prp import PlaybackRate
from reference_models.recipes.recipe import Recipe

CLIP = ClipSpec(num_frames=16, resize=(20, 24), size=16)


@dataclass
class PaintedStore:
    """Every pixel of a frame carries the frame's number, its row and its column."""

    read: list[int] = field(default_factory=list)

    def num_frames(self, _video_id):
        return 90

    def frame_size(self, _video_id):
        return CLIP.resize

    def clips(self, _video_id, frame_numbers, crops):
        rows = []
        for numbers, crop in zip(frame_numbers, crops, strict=True):
            self.read += [int(number) for number in numbers]
            top, left, height, width = (crop[0], crop[1], crop[2], crop[2]) if crop else (0, 0, *CLIP.resize)
            frames, places, columns = np.meshgrid(
                numbers, np.arange(top, top + height), np.arange(left, left + width), indexing="ij"
            )
            rows.append(np.stack([frames, places, columns], axis=-1).astype(np.uint8))
        return rows


class LastFirst:
    """Two rows, shown the other way round, each by its first two frames."""

    draws = (0, 1)

    def choose_frames(self, _num_frames, _clip, _rng):
        return np.array([[3, 4, 5, 6], [70, 71, 72, 73]])

    def make_example(self, places_NR, _rng):
        return {"clips": places_NR[::-1, :2]}


class OneVideo(SimpleNamespace):
    """As much of a set of videos as is asked for."""

    def __len__(self):
        return len(self.ids)


def batch_of(task, store, augmentation):
    recipe = Recipe(
        name="test-batches",
        title="Batches",
        architecture="none",
        task=task,
        videos="motion",
        clip=CLIP,
        batch_size=1,
        steps=1,
        learning_rate=1.0,
        weight_decay=0.0,
        augmentation=augmentation,
    )
    videos = OneVideo(ids=("one",), videos=(SimpleNamespace(label=None),))
    return batches(recipe, Chosen("motion", task, videos, store, 0))(0).tensors["clips"][0].numpy()


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_a_row_that_is_moved_takes_its_frames_and_its_cut_with_it(flip):
    augmentation = Augmentation(flip=flip)
    shown = batch_of(LastFirst(), PaintedStore(), augmentation)
    cuts = augmentation.draw(generator("pretrain", "test-batches", 0, 0, "one"), (0, 1), CLIP.resize, 16).cuts
    assert shown.shape == (2, 2, 16, 16, 3)
    assert shown[..., 0].min((2, 3)).tolist() == shown[..., 0].max((2, 3)).tolist() == [[70, 71], [3, 4]]
    for row, cut in zip(shown, cuts[::-1], strict=True):
        assert row[0, :, 0, 1].tolist() == list(range(cut.top, cut.top + 16))
        columns = list(range(cut.left, cut.left + 16))
        assert row[0, 0, :, 2].tolist() == (columns[::-1] if flip else columns)


def test_where_boxes_are_resized_a_row_that_is_moved_takes_its_frames_with_it_as_they_are_stored():
    shown = batch_of(LastFirst(), PaintedStore(), Augmentation(crop="resized"))
    assert shown.shape == (2, 2, *CLIP.resize, 3)
    assert shown[..., 0].min((2, 3)).tolist() == shown[..., 0].max((2, 3)).tolist() == [[70, 71], [3, 4]]
    assert shown[1, 1, 7, 9].tolist() == [4, 7, 9]


def test_of_a_long_stretch_only_the_frames_that_are_shown_are_read():
    store = PaintedStore()
    batch_of(PlaybackRate((4,)), store, Augmentation())
    start = min(store.read)
    looks = {16 * segment + frame for segment in range(4) for frame in (0, 5, 10, 15)}
    assert {number - start for number in store.read} == set(range(0, 64, 2)) | looks
