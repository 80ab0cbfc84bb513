"""Playback rate: skip frames, ask how many were skipped, and draw the clip at half the rate.

Source: Yao et al., "Video Playback Rate Perception for Self-supervised Spatio-Temporal Representation Learning", CVPR 2020;
yuanyao366/PRP at a0e42ba, datasets/predict_dataset.py, models/sscn.py, train_predict.py (read, not copied: no licence).
A discriminative branch names the rate; a generative one draws twice as many frames of the same stretch, its error weighted
by where things move (the motion attention mask). Loss: weighted mean squared error + 0.1 cross-entropy.

Levels of the paper's Table 13: rates {1, 2}, {1, 2, 4}, {1, 2, 4, 8} (the middle one is read into the text, which gives
only the ends).

Differs from the source:
- every rate is drawn from one stretch, long enough for the fastest, so that where a clip begins tells nothing about its
  rate; the source needs 16 frames a rate and one more, here the one more is not asked for;
- at rate 1 the frames between two originals are not in the video. They weigh nothing here; the source puts averages there
  and flags them out;
- a stretch in which nothing moves has the smallest weight everywhere, where the source divides by zero;
- the decoder: the source's four doublings are made for a map of 512 x 2 x 7 x 7. Here each axis is doubled as often as it
  needs to reach the clip, at the decoder's end, the channels halve from 512 down to 64, and what is then larger than the
  clip is resized to it. For a map of 512 x 2 x 7 x 7 that is the source's decoder;
- backbones that give tokens are refused: there is no map to decode.

The decoder ends in a ReLU: pixels must run from 0 to 1, so a recipe leaves mean 0 and standard deviation 1.

Shapes: B videos, C channels, T frames of a clip, R frames of a row, S frames shown or drawn, H W rows and columns, K rates.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from reference_models.pretext.drawing import shrunk, side_by_side
from reference_models.pretext.trunk import shape_before_pooling

LEAST, GREATEST = 0.8, 2.0
"""Weights of a pixel, from where the least moves to where the most does."""

LOOKS = 4
"""Frames of a segment that are compared for motion."""


@dataclass(frozen=True)
class PlaybackRate:
    """Settings of the task, with the values of the source."""

    rates: tuple[int, ...] = (1, 2, 4, 8)
    """Source frames from one clip frame to the next; the label is the place in this list."""

    width: int = 512
    """Channels of both branches behind the trunk."""

    narrowest: int = 64
    """Channels in the decoder's last layers."""

    classification: float = 0.1
    """Weight of the cross-entropy beside the reconstruction."""

    shrink: int = 1
    """The drawing has so many times fewer rows and columns than the clip, its pixels being means (ours). At full size the
    decoder's last layer costs several times what a small trunk does."""

    def __post_init__(self) -> None:
        if any(rate < 1 or (rate > 1 and rate % 2) for rate in self.rates):
            raise ValueError(
                f"Playback rates are 1 or even, since the clip is drawn at half of them; not {self.rates}."
            )

    @property
    def words(self) -> str:
        """For cards."""
        return "playback rate perception"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Nothing is contrasted."""
        return "non-contrastive"

    @property
    def clips_per_video(self) -> int:
        """One goes through the backbone."""
        return 1

    @property
    def draws(self) -> tuple[int, ...]:
        """One: input and target are the same pixels."""
        return (0,)

    @property
    def chance(self) -> Mapping[str, float]:
        """One rate of all."""
        return {"accuracy": 1 / len(self.rates)}

    def span(self, clip: ClipSpec) -> int:
        """The stretch of the fastest rate."""
        return (clip.num_frames * max(self.rates) - 1) * clip.stride + 1

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """A map is needed, and segments that divide the drawn frames."""
        if 2 * clip.num_frames % math.lcm(*self.rates) or clip.num_frames < LOOKS:
            return (
                f"{2 * clip.num_frames} drawn frames do not divide into the rates {self.rates}; take 16 frames a clip."
            )
        if clip.size % self.shrink:
            return f"clips of {clip.size} pixels cannot be drawn {self.shrink} times smaller; take a divisor."
        if len(shape_before_pooling(trunk, clip)) != 4:
            return (
                "playback rate perception draws the clip from the last map, and this backbone gives tokens. "
                "Take a convolutional one, or swin3d_t."
            )
        return None

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """One stretch of consecutive frames, long enough for every rate."""
        start = int(rng.integers(num_frames - self.span(clip) + 1))
        return start + np.arange(clip.num_frames * max(self.rates), dtype=np.int64)[None] * clip.stride

    def make_example(self, places_NR: NDArray[np.int64], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """A rate, and of its stretch the frames to draw, followed by the frames to look for motion in."""
        target = int(rng.integers(len(self.rates)))
        shown = self.places(self.rates[target], places_NR.shape[1] // max(self.rates))
        return {"clips": places_NR[:, shown], "target": np.asarray(target)}

    def places(self, rate: int, num_frames: int) -> NDArray[np.int64]:
        """Frames of the stretch: those to draw (every second of them is the clip), then those of each segment's looks.

        Segments are as many as the rate. Up to the greatest rate the looks are filled up, and not read.
        """
        drawn = np.arange(2 * num_frames) * rate // 2
        looks = np.arange(LOOKS) * (num_frames - 1) // (LOOKS - 1)  # 0, 5, 10, 15 of 16
        segments = (num_frames * np.arange(rate)[:, None] + looks).ravel()
        return np.concatenate([drawn, np.resize(segments, LOOKS * max(self.rates))])

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """Both branches."""
        drawn = (2 * clip.num_frames, clip.size // self.shrink, clip.size // self.shrink)
        return TwoBranches(shape_before_pooling(trunk, clip), drawn, len(self.rates), self.width, self.narrowest)

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Both branches' losses; log K is the chance of the one, `reconstruction` is the other."""
        rows_BCRHW, target_B = batch["clips"][:, 0], batch["target"]
        num_drawn = rows_BCRHW.shape[2] - LOOKS * max(self.rates)
        drawn_BCSHW, looks_BCRHW = rows_BCRHW[:, :, :num_drawn], rows_BCRHW[:, :, num_drawn:]
        map_BCTHW = trunk.forward_features(drawn_BCSHW[:, :, ::2])  # type: ignore[operator]
        logits_BK, found_BCSHW = head(map_BCTHW.float())
        error_BCSHW = (found_BCSHW - shrunk(drawn_BCSHW, self.shrink)) ** 2
        reconstruction = (self.weights(looks_BCRHW, target_B, num_drawn) * error_BCSHW).mean()
        right = (logits_BK.detach().argmax(1) == target_B).float().mean()
        total = reconstruction + self.classification * functional.cross_entropy(logits_BK, target_B)
        return total, {"accuracy": right, "reconstruction": reconstruction.detach()}

    @torch.no_grad()
    def weights(self, looks_BCRHW: Tensor, target_B: Tensor, num_drawn: int) -> Tensor:
        """The motion attention mask [B, C, S, H, W] of the drawing; zero for frames that are not in the video."""
        colours, (height, width) = looks_BCRHW.shape[1], looks_BCRHW.shape[3:]
        rates = [self.rates[label] for label in target_B.tolist()]
        moved = [moved_in(looks, rate) for looks, rate in zip(looks_BCRHW, rates, strict=True)]
        moved_1NHW = side_by_side(torch.cat(moved))  # N: all segments of all videos
        pooled = functional.avg_pool2d(moved_1NHW, (height // 4, width // 4), (height // 16, width // 16))
        least = pooled.amin((2, 3), keepdim=True)
        range_ = (pooled.amax((2, 3), keepdim=True) - least).clamp_min(1e-12)
        weight_Nhw = (LEAST + (GREATEST - LEAST) * (pooled - least) / range_)[0].contiguous()
        masks = []
        for rate, weight in zip(rates, weight_Nhw.split([colours * rate for rate in rates]), strict=True):
            by_colour = weight.unflatten(0, (colours, rate))
            large = functional.interpolate(by_colour, size=(height, width), mode="bilinear", align_corners=False)
            mask_CSHW = shrunk(large[None], self.shrink)[0].repeat_interleave(num_drawn // rate, dim=1)
            if rate == 1:
                mask_CSHW[:, 1::2] = 0
            masks.append(mask_CSHW)
        return torch.stack(masks)


def moved_in(looks_CRHW: Tensor, rate: int) -> Tensor:
    """Mean squared change in every colour of every segment, [C x rate, H, W]."""
    segments = looks_CRHW[:, : LOOKS * rate].unflatten(1, (rate, LOOKS))
    return (segments.diff(dim=2) ** 2).mean(2).flatten(0, 1)


class TwoBranches(nn.Module):
    """From the trunk's last map to logits over rates, and to the frames.

    Args:
        map_shape: (C, T, H, W) of the trunk.
        drawn: Frames, rows and columns to draw.
        num_rates: Logits.
        width: Channels of both branches.
        narrowest: Channels that the decoder does not go below.
    """

    def __init__(
        self, map_shape: tuple[int, ...], drawn: tuple[int, int, int], num_rates: int, width: int, narrowest: int
    ) -> None:
        super().__init__()
        channels, *axes = map_shape
        self.drawn = drawn
        self.conv6_cls = convolved(channels, width, axes)
        self.fc8 = nn.Linear(width, num_rates)
        self.conv6_rec = convolved(channels, width, axes)
        doublings = [max(0, math.ceil(math.log2(wanted / there))) for wanted, there in zip(drawn, axes, strict=True)]
        stages = max(doublings)
        parts: list[nn.Module] = []
        for stage in range(stages):
            frames, rows, columns = (2 if stage >= stages - needed else 1 for needed in doublings)
            factor = frames, rows, columns
            last = stage == stages - 1
            narrower = max(width // 2, narrowest)
            parts.append(nn.ConvTranspose3d(width, width, factor, factor))
            parts.append(convolved(width, 3 if last else narrower))
            width = narrower
        self.up = nn.Sequential(*parts)

    def forward(self, map_BCTHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, K] and frames [B, 3, S, H, W]."""
        logits_BK = self.fc8(self.conv6_cls(map_BCTHW).mean((2, 3, 4)))
        found_BCSHW = self.up(self.conv6_rec(map_BCTHW))
        if found_BCSHW.shape[2:] != self.drawn:
            found_BCSHW = functional.interpolate(found_BCSHW, size=self.drawn, mode="trilinear", align_corners=False)
        return logits_BK, found_BCSHW


def convolved(in_channels: int, out_channels: int, axes: Sequence[int] = (3, 3, 3)) -> nn.Sequential:
    """Convolution over 3 cells, of an axis of one cell over that one; batch norm, ReLU."""
    kernel = tuple(1 if cells == 1 else 3 for cells in axes)
    padding = tuple(cells // 2 for cells in kernel)
    return nn.Sequential(
        nn.Conv3d(in_channels, out_channels, kernel, padding=padding),  # type: ignore[arg-type]
        nn.BatchNorm3d(out_channels),
        nn.ReLU(inplace=True),
    )
