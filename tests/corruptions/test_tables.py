"""The tables hold the law of the source's formula, for every value, and are the released ones."""

import time

import numpy as np
import pytest

from corruptions import tables
from corruptions.table_digests import DIGESTS
from tests.corruptions import reference

every_noise = pytest.mark.parametrize(("family", "constant"), reference.EVERY_NOISE)


def drawn_law(family, constant):
    """P(out = k | in = x) in units of 2**-16, counted from what each entry gives for its 256 thresholds."""
    table = tables.alias_table(family, constant).reshape(256, 256).astype(int)
    own, alias = (table >> 8) + 128, table & 255
    x, column = np.ogrid[:256, :256]
    counts = np.zeros((256, 256), int)
    np.add.at(counts, (x, column), own)
    np.add.at(counts, (x, alias), 256 - own)
    return counts


def test_what_an_entry_gives_is_what_all_65536_draws_give():
    bits = np.arange(-(1 << 15), 1 << 15, dtype=np.int16)
    column = bits & np.int16(255)
    entry = tables.alias_table("shot", 250).reshape(256, 256)[77][column]
    outcome = np.where((bits >> 8) < (entry >> 8), column, entry & 255)
    np.testing.assert_array_equal(np.bincount(outcome, minlength=256), drawn_law("shot", 250)[77])


@every_noise
def test_the_table_is_the_exact_law_to_the_last_of_sixteen_bits(family, constant):
    drawn, exact = drawn_law(family, constant) / 65536, reference.law(family, constant)
    assert np.abs(np.cumsum(drawn, axis=1) - np.cumsum(exact, axis=1)).max() <= 2**-17 + 1e-9

    grey = reference.GREY
    means = [(law * grey).sum(axis=1) for law in (drawn, exact)]
    spreads = [np.sqrt((law * grey**2).sum(axis=1) - mean**2) for law, mean in zip((drawn, exact), means, strict=True)]
    assert np.abs(means[0] - means[1]).max() < 0.01  # grey levels
    assert np.abs(spreads[0] - spreads[1]).max() < 0.02
    np.testing.assert_allclose(tables.mean_shift(family, constant), means[0] - grey, atol=1e-9)


@every_noise
def test_the_alias_table_loses_nothing_of_the_rounded_law(family, constant):
    np.testing.assert_array_equal(drawn_law(family, constant), tables.quantised_law(family, constant))


@every_noise
def test_no_probability_lies_where_another_machine_could_round_it_the_other_way(family, constant):
    scaled = tables.cumulative_law(family, constant) * 65536
    from_half = np.abs(scaled - np.floor(scaled) - 0.5)
    assert from_half.min() > 1e-6  # errors of float64 here stay below 1e-7


def test_every_released_table_has_a_digest_and_no_digest_lacks_a_table():
    assert {(family, c) for family, pins in DIGESTS.items() for c in pins} == set(reference.EVERY_NOISE)


@every_noise
def test_a_table_is_the_released_one(family, constant):
    assert tables.table_digest(tables.alias_table(family, constant)) == DIGESTS[family][constant]


def test_a_table_that_came_out_otherwise_is_refused(monkeypatch):
    monkeypatch.setitem(DIGESTS["gaussian"], 0.08, "0" * 64)
    tables.alias_table.cache_clear()
    with pytest.raises(AssertionError, match="would not be comparable"):
        tables.alias_table("gaussian", 0.08)


def test_a_table_is_built_once_and_cannot_be_written_to():
    table = tables.alias_table("shot", 50)
    assert tables.alias_table("shot", 50) is table
    with pytest.raises(ValueError, match="read-only"):
        table[0] = 1


def test_a_table_is_built_in_a_tenth_of_a_second():
    took = []
    for family, constant in reference.EVERY_NOISE[::6]:
        start = time.process_time()
        tables.table_digest(tables._pack(*tables._alias(tables.quantised_law(family, constant))))
        took.append(time.process_time() - start)
    assert np.median(took) < 0.1


def test_impulse_leaves_what_it_does_not_replace():
    assert (tables.quantised_law("impulse", 0.03).diagonal()[1:255] == 65536 - 2 * 983).all()


def test_speckle_and_shot_leave_black_black():
    for family, constant in (("speckle", 0.6), ("shot", 3)):
        assert tables.quantised_law(family, constant)[0, 0] == 65536
