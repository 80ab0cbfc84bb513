"""RSPNet: which clip is from the same video, and which is played at the same speed.

Source: Chen et al., "RSPNet: Relative Speed Perception for Unsupervised Video Representation Learning", AAAI 2021;
PeihaoChen/RSPNet at 2958779, moco/builder_diffspeed_diffloss.py (`MoCoDiffLossTwoFc`) and moco/split_wrapper.py.

From each of two windows of a video a clip is taken at one speed, from the second window also one at the other speed. Two
embeddings of a clip: *appearance* must find both clips of the second window among the keys of other videos (A-VID), *motion*
must be nearer to the clip at its own speed than to the one at the other, by a margin (RSP).

Differs from the source:
- which speed the query has is a coin for every video; the source gives the first speed to exactly one half of the batch;
- videos shorter than a window are left out and counted; the source repeats or stretches them;
- batch normalisation by parts of a batch, and the queue, are as in `momentum` and `queue`: one process.

Where videos are hardly longer than two windows, place in time tells a little: the middles of clips at one speed lie nearer to
each other than to the other speed's in 60 % of the pairs in videos of 64 frames. `centred` takes that away.

Shapes: B videos, N = 3 rows (query, key, key at the other speed), T frames, H W rows and columns, D of an embedding, K keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from reference_models.added import added
from reference_models.pretext.momentum import MomentumEncoder, embed, projection_of
from reference_models.pretext.queue import KeyQueue, first_is_largest, key_logits, share_above
from reference_models.pretext.trunk import width_of


@dataclass(frozen=True)
class RelativeSpeed:
    """Settings of the task, with the values of the paper and its code."""

    speed: int = 2
    """The other speed, as a multiple of the clip's own stride."""

    queue: int = 16384
    """Keys of other videos."""

    momentum: float = 0.999
    temperature: float = 0.07
    margin: float = 2.0
    """On similarities over the temperature: 0.14 of a cosine."""

    dim: int = 128
    """Of each of the two embeddings."""

    centred: bool = False
    """Both speeds share the middle of a window (ours), not its first frame as in the source."""

    parts: int = 1
    """Of a batch, normalised apart: the source's GPUs."""

    normalise: bool = False
    """Batch normalisation between features and embeddings (ours)."""

    within_batch: bool = added(False)
    """Keys of the other videos of the batch are negatives too, beside the queue (ours): with batches by source the hard ones."""

    @property
    def words(self) -> str:
        """For cards."""
        return "relative speed perception"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Queries against keys."""
        return "contrastive"

    @property
    def clips_per_video(self) -> int:
        """The query; and two keys, forward only, which cost two thirds of another."""
        return 2

    @property
    def draws(self) -> tuple[int, ...]:
        """The two keys are one window, seen alike at both speeds: places and colours tell nothing about speed."""
        return (0, 1, 1)

    @property
    def chance(self) -> Mapping[str, float]:
        """One key of all, as many as queue and batch hold where the batch counts too; one speed of two."""
        return (
            {"speed_accuracy": 0.5} if self.within_batch else {"accuracy": 1 / (1 + self.queue), "speed_accuracy": 0.5}
        )

    def span(self, clip: ClipSpec) -> int:
        """A window: 32 frames for 16 at twice the speed."""
        return self.speed * clip.num_frames * clip.stride

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """Speed needs frames."""
        if clip.num_frames < 2:
            return "relative speed needs clips of at least 2 frames. Take a longer clip."
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """Query and key at one speed, from windows of their own; then the key's window at the other speed."""
        query, key = rng.integers(num_frames - self.span(clip) + 1, size=2)
        same, other = (1, self.speed) if rng.integers(2) else (self.speed, 1)
        offsets_T = np.arange(clip.num_frames, dtype=np.int64) * clip.stride

        def at(window: np.int64, speed: int) -> NDArray[np.int64]:
            spared = (self.speed - speed) * clip.num_frames * clip.stride
            return window + speed * offsets_T + (spared // 2 if self.centred else 0)

        return np.stack([at(query, same), at(key, same), at(key, other)])

    def make_example(self, places_NT: NDArray[np.int64], _rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clips as they are: which belongs to which is where they stand."""
        return {"clips": places_NT}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """Two linear projections, the slow copy, the queue."""
        return RelativeSpeedHead(trunk, self)

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """A-VID + RSP; the key of the other speed enters the queue, as in the source."""
        assert isinstance(head, RelativeSpeedHead), "made by build_head"
        query, key, other = batch["clips"].unbind(1)
        head.slow.follow(trunk, head.projection)
        key_other = head.sides(head.slow(other, self.parts))
        key_same = head.sides(head.slow(key, self.parts))
        asked = head.sides(embed(trunk, head.projection, query, self.parts))

        logits_same, logits_other = (
            key_logits(
                asked.appearance_BD,
                own.appearance_BD,
                head.queue.keys_KD,
                self.temperature,
                within_batch=self.within_batch,
            )
            for own in (key_same, key_other)
        )
        alike = torch.zeros(len(query), dtype=torch.int64, device=query.device)
        appearance = functional.cross_entropy(logits_same, alike) + functional.cross_entropy(logits_other, alike)
        near_B = (asked.motion_BD * key_same.motion_BD).sum(1) / self.temperature
        far_B = (asked.motion_BD * key_other.motion_BD).sum(1) / self.temperature
        motion = functional.relu(self.margin - (near_B - far_B)).mean()
        head.queue.push(key_other.appearance_BD)
        return appearance + motion, {
            "accuracy": first_is_largest(logits_same),
            "speed_accuracy": share_above(near_B, far_B),
        }


class Sides(NamedTuple):
    """What a clip looks like, and how it moves: unit vectors."""

    appearance_BD: Tensor
    motion_BD: Tensor


class RelativeSpeedHead(nn.Module):
    """Both projections side by side in one linear layer; the slow copy; the queue of appearance keys."""

    def __init__(self, trunk: nn.Module, task: RelativeSpeed) -> None:
        super().__init__()
        self.projection = projection_of(width_of(trunk), 2 * task.dim, normalise=task.normalise)
        self.slow = MomentumEncoder(trunk, self.projection, task.momentum)
        self.queue = KeyQueue(task.queue, task.dim)

    def sides(self, embedded_BE: Tensor) -> Sides:
        """Each half to unit length."""
        return Sides(*(functional.normalize(half_BD, dim=1) for half_BD in embedded_BE.chunk(2, dim=1)))
