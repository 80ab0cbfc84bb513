import numpy as np
import pytest

from bench.stages import retrieval
from bench.stages.retrieval import nearest
from tests.bench.stages.judged_case import judged_case
from tests.bench.stages.known_nets import Constant, OracleNet


def by_definition(queries, gallery, k):
    unit = [row / np.linalg.norm(row) if row.any() else row for row in gallery.astype(float)]
    found = []
    for query in queries.astype(float):
        query = query / np.linalg.norm(query) if query.any() else query
        cosine = [round(float(query @ row) * 2**40) for row in unit]
        found.append(sorted(range(len(gallery)), key=lambda at: (-cosine[at], at))[:k])
    return np.array(found)


def test_neighbours_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    queries, gallery = rng.normal(size=(30, 7)).astype(np.float32), rng.normal(size=(90, 7)).astype(np.float32)
    for k in (1, 5, 89, 90):
        np.testing.assert_array_equal(nearest(queries, gallery, k), by_definition(queries, gallery, k))


def test_equals_come_in_order_also_where_the_list_is_cut_and_lengths_do_not_count():
    rng = np.random.default_rng(1)
    gallery = np.repeat(rng.normal(size=(5, 6)), 8, axis=0)[rng.permutation(40)] * rng.choice([1, 2, 4], size=(40, 1))
    queries = rng.normal(size=(600, 6))
    for k in (1, 3, 11, 20):
        found = nearest(queries.astype(np.float32), gallery.astype(np.float32), k)
        np.testing.assert_array_equal(found, by_definition(queries, gallery, k))


@pytest.mark.parametrize(
    "kind", ["apart", "about one direction", "nearly equal", "some copied", "all copied", "widths"]
)
def test_what_float32_cannot_tell_apart_is_told_apart_as_by_float64(kind):
    rng = np.random.default_rng(2)
    queries, gallery = rng.normal(size=(40, 24)), rng.normal(size=(400, 24))
    if kind == "about one direction":
        queries, gallery = queries + 5, gallery + 5
    if kind == "nearly equal":
        queries, gallery = 1 + 1e-4 * queries, 1 + 1e-4 * gallery
    if kind == "some copied":
        gallery[200:] = gallery[rng.integers(200, size=200)]
    if kind == "all copied":
        gallery = gallery[rng.integers(9, size=400)]
    if kind == "widths":
        gallery[:, :20] *= 1e-6
    queries, gallery = queries.astype(np.float32), gallery.astype(np.float32)
    for k in (1, 10, 50):
        np.testing.assert_array_equal(nearest(queries, gallery, k), by_definition(queries, gallery, k))


def test_a_feature_without_direction_is_near_to_nothing():
    gallery = np.array([[0, 0], [-1, 0], [1, 0.1]], np.float32)
    np.testing.assert_array_equal(nearest(np.array([[1, 0]], np.float32), gallery, 3), [[2, 0, 1]])


def test_an_oracle_finds_its_class_first_and_the_gallery_is_training_and_validation(tmp_path):
    case = judged_case(tmp_path, net=OracleNet())
    output = retrieval.run(case)
    (guesses,) = output.guesses
    np.testing.assert_array_equal(guesses.ranking_NK[:, :5], np.tile([[n % 3] for n in range(12)], (1, 5)))
    assert output.facts["gallery"] == 30
    assert {split for split, _ in case.clips.asked} == {"train", "validation", "test"}


def test_a_constant_encoder_gets_the_gallery_by_id(tmp_path):
    case = judged_case(tmp_path, net=Constant())
    (guesses,) = retrieval.run(case).guesses
    gallery = sorted(case.dataset.train.ids + case.dataset.validation.ids)
    expected = [int(video_id.split("_")[1]) for video_id in gallery[:5]]
    assert (guesses.ranking_NK == expected).all()
