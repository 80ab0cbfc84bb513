"""The four noises written straight from the formulas of their sources, and their exact laws, for comparison.

Formulas: hendrycks/robustness `make_imagenet_c.py`, rose-ar `pert_fns.py` (the same but for the constants), with
skimage's `random_noise(mode="s&p")` written out.
"""

from functools import cache

import numpy as np
from scipy import stats

from corruptions.definition import FAMILIES, TABLES

GREY = np.arange(256)

EVERY_NOISE = sorted({(family, float(c)) for t in TABLES.values() for family in FAMILIES for c in t.constants[family]})


def sample(values, family, c, rng):
    """uint8 values in, uint8 values out, as the sources draw them."""
    x = values / 255.0
    if family == "gaussian":
        noisy = np.clip(x + rng.normal(size=x.shape, scale=c), 0, 1) * 255
    elif family == "shot":
        noisy = np.clip(rng.poisson(x * c) / float(c), 0, 1) * 255
    elif family == "speckle":
        noisy = np.clip(x + x * rng.normal(size=x.shape, scale=c), 0, 1) * 255
    else:
        flipped = rng.random(x.shape) <= c
        salted = rng.random(x.shape) <= 0.5
        x = np.where(flipped & salted, 1.0, x)
        noisy = np.clip(np.where(flipped & ~salted, 0.0, x), 0, 1) * 255
    return noisy.astype(np.uint8)


@cache
def law(family, c):
    """P(out = k | in = x) at [x, k]."""
    x, k = GREY[:, None], GREY
    if family == "impulse":
        return (1 - c) * (k == x) + c / 2 * (k == 0) + c / 2 * (k == 255)
    if family == "shot":
        counts = np.arange(int(c) * 3 + 100)
        outcome = (np.clip(counts / float(c), 0, 1) * 255).astype(np.uint8)
        at_count = stats.poisson.pmf(counts, x / 255.0 * c)
        return np.stack([at_count[:, outcome == k].sum(axis=1) for k in GREY], axis=1)
    scale = np.maximum(c if family == "gaussian" else c * x / 255, 1e-9)  # black under speckle: no noise to speak of
    from_below = stats.norm.cdf(np.arange(257) / 255, loc=x / 255, scale=scale)
    from_above = stats.norm.sf(np.arange(257) / 255, loc=x / 255, scale=scale)
    # Differences of the smaller tail keep their digits.
    out = np.where(k < x, np.diff(from_below), -np.diff(from_above))
    out[:, 0] = from_below[:, 1]
    out[:, 255] = from_above[:, 255]
    return out


def chi_square_p(counts, law_row):
    """p-value of observed counts against a law; cells are pooled until ten are expected in each."""
    expected = law_row * counts.sum()
    edges, filled = [0], 0.0
    for k, e in enumerate(expected):
        filled += e
        if filled >= 10:
            edges.append(k + 1)
            filled = 0.0
    edges[-1] = 256
    if len(edges) < 3:
        return 1.0
    observed = np.add.reduceat(counts, edges[:-1])
    wanted = np.add.reduceat(expected, edges[:-1])
    statistic = ((observed - wanted) ** 2 / wanted).sum()
    return float(stats.chi2.sf(statistic, len(observed) - 1))
