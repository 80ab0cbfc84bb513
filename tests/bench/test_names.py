import numpy as np

from bench.names import generator, seed_of


def test_the_same_names_always_give_the_same_number():
    assert seed_of("finetune", 0, 3, "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01") == 6848349216385282855
    assert 0 <= seed_of() < 2**63


def test_other_names_or_another_order_give_another_number():
    names = [("a", "b"), ("b", "a"), ("ab",), ("a", "b", ""), ("a,b",), (1,), ("1",), (1, 1), (11,), ("é",), ("e",)]
    assert len({seed_of(*name) for name in names}) == len(names)


def test_generators_of_one_name_draw_the_same():
    np.testing.assert_array_equal(generator("clip", 7).random(5), generator("clip", 7).random(5))
    assert generator("clip", 7).random() != generator("clip", 8).random()
