"""Linear probe: how linearly separable are the features of the fixed trunk?

One row a video (the mean over its views), standardised by the mean and standard deviation of the videos it is fitted on; multinomial
logistic regression, solved to a tolerance, so nothing is left to a schedule or a seed. The strength of the penalty is
chosen on validation (of equals the strongest), then the probe is fitted again on training and validation videos together.
Probes of the other strengths are fitted likewise, so that the scorer can tell what choosing by the test set would have gained.

`fit` is also for the stages that read the fitted probe: it comes from the cache where it is there.

Shapes: N videos, D features, K classes.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.cache import Key
from bench.forward import features
from bench.guesses import Guesses, StageOutput, rank_labels
from bench.schema import CLEAN
from bench.stages import selection
from bench.stages.case import Case
from bench.stages.logistic import LogisticProblem

Floats = NDArray[np.float64]
Values = NDArray[np.float32]


@dataclass(frozen=True)
class FittedProbe:
    """A linear classifier of view-averaged features."""

    weights_DK: Floats
    """Of standardised features."""

    bias_K: Floats
    mean_D: Floats
    scale_D: Floats
    """Standard deviation; infinity for a feature that never changes, which is thereby left out."""

    strength: float
    """Of the penalty; chosen on validation."""

    validation: dict[float, float]
    """Accuracy on validation by strength, of probes fitted on the training videos alone."""

    def logits(self, features_ND: NDArray[np.floating]) -> Values:
        """[N, D] to [N, K]."""
        standard_ND = (features_ND.astype(np.float64) - self.mean_D) / self.scale_D
        logits_NK: Values = (standard_ND @ self.weights_DK + self.bias_K).astype(np.float32)
        return logits_NK


def run(case: Case) -> StageOutput:
    """Guesses of the fitted probe for the test videos."""
    probe = fit(case)
    seen = features(case, "test", case.suite.views.test)[CLEAN]
    facts: dict[str, float | int | str] = {"strength": probe.strength}
    facts |= {f"validation_accuracy.{strength:g}": accuracy for strength, accuracy in probe.validation.items()}
    guesses = Guesses("linear_probe", case.dataset.name, case.dataset.test.ids, rank_labels(probe.logits(seen)))
    others = {f"strength {other.strength:g}": other.logits(seen) for other in path(case, probe)}
    return StageOutput((guesses, *selection.candidates(case, "linear_probe", others)), facts=facts)


def fit(case: Case) -> FittedProbe:
    """The probe of this encoder on this data set."""
    settings = case.suite.linear_probe
    stored = case.cache.get("linear_probe", _key(case))
    if stored is None:
        train = features(case, "train", case.suite.views.train)[CLEAN]
        validation = features(case, "validation", case.suite.views.train)[CLEAN]
        held_out = case.dataset.validation.labels
        strengths = sorted(settings.strengths, reverse=True)
        accuracies = []
        problem, mean_D, scale_D = _standardised(train, case.dataset.train.labels, case.num_classes)
        for number, strength in enumerate(strengths):
            case.report(f"probe of strength {strength:g}", number / (len(strengths) + 1))
            weights_DK, bias_K = problem.solve(strength, settings.tolerance)
            guessed = FittedProbe(weights_DK, bias_K, mean_D, scale_D, strength, {}).logits(validation).argmax(1)
            accuracies.append(float((guessed == held_out).mean()))
        chosen = strengths[int(np.argmax(accuracies))]  # the first of equals: the strongest
        case.report("probe on all training videos", len(strengths) / (len(strengths) + 1))
        problem, mean_D, scale_D = _all_videos(case)
        weights_DK, bias_K = problem.solve(chosen, settings.tolerance)
        stored = {
            "weights": weights_DK,
            "bias": bias_K,
            "mean": mean_D,
            "scale": scale_D,
            "strength": np.array([chosen]),
            "strengths": np.array(strengths),
            "accuracies": np.array(accuracies),
        }
        case.cache.put("linear_probe", _key(case), stored)
    return FittedProbe(
        stored["weights"],
        stored["bias"],
        stored["mean"],
        stored["scale"],
        float(stored["strength"][0]),
        dict(zip(stored["strengths"].tolist(), stored["accuracies"].tolist(), strict=True)),
    )


def path(case: Case, chosen: FittedProbe) -> list[FittedProbe]:
    """Probes of all strengths on all training videos, the strongest first. The chosen one is among them; nothing is chosen here."""
    strengths = list(chosen.validation)
    stored = case.cache.get("linear_probe_path", _key(case))
    if stored is None:
        problem, _, _ = _all_videos(case)
        solved = []
        for number, strength in enumerate(strengths):
            case.report(f"probe of strength {strength:g} on all training videos", number / len(strengths))
            known = chosen.weights_DK, chosen.bias_K
            again = strength != chosen.strength
            solved.append(problem.solve(strength, case.suite.linear_probe.tolerance) if again else known)
        stored = {
            "weights": np.stack([weights_DK for weights_DK, _ in solved]),
            "bias": np.stack([bias_K for _, bias_K in solved]),
        }
        case.cache.put("linear_probe_path", _key(case), stored)
    return [
        replace(chosen, weights_DK=stored["weights"][number], bias_K=stored["bias"][number], strength=strength)
        for number, strength in enumerate(strengths)
    ]


def _key(case: Case) -> Key:
    return {
        **case.suite.fit_key("linear_probe", case.dataset.name),
        "encoder": case.encoder_hash,
        "precision": case.suite.precision,
    }


def _all_videos(case: Case) -> tuple[LogisticProblem, Floats, Floats]:
    """Training and validation videos together."""
    views, sets = case.suite.views.train, (case.dataset.train, case.dataset.validation)
    values_ND = np.concatenate([features(case, split, views)[CLEAN] for split in ("train", "validation")])
    return _standardised(values_ND, np.concatenate([one.labels for one in sets]), case.num_classes)


def _standardised(
    features_ND: Values, labels_N: NDArray[np.int64], num_classes: int
) -> tuple[LogisticProblem, Floats, Floats]:
    wide_ND = features_ND.astype(np.float64)
    mean_D, scale_D = wide_ND.mean(axis=0), wide_ND.std(axis=0)
    # A feature whose spread is float32 rounding says nothing; dividing by that spread would make it as loud as any other.
    scale_D = np.where(scale_D > 1e-6 * np.abs(mean_D) + 1e-12 * scale_D.max(), scale_D, np.inf)
    return LogisticProblem((wide_ND - mean_D) / scale_D, labels_N, num_classes), mean_D, scale_D
