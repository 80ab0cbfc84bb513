"""An encoder whose weights are gone, but whose features are in the cache: what features suffice for is scored anew.

Features are kept by encoder, clips and precision, not by the stage that first asked for them. So probe, retrieval and the
probe under noise of an old submission follow from what is kept, also with other settings, and so does a new stage that
asks for nothing but `bench.forward.features`. What is not kept is never made up: it ends in a sentence.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from bench.cache import Cache
from bench.guesses import StageOutput
from bench.run import Videos, cache_folder, case_for, orders_for
from bench.schema import Card, Score
from bench.scoring import join, score
from bench.stages import linear_probe, retrieval
from bench.stages.case import Case
from bench.suites.protocol import Suite

Stage = Callable[[Case], StageOutput]


class RememberedEncoder:
    """What a row's card says of its encoder; asked to read a clip, it says that it cannot."""

    def __init__(self, card: Card) -> None:
        self.name, self.architecture, self.weight_hash = card.name, card.architecture, card.weight_hash
        self.feature_dim, self.normalisation = card.feature_dim, card.normalisation
        self._parameters = card.parameters

    @property
    def parameters(self) -> int:
        """How many weights it computed with."""
        return self._parameters

    @property
    def trunk(self) -> nn.Module | None:
        """None: nothing can be trained."""
        return None

    def accepts(self, _frames: int, _height: int, _width: int) -> str | None:
        """None: it took the clips when it was judged."""
        return None

    def encode(self, _clips_BCTHW: Tensor) -> NoReturn:
        """Refuse."""
        raise ValueError(
            f"Features of {self.name} that are asked for are not in the cache, and its weights are not here. "
            "Evaluate its checkpoint once more."
        )

    def layers(self, clips_BCTHW: Tensor) -> dict[str, Tensor]:
        """Refuse."""
        self.encode(clips_BCTHW)


def score_again(
    card: Card,
    suite: Suite,
    videos: Mapping[str, Videos],
    cache: Path,
    stages: Sequence[Stage] = (linear_probe.run, retrieval.run),
) -> list[Score]:
    """Scores of an old submission from its features alone.

    Args:
        card: Of its result.
        suite: The settings to score it by now; its clip and precision must be those of then.
        videos: As they are opened for the suite.
        cache: The folder that its judging was given.
        stages: What to score: stages that ask for features and nothing else.

    Raises:
        ValueError: If features are missing.
    """
    encoder = RememberedEncoder(card)
    orders = orders_for(encoder, suite, videos, nn.Identity, cache, None, torch.device("cpu"))
    found: list[Score] = []
    for name, order in orders.items():
        case = case_for(order, Cache(cache_folder(cache, videos[name])))
        guesses = [guess for stage in stages for guess in stage(case).guesses]
        dataset = videos[name].dataset
        found += score(join(guesses, dataset.test), [], suite, dataset)
    return found
