"""Multinomial logistic regression with an L2 penalty, solved until the gradient says so.

Minimises mean cross-entropy + lambda / 2 |W|^2 over weights W and bias b; the bias is free. Everything is float64.

The features are turned once into their principal axes (an SVD; with fewer examples than features this also makes the
problem smaller), where the Hessian at W = 0 is s^2 / (N K) + lambda on the diagonal. L-BFGS works on weights scaled by
its root, for every lambda alike, which takes half the steps or fewer. The optimum is the same: the penalty is strictly
convex in W, and b is determined up to a constant over classes, fixed by starting at zero.

Shapes: N examples, D features, K classes, E principal axes.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

Floats = NDArray[np.float64]

OBJECTIVE = 5e-7
"""What going on may gain, or the solution does not stand: with a weak penalty a small gradient may still be far from the optimum."""

TIGHTENINGS = 6
MOST_STEPS = 20_000

SMALL = 10**8
"""Multiply-accumulates of one product below which a second BLAS thread costs more in waiting than it computes."""


@dataclass(frozen=True)
class LogisticProblem:
    """Standardised features and labels."""

    features_ND: Floats
    labels_N: NDArray[np.int64]
    num_classes: int

    @property
    def _small(self) -> bool:
        count, width = self.features_ND.shape
        return bool(count * min(count, width) * self.num_classes < SMALL)

    def _threads(self) -> AbstractContextManager[object]:
        return threadpool_limits(1, "blas") if self._small else nullcontext()

    @cached_property
    def _axes(self) -> tuple[Floats, Floats, Floats]:
        """Principal axes [D, E], the features along them [N, E], and their squared lengths [E]."""
        left_NE, length_E, axes_ED = np.linalg.svd(self.features_ND, full_matrices=False)
        return axes_ED.T, left_NE * length_E, length_E**2

    def solve(self, strength: float, tolerance: float) -> tuple[Floats, Floats]:
        """Weights [D, K] and bias [K] at which no entry of the gradient exceeds the tolerance and going on gains nothing.

        Raises:
            ValueError: If that cannot be reached in float64.
        """
        with self._threads():
            return self._solve(strength, tolerance)

    def _solve(self, strength: float, tolerance: float) -> tuple[Floats, Floats]:
        axes_DE, turned_NE, squares_E = self._axes
        count, classes = len(self.labels_N), self.num_classes
        design_NF = np.concatenate([turned_NE, np.ones((count, 1))], axis=1)
        # A copy makes a large product a quarter cheaper; in small ones it is not worth other last bits.
        design_FN = design_NF.T if self._small else np.ascontiguousarray(design_NF.T)
        penalty_F1 = np.append(np.full(len(squares_E), strength), 0.0)[:, None]
        root_F1 = np.sqrt(np.append(squares_E / count, 1.0) / classes + penalty_F1[:, 0])[:, None]
        right_NK = np.zeros((count, classes))
        right_NK[np.arange(count), self.labels_N] = 1

        def gradient(weights_FK: Floats) -> tuple[float, Floats]:
            logits_NK = design_NF @ weights_FK
            total_N1 = _log_sum_exp(logits_NK)
            loss = float((total_N1.sum() - (logits_NK * right_NK).sum()) / count)
            said_NK = np.exp(np.subtract(logits_NK, total_N1, out=logits_NK), out=logits_NK)
            said_NK -= right_NK
            said_NK /= count
            slope_FK = design_FN @ said_NK
            return loss + float((penalty_F1 * weights_FK**2).sum()) / 2, slope_FK + penalty_F1 * weights_FK

        def scaled(point: Floats) -> tuple[float, Floats]:
            value, slope_FK = gradient(point.reshape(-1, classes) / root_F1)
            return value, (slope_FK / root_F1).ravel()

        point, aim, steepest = np.zeros(design_NF.shape[1] * classes), tolerance, np.inf
        reached: tuple[float, Floats] | None = None  # objective and weights where the gradient is small enough
        for _ in range(TIGHTENINGS):
            found = minimize(
                scaled,
                point,
                jac=True,
                method="L-BFGS-B",
                options={"gtol": aim, "ftol": OBJECTIVE / 500 if reached else 0, "maxiter": MOST_STEPS, "maxcor": 20},
            )
            point = found.x
            weights_FK = point.reshape(-1, classes) / root_F1
            slope_FK = gradient(weights_FK)[1]
            steepest = max(float(np.abs(axes_DE @ slope_FK[:-1]).max(initial=0)), float(np.abs(slope_FK[-1]).max()))
            if steepest <= tolerance:
                if reached is not None and reached[0] - found.fun <= OBJECTIVE:
                    break  # going on gained nothing: what was reached stands
                reached = found.fun, weights_FK
                if float((slope_FK[:-1] ** 2).sum()) <= 2 * strength * OBJECTIVE:
                    break  # with this penalty, and this bias, there is no more to gain
            aim /= 10
        if reached is None:
            raise ValueError(
                f"The linear probe did not converge at strength {strength:g}: an entry of the gradient is still {steepest:.1e}, "
                f"{tolerance:.1e} is asked for. Ask for a larger tolerance."
            )
        return axes_DE @ reached[1][:-1], reached[1][-1]


def _log_sum_exp(logits_NK: Floats) -> Floats:
    """Of each row, [N, 1]: to the last bit scipy.special.logsumexp of finite numbers, in a third of its time."""
    most_N1 = logits_NK.max(axis=1, keepdims=True)
    largest_NK = logits_NK == most_N1
    powers_NK = np.subtract(logits_NK, most_N1)
    np.exp(powers_NK, out=powers_NK)
    powers_NK[largest_NK] = 0.0
    times_N1 = largest_NK.sum(axis=1, keepdims=True, dtype=np.float64)
    total_N1: Floats = np.log1p(powers_NK.sum(axis=1, keepdims=True) / times_N1) + np.log(times_N1) + most_N1
    return total_N1
