"""One number out of a curve of accuracies over severities.

Source: the robustness tables of Kumar et al. (arXiv 2504.06153): their "Abs." is the mean accuracy over the four noises
at one severity (its caption calls it a decrease), their "Rel." the decrease of that mean relative to clean accuracy. From the rows
of their Table 12 both follow to the printed digit, with two exceptions that lie in the paper: CVRL's four rows average 13.9,
printed is 13.2 and the 78.4 that belongs to it; VCOP's average 41.6, printed is 41.7. Area and break point are ours.
Everything is a fraction of one; the paper prints per cent.

Shapes: L severities; leading axes (draws of a bootstrap, say) are carried along. `noisy` is the mean over noises.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def relative_decrease(clean: Floats, noisy_L: Floats) -> Floats:
    """(A_clean - A) / A_clean at each severity; NaN where clean accuracy is zero."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decrease_L: Floats = np.where(clean[..., None] > 0, 1 - noisy_L / clean[..., None], np.nan)
    return decrease_L


def area(clean: Floats, noisy_L: Floats, severities_L: Floats) -> Floats:
    """Share of the clean accuracy kept over the whole curve: trapezoid from severity 0 to the last, over its length times clean."""
    curve = np.concatenate([clean[..., None], noisy_L], axis=-1)
    steps = np.diff(np.concatenate([[0.0], severities_L]))
    under = ((curve[..., 1:] + curve[..., :-1]) / 2 * steps).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Floats = np.where(clean > 0, under / (severities_L[-1] * clean), np.nan)
    return share


def break_point(clean: Floats, noisy_L: Floats, severities_L: Floats, chance: float) -> Floats:
    """First severity, interpolated, at which the mean falls below half of what clean accuracy has above chance.

    Infinity where it never does; NaN where clean accuracy is not above chance, so that there is nothing to lose.
    """
    curve = np.concatenate([clean[..., None], noisy_L], axis=-1)
    places = np.concatenate([[0.0], severities_L])
    threshold = chance + (clean - chance) / 2
    below = curve < threshold[..., None]
    first = below.argmax(axis=-1)
    before = np.maximum(first - 1, 0)
    upper = np.take_along_axis(curve, before[..., None], axis=-1)[..., 0]
    lower = np.take_along_axis(curve, first[..., None], axis=-1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = places[before] + (places[first] - places[before]) * (upper - threshold) / (upper - lower)
    found: Floats = np.where(clean > chance, np.where(below.any(axis=-1), crossing, np.inf), np.nan)
    return found
