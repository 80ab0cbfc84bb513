"""Where a run of a recipe should land: so that a person knows after minutes whether he is on track."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WINDOW = 20
"""Steps up to a milestone whose mean is compared."""


@dataclass(frozen=True)
class Milestone:
    """A metric of the task after some steps."""

    step: int
    low: float
    high: float


@dataclass(frozen=True)
class Landing:
    """Ranges from runs that were made; they hold for the recipe's own backbone and videos."""

    metric: str
    """As the task's loss names it."""

    milestones: tuple[Milestone, ...]
    downstream: str
    """What is judged afterwards: `linear_probe top1 on motion`."""

    low: float
    high: float

    def verdict(self, steps: Sequence[Mapping[str, float]]) -> str:
        """A sentence that begins with `In range` or `Out of range`.

        Args:
            steps: What each step logged, as the lines of `training.jsonl`.
        """
        found = [(milestone, self._mean(steps, milestone.step)) for milestone in self.milestones]
        within = all(milestone.low <= value <= milestone.high for milestone, value in found)
        listed = "; ".join(
            f"{value:.2f} at step {milestone.step} ({milestone.low:.2f} to {milestone.high:.2f})"
            for milestone, value in found
        )
        return (
            f"{'In' if within else 'Out of'} range: {self.metric} {listed}. "
            f"When judged, {self.downstream} should be {self.low:.2f} to {self.high:.2f}."
        )

    def _mean(self, steps: Sequence[Mapping[str, float]], step: int) -> float:
        near = [line[self.metric] for line in steps[max(0, step - WINDOW) : step]]
        return sum(near) / len(near)
