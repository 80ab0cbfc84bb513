"""What a stage is given: one encoder, one data set, the suite, and where to keep what it computes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bench.cache import Cache
from bench.encoder import Encoder, StudentFactory, encoder_hash
from bench.suites.protocol import DatasetProtocol, Suite
from bench.video.clips import Clips
from bench.video.index import Dataset

Report = Callable[[str, float], None]
"""Called with a few words and the share done, 0 to 1. Raises to stop the work (a lost lease, Ctrl-C)."""


@dataclass(frozen=True)
class Case:
    """One encoder on one data set of one suite. Test labels are withheld from it."""

    encoder: Encoder
    suite: Suite
    dataset: Dataset
    """Its test set carries no labels."""

    clips: Clips
    """The clips of every split: from the frame store, and noised at native resolution."""

    cache: Cache
    training: Path
    """Folder for the state of unfinished trainings."""

    device: torch.device
    report: Report
    student: StudentFactory
    """Makes the suite's student, freshly initialised."""

    reference_logits: NDArray[np.float32] | None
    """Logits of the suite's reference teacher on the fixed training clips, [videos, views, classes]; None for own videos."""

    @property
    def protocol(self) -> DatasetProtocol:
        """The data set's place in the suite."""
        return self.suite.dataset(self.dataset.name)

    @property
    def encoder_hash(self) -> str:
        """Part of every cache key."""
        return encoder_hash(self.encoder)

    @property
    def num_classes(self) -> int:
        """Of the labels."""
        return self.protocol.num_classes

    def reporting(self, report: Report) -> "Case":
        """The same case with its progress told elsewhere."""
        return replace(self, report=report)
