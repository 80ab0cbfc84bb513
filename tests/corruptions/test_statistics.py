"""What is drawn is the noise it claims to be, and independent wherever it should be.

All draws are seeded by names, so a test that passes passes always. Thresholds: with m p-values in one test, none below
1e-3 / m and no sign against their being uniform (KS p above 1e-3).
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from corruptions.definition import FAMILIES, SEVERITIES, TABLES, Definition
from corruptions.noise import corrupt
from tests.corruptions import reference

VALUES = (0, 1, 2, 5, 10, 20, 40, 64, 100, 127, 128, 160, 200, 230, 250, 255)
DEFAULT_CONDITIONS = list(itertools.product(FAMILIES, SEVERITIES))


def draws_of(value_or_values, definition, severity, video_id, num_frames=4, size=64):
    """[num_frames, size, size, 3] frames of one value (or of values mixed in a fixed order), with noise."""
    shape = (num_frames, size, size, 3)
    frames = np.resize(np.asarray(value_or_values, np.uint8), shape)
    return frames, corrupt(frames, definition, severity, video_id=video_id, frame_numbers=range(num_frames))


def no_sign_against(p_values):
    p_values = np.asarray(p_values)
    assert p_values.min() > 1e-3 / len(p_values), p_values.min()
    if len(p_values) >= 20:
        assert stats.kstest(p_values, "uniform").pvalue > 1e-3


def p_values_against_the_law(definition, severity, video_id, num_frames=4, size=64):
    """One p-value for each of the sixteen values whose outcome is not certain."""
    law = reference.law(definition.family, float(definition.constant(severity)))
    frames, out = draws_of(VALUES, definition, severity, video_id, num_frames, size)
    counts = {x: np.bincount(out[frames == x], minlength=256) for x in VALUES}
    certain = {x for x in VALUES if law[x].max() > 1 - 1e-12}
    for x in certain:
        assert counts[x][law[x].argmax()] == counts[x].sum()
    # A certain outcome pools into one cell and says nothing.
    return [reference.chi_square_p(counts[x], law[x]) for x in VALUES if law[x].max() < 0.999]


def test_all_conditions_at_sixteen_values_follow_the_exact_law():
    p_values = [
        p
        for family, severity in DEFAULT_CONDITIONS
        for p in p_values_against_the_law(Definition(family), severity, "law", num_frames=4, size=128)
    ]
    assert len(p_values) > 280
    no_sign_against(p_values)


def p_values_against_sampling(definition, severity, video_id, rng, num_frames=4, size=64):
    """Two samples, ours and one drawn straight from the formula, at each of the sixteen values."""
    c = definition.constant(severity)
    frames, ours = draws_of(VALUES, definition, severity, video_id, num_frames, size)
    theirs = reference.sample(frames, definition.family, c, rng)
    for x in VALUES:
        pair = np.stack([np.bincount(s[frames == x], minlength=256) for s in (ours, theirs)])
        # Cells that saw fewer than twenty in all are pooled into one.
        seen = pair.sum(axis=0)
        pooled = np.concatenate([pair[:, seen >= 20], pair[:, seen < 20].sum(axis=1, keepdims=True)], axis=1)
        pooled = pooled[:, pooled.sum(axis=0) >= 20]
        if pooled.shape[1] > 1:
            yield stats.chi2_contingency(pooled, correction=False).pvalue


def test_all_conditions_at_sixteen_values_look_like_the_formula_sampled():
    rng = np.random.default_rng(3)
    p_values = [
        p
        for family, severity in DEFAULT_CONDITIONS
        for p in p_values_against_sampling(Definition(family), severity, "sampling", rng)
    ]
    assert len(p_values) > 250
    no_sign_against(p_values)


def joint_p(one, other, num_bins=8):
    """Chi-square p of independence of two equally long rows of draws, each cut into bins of about equal size."""
    pair = []
    for row in (one, other):
        below = np.cumsum(np.bincount(row.ravel(), minlength=256)) / row.size
        bin_of_grey = np.minimum((below * num_bins).astype(int), num_bins - 1)
        pair.append(bin_of_grey[row.ravel()])
    a, b = pair
    table = np.bincount(a * num_bins + b, minlength=num_bins**2).reshape(num_bins, num_bins)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    return stats.chi2_contingency(table, correction=False).pvalue


def neighbours(out):
    """Pairs of draws that must know nothing of each other, by name. out: [T, H, W, 3]."""
    yield "column", out[:, :, ::2], out[:, :, 1::2]
    yield "two columns", out[:, :, ::4], out[:, :, 2::4]
    yield "four columns", out[:, :, 0::8], out[:, :, 4::8]
    yield "row", out[:, ::2], out[:, 1::2]
    yield "sixteen rows", out[:, :16], out[:, 16:32]
    yield "diagonal", out[:, ::2, ::2], out[:, 1::2, 1::2]
    yield "red and green", out[..., 0], out[..., 1]
    yield "green and blue", out[..., 1], out[..., 2]
    yield "red and blue", out[..., 0], out[..., 2]
    yield "frame", out[::2], out[1::2]


def independence_p_values(family, video_id, num_frames, size):
    p_values = []
    draws = {}
    for severity in SEVERITIES:
        _, draws[severity] = draws_of(128, Definition(family), severity, video_id, num_frames, size)
        if severity in (1, 3):
            p_values += [joint_p(a, b) for _, a, b in neighbours(draws[severity])]
    p_values += [joint_p(draws[s], draws[t]) for s, t in itertools.combinations(SEVERITIES, 2)]
    for other in (
        draws_of(128, Definition(family), 3, video_id + "x", num_frames, size)[1],
        draws_of(128, Definition(family, position="input"), 3, video_id, num_frames, size)[1],
        draws_of(128, Definition(family, hold=True), 3, video_id, num_frames, size)[1],
    ):
        p_values.append(joint_p(draws[3], other))
    return p_values


def test_pixels_channels_frames_severities_videos_and_positions_are_independent():
    no_sign_against([p for family in FAMILIES for p in independence_p_values(family, "alone", num_frames=8, size=64)])


def test_two_noises_of_one_video_are_independent():
    draws = [draws_of(128, Definition(family), 3, "both", num_frames=8)[1] for family in FAMILIES]
    no_sign_against([joint_p(a, b) for a, b in itertools.combinations(draws, 2)])


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_replaces_each_element_alone_and_splits_salt_and_pepper_evenly(severity):
    definition = Definition("impulse")
    share = definition.constant(severity)
    _, out = draws_of(128, definition, severity, "salt", num_frames=8, size=128)
    assert set(np.unique(out)) == {0, 128, 255}
    salt, pepper = int((out == 255).sum()), int((out == 0).sum())
    assert stats.binomtest(salt, salt + pepper, 0.5).pvalue > 1e-3
    assert stats.binomtest(salt + pepper, out.size, share).pvalue > 1e-3
    # All three channels of a pixel are hit with probability c**3, not c: each element is on its own.
    pixels_hit = int((out != 128).all(axis=-1).sum())
    assert stats.binomtest(pixels_hit, out.size // 3, share**3).pvalue > 1e-3


@pytest.mark.prove
def test_over_many_videos_and_every_constant_of_every_table_the_p_values_are_uniform():
    p_values = []
    for table, constants in TABLES.items():
        for family, severity in itertools.product(constants.constants, SEVERITIES):
            for seed in range(6):
                p_values += p_values_against_the_law(
                    Definition(family, table), severity, f"many/{seed}", num_frames=8, size=128
                )
    assert len(p_values) > 5000
    no_sign_against(p_values)


@pytest.mark.prove
def test_over_many_videos_the_draws_look_like_the_formula_sampled():
    p_values = []
    for seed in range(12):
        rng = np.random.default_rng(100 + seed)
        for family, severity in DEFAULT_CONDITIONS:
            p_values += p_values_against_sampling(Definition(family), severity, f"sampling/{seed}", rng, 8, 128)
    no_sign_against(p_values)


@pytest.mark.prove
def test_over_many_videos_independence_holds():
    p_values = [
        p
        for family in FAMILIES
        for seed in range(12)
        for p in independence_p_values(family, f"many/{seed}", num_frames=16, size=128)
    ]
    no_sign_against(p_values)


@pytest.mark.prove
def test_the_bits_themselves_pass_where_a_weak_generator_would_not():
    """Every bit of every lane is fair, and no two bits of neighbouring words, rows, frames or videos agree too often."""
    from corruptions import bits  # noqa: PLC0415

    steps = bits.circle_steps(0, 512, 0, 128)
    keys = np.concatenate([bits.frame_keys("d", 1, f"v{i}", range(8)) for i in range(4)])
    lanes = bits.random_lanes(keys, steps)  # [32, 512, 512]
    words = np.unpackbits(np.ascontiguousarray(lanes).view(np.uint8), bitorder="little").reshape(32, 512, 128, 64)
    p_values = [stats.binomtest(int(words[..., b].sum()), words[..., b].size, 0.5).pvalue for b in range(64)]
    for one, other in (
        (words[:, :, :-1], words[:, :, 1:]),
        (words[:, :-1], words[:, 1:]),
        (words[:-1], words[1:]),
        (words[..., :-1], words[..., 1:]),
        (words[..., :-16], words[..., 16:]),
    ):
        agree = (one == other).sum(axis=(0, 1, 2))
        p_values += [stats.binomtest(int(k), one[..., 0].size, 0.5).pvalue for k in agree]
    no_sign_against(p_values)
