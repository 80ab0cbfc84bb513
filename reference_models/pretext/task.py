"""The contract of a pretext task: which frames, which question, which head, which loss.

A task says nothing about optimisers, colours or crops: those are the recipe's. Members are frozen dataclasses, one file
each, beside this one. All chance comes from the generator passed in or, inside `loss`, from torch's generator, which the
training loop seeds anew for every step.

Shapes: B videos of a batch, N rows of a video, R frames of a row, T frames of a clip, H W rows and columns, D features.
"""

from collections.abc import Mapping
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.schema import ClipSpec


class Task(Protocol):
    """What a network is asked in pretraining."""

    @property
    def words(self) -> str:
        """The question, for cards: `clip order prediction`."""
        ...

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Of the task."""
        ...

    @property
    def clips_per_video(self) -> int:
        """Clips that pass through the backbone forward and backward for one video: what a step costs is counted in these."""
        ...

    @property
    def draws(self) -> tuple[int, ...]:
        """For each of the N rows, the number of its draw of place and colours: rows of one number are augmented alike."""
        ...

    @property
    def chance(self) -> Mapping[str, float]:
        """What guessing gives of each number that `loss` names, where that is known: `{"accuracy": 1 / 6}`."""
        ...

    def span(self, clip: ClipSpec) -> int:
        """Source frames a video must have; shorter ones are left out."""
        ...

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """None if the task makes sense on this backbone, else the sentence why not and what to take instead."""
        ...

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """Frame numbers [N, R] of one video, in their true order. R is `clip.num_frames` unless the task needs more of a row."""
        ...

    def make_example(self, places_NR: NDArray[np.int64], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The question and its answer: `clips` [N, R], and what the loss wants besides.

        No pixels are seen here. What comes in are the places of the chosen frames, counted from 0 row by row; `clips` are
        those of them that are shown, N rows of whichever length, and only their pixels are read. Each row keeps to one of the
        chosen rows. A slice is cut as was drawn for that one; colours, and boxes that are resized, are those of its own number.
        """
        ...

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """What stands beside the trunk and is thrown away afterwards; momentum encoders and queues are parts (buffers) of it."""
        ...

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Of a batch whose `clips` are augmented and normalised, [B, N, 3, R, H, W]; and numbers to log, such as `accuracy`."""
        ...
