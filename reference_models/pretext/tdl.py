"""Temporal discrimination: a moment of a video is told from other moments of it, and from other videos.

Source: Wang et al., "Self-supervised Temporal Discriminative Learning for Video Representation Learning" (VTDL), 2020;
FingerRec/Self-Supervised-Temporal-Discriminative-Representation-Learning-for-Video-Action-Recognition at 3f2b782,
src/train_temporal_dis.py (`train_moco`) and src/NCE/NCEAverage.py (`MemoryMoCo`). The queue of 500 is the benchmark paper's.

Anchor and positive are the same frames, augmented apart; the negative is another moment of the same video, and goes through
the trained network. The anchor's answer is the positive among the keys of other videos and its own negative.

Differs from the source:
- starts are drawn so that anchor and negative lie `least_shift` frames apart, every pair that does being possible; the
  source moves a negative that is too near by a third of the video (its Kinetics loader draws again below 4 frames);
- the queue begins with random unit vectors; the source's are uniform in a cube;
- the slow copy follows before the keys are made; the source's after the step: the same sequence;
- videos too short are left out and counted;
- `TripletMarginLoss`, which the source computes and leaves out, is left out.

Shapes: B videos, N = 3 rows (anchor, positive, negative), C T H W a clip, D of an embedding, K keys.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

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
class TemporalDiscrimination:
    """Settings of the task, with the values of the paper and the source's code."""

    queue: int = 500
    """Keys of other videos."""

    least_shift: int = 4
    """Frames between the starts of anchor and negative, at least."""

    mix: float = 0.1
    """The anchor is blended with one of its own frames by up to this share (temporal consistent augmentation)."""

    momentum: float = 0.999
    temperature: float = 0.07
    dim: int = 128
    """Of the embeddings."""

    parts: int = 1
    """Of a batch, normalised apart: the source's GPUs."""

    normalise: bool = False
    """Batch normalisation between features and embeddings (ours)."""

    within_batch: bool = added(False)
    """Keys of the other videos of the batch are negatives too, beside the queue (ours): with batches by source the hard ones."""

    @property
    def words(self) -> str:
        """For cards."""
        return "temporal discrimination"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Queries against keys."""
        return "contrastive"

    @property
    def clips_per_video(self) -> int:
        """Anchor and negative; the positive goes forward only."""
        return 2

    @property
    def draws(self) -> tuple[int, ...]:
        """Every clip for itself: else anchor and positive would be one picture."""
        return (0, 1, 2)

    @property
    def chance(self) -> Mapping[str, float]:
        """One of positive, queue and negative, and the batch where it counts too; one of positive and negative."""
        moment = {"moment_accuracy": 0.5}
        return moment if self.within_batch else {"accuracy": 1 / (2 + self.queue), **moment}

    def span(self, clip: ClipSpec) -> int:
        """Wherever the anchor begins there is room for a negative."""
        return clip.span + max(2 * self.least_shift - 1, 0)

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """Any backbone will do."""
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """A moment twice, and another at least `least_shift` frames away; both drawn evenly."""
        starts = np.arange(num_frames - clip.span + 1)
        anchor = rng.choice(starts)
        negative = rng.choice(starts[np.abs(starts - anchor) >= self.least_shift])
        offsets_T = np.arange(clip.num_frames, dtype=np.int64) * clip.stride
        return np.stack([anchor + offsets_T, anchor + offsets_T, negative + offsets_T])

    def make_example(self, places_NT: NDArray[np.int64], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clips, and which of its own frames the anchor is blended with."""
        return {"clips": places_NT, "blended": np.asarray(rng.integers(places_NT.shape[1]))}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """A linear projection, the slow copy, the queue."""
        return TemporalDiscriminationHead(trunk, self)

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """InfoNCE: the positive among the queue and the video's own negative."""
        assert isinstance(head, TemporalDiscriminationHead), "made by build_head"
        anchor, positive, negative = batch["clips"].unbind(1)
        share = self.mix * torch.rand(()).item()  # one for the batch, as in the source
        anchor = blended(anchor, batch["blended"], share)
        head.slow.follow(trunk, head.projection)
        key_BD = functional.normalize(head.slow(positive, self.parts), dim=1)
        anchor_BD = functional.normalize(embed(trunk, head.projection, anchor, self.parts), dim=1)
        negative_BD = functional.normalize(embed(trunk, head.projection, negative, self.parts), dim=1)

        hard_B1 = (anchor_BD * negative_BD).sum(1, keepdim=True) / self.temperature
        keys_KD = head.queue.keys_KD
        others_BL = key_logits(anchor_BD, key_BD, keys_KD, self.temperature, within_batch=self.within_batch)
        logits_BL = torch.cat([others_BL, hard_B1], dim=1)
        head.queue.push(key_BD)
        target_B = torch.zeros(len(anchor), dtype=torch.int64, device=anchor.device)
        return functional.cross_entropy(logits_BL, target_B), {
            "accuracy": first_is_largest(logits_BL),
            "moment_accuracy": share_above(logits_BL[:, 0], hard_B1[:, 0]),
        }


class TemporalDiscriminationHead(nn.Module):
    """Projection, slow copy, queue."""

    def __init__(self, trunk: nn.Module, task: TemporalDiscrimination) -> None:
        super().__init__()
        self.projection = projection_of(width_of(trunk), task.dim, normalise=task.normalise)
        self.slow = MomentumEncoder(trunk, self.projection, task.momentum)
        self.queue = KeyQueue(task.queue, task.dim)


def blended(clips_BCTHW: Tensor, frame_B: Tensor, share: float) -> Tensor:
    """Every frame of a clip blended with one frame of the same clip: (1 - share) x + share x[frame]."""
    still_BC1HW = clips_BCTHW[torch.arange(len(clips_BCTHW), device=frame_B.device), :, frame_B].unsqueeze(2)
    return torch.lerp(clips_BCTHW, still_BC1HW, share)
