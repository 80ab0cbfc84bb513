"""VideoMAE for backbones that give a map: paint over tubes of a clip, draw what was there.

Ours. Table 17 of the benchmark paper (arXiv 2504.06153) has a row "VideoMAE*" on R(2+1)D, its authors' own adaptation, and
tells nothing of it. Mask, target and loss are VideoMAE's (tubes.py). What we chose, and why:
- a convolution cannot leave pixels out: hidden tubelets are painted in the mean colour (0 once normalised);
- 60 % is hidden, as in Xie et al., "SimMIM", CVPR 2022, section 4.1.3, for 32-pixel patches: of what is painted over,
  convolutions and batch statistics see the paint, and at 90 % they would see little else;
- the decoder is small, so that the trunk has to know the picture: one transposed convolution brings the last map to the
  grid of the tubelets, one convolution looks around, and a last one of a single cell draws each tubelet's pixels. A map
  that is then larger than the grid is resized to it;
- the pixels that are asked for may be means of squares (`shrink`), and those of the clip less its mean over time (`over`).

Shapes: B clips, T H W frames, rows, columns, N tubelets on a grid t h w, V values (pixels x colours) of a tubelet.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bench.schema import ClipSpec
from bench.video.sampling import random_start
from reference_models.added import added
from reference_models.pretext.drawing import shrunk
from reference_models.pretext.trunk import shape_before_pooling
from reference_models.pretext.tubes import (
    Over,
    Tubelet,
    cannot_draw,
    cannot_hide,
    cut_up,
    draw_mask,
    drawing_error,
    drawn_of,
    grid_of,
    hidden_tubes,
    to_draw,
)


@dataclass(frozen=True)
class TubePainting:
    """Settings of the task."""

    ratio: float = 0.6
    """Share of the positions over space that is hidden, rounded down to whole ones."""

    tubelet: Tubelet = (2, 16, 16)
    """What is hidden or seen as a whole; VideoMAE's."""

    width: int = 256
    """Channels of the decoder."""

    over: Over = added("tubelet")
    """What the pixels to be drawn are standardised over."""

    shrink: int = added(1)
    """The drawing has so many times fewer rows and columns than the clip, its pixels being means."""

    @property
    def words(self) -> str:
        """For cards."""
        return "masked video autoencoding (on maps)"

    @property
    def family(self) -> Literal["", "contrastive", "non-contrastive"]:
        """Nothing is contrasted."""
        return "non-contrastive"

    @property
    def clips_per_video(self) -> int:
        """One, painted over in part."""
        return 1

    @property
    def draws(self) -> tuple[int, ...]:
        """One: input and target are the same pixels."""
        return (0,)

    @property
    def chance(self) -> Mapping[str, float]:
        """A grey drawing."""
        return {"explained": 0.0}

    def span(self, clip: ClipSpec) -> int:
        """A clip."""
        return clip.span

    def refusal(self, trunk: nn.Module, clip: ClipSpec) -> str | None:
        """A map is needed."""
        if len(shape_before_pooling(trunk, clip)) != 4:
            return (
                "masked video autoencoding on maps draws from the last map, and this backbone gives tokens. "
                "Take a convolutional one or swin3d_t; for VideoMAE's own there are mini-videomae and paper-videomae."
            )
        return cannot_draw(self.tubelet, self.shrink) or cannot_hide(
            (clip.num_frames, clip.size, clip.size), self.tubelet, self.ratio
        )

    def choose_frames(self, num_frames: int, clip: ClipSpec, rng: np.random.Generator) -> NDArray[np.int64]:
        """One clip from a random place."""
        return random_start(num_frames, clip, rng)[None]

    def make_example(self, places_NT: NDArray[np.int64], rng: np.random.Generator) -> Mapping[str, NDArray[Any]]:
        """The clip, and the number from which its mask follows."""
        return {"clips": places_NT, "mask": draw_mask(rng)}

    def build_head(self, trunk: nn.Module, clip: ClipSpec) -> nn.Module:
        """The decoder."""
        grid = grid_of((clip.num_frames, clip.size, clip.size), self.tubelet)
        return MapDecoder(
            shape_before_pooling(trunk, clip), grid, self.width, 3 * math.prod(drawn_of(self.tubelet, self.shrink))
        )

    def loss(self, trunk: nn.Module, head: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean squared error over the hidden tubelets; almost 1 is that of a grey drawing."""
        clips_BCTHW = batch["clips"][:, 0]
        frames, rows, columns = clips_BCTHW.shape[2:]
        grid = grid_of((frames, rows, columns), self.tubelet)
        hidden_BN = hidden_tubes(batch["mask"], grid, self.ratio)
        target_BNV = to_draw(shrunk(clips_BCTHW.float(), self.shrink), drawn_of(self.tubelet, self.shrink), self.over)
        map_BCTHW = trunk.forward_features(painted_over(clips_BCTHW, hidden_BN, grid))  # type: ignore[operator]
        drawn_BNV = head(map_BCTHW.float())
        return drawing_error(drawn_BNV[hidden_BN], target_BNV[hidden_BN])


def painted_over(clips_BCTHW: Tensor, hidden_BN: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The clips with 0 in place of what is hidden; in memory as the clips lie."""
    frames, rows, columns = grid
    seen = ~hidden_BN.view(-1, frames, 1, rows, 1, columns, 1, 1)
    painted = cut_up(clips_BCTHW, grid).permute(0, 2, 3, 4, 5, 6, 7, 1) * seen
    return painted.flatten(5, 6).flatten(3, 4).flatten(1, 2).permute(0, 4, 1, 2, 3)


class Enlarged(nn.ConvTranspose3d):
    """A transposed convolution whose kernel is its stride: every cell becomes a block of cells, by one matrix product.

    On a CPU PyTorch's own makes a product a clip, each of which reads all weights: of ShuffleNet's last map, four cells, that
    takes three times as long.
    """

    def __init__(self, in_channels: int, out_channels: int, factor: tuple[int, int, int]) -> None:
        super().__init__(in_channels, out_channels, factor, factor)
        self.factor = factor

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """A map [B, C, t, h, w] with each axis as many times longer; no other size can be asked for."""
        assert output_size is None
        assert self.bias is not None, "nobody asked for none"
        weight_KC = self.weight.permute(2, 3, 4, 1, 0).flatten(0, 3)
        bias_K = self.bias.repeat(math.prod(self.factor))
        cells_BthwC = input.permute(0, 2, 3, 4, 1)
        blocks = functional.linear(cells_BthwC.flatten(0, 3), weight_KC, bias_K)
        blocks = blocks.view(*cells_BthwC.shape[:4], *self.factor, -1).permute(0, 1, 4, 2, 5, 3, 6, 7)
        return blocks.flatten(5, 6).flatten(3, 4).flatten(1, 2).permute(0, 4, 1, 2, 3)


class MapDecoder(nn.Module):
    """From the trunk's last map to the pixels of every tubelet.

    Args:
        map_shape: (C, T, H, W) of the trunk.
        grid: Tubelets along each axis.
        width: Channels between.
        num_values: To draw of a tubelet.
    """

    def __init__(self, map_shape: tuple[int, ...], grid: tuple[int, int, int], width: int, num_values: int) -> None:
        super().__init__()
        channels, *axes = map_shape
        frames, rows, columns = (max(1, math.ceil(wanted / there)) for wanted, there in zip(grid, axes, strict=True))
        factor = frames, rows, columns
        self.grid = grid
        self.up = Enlarged(channels, width, factor)
        self.around = nn.Conv3d(width, width, 3, padding=1)
        self.draw = nn.Conv3d(width, num_values, 1)

    def forward(self, map_BCTHW: Tensor) -> Tensor:
        """Values [B, N, V]."""
        x_BCthw = functional.gelu(self.up(map_BCTHW))
        if x_BCthw.shape[2:] != self.grid:
            x_BCthw = functional.interpolate(x_BCthw, size=self.grid, mode="trilinear", align_corners=False)
        drawn_BVthw = self.draw(functional.gelu(self.around(x_BCthw)))
        return drawn_BVthw.flatten(2).transpose(1, 2)
