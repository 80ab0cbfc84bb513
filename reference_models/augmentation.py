"""Augmentation of pretraining clips: drawn once for a clip, the same for all its frames.

Parameters are drawn in NumPy from the generator handed in, while batches are made ahead, and applied in torch to the whole
batch on its device. Python's own `random` has no part in it: reseeding that before every frame, as the code of VCOP and
PRP does, no longer keeps a clip's frames together under today's torchvision, which draws from torch.

Sources of the operations: torchvision (crops, rotation, jitter), tensorflow/models `official/projects/video_ssl` for CVRL
(blur, solarise), DAVEISHAN/TCLR `tclr_pretraining/dl_tclr.py` (gamma behind grayscale, channel drop, erasing).

Differs from them:
- jitter has one order (saturation, hue, contrast, brightness) where the sources shuffle it, and clips to 0..255 once at its
  end, so that all of it is one matrix and one offset a clip;
- hue turns the colour plane of YIQ where the sources shift the H of HSV; contrast is about the clip's mean colour, not
  about a frame's mean grey;
- rotation and resized crops are one bilinear sampling; boxes need not end on whole pixels.

Shapes: N rows of a video, B clips (rows of all videos), T frames, H W rows and columns, C colours.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

GREY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in ITU-R BT.601."""

CHROMA = ((0.595716, -0.274453, -0.321263), (0.211456, -0.522591, 0.311135))
"""I and Q of YIQ (NTSC, 1953)."""

ATTEMPTS = 10
"""At a box of the drawn area and aspect that fits, as in torchvision's RandomResizedCrop."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What is done to a clip before the network sees it; nothing but a cut where all is left as it is."""

    crop: Literal["window", "centre", "resized"] = "window"
    """A square of the clip's size from anywhere, the one in the middle, or a box of any size, resized."""

    area: tuple[float, float] = (0.08, 1.0)
    """Least and greatest share of the frame in a resized box."""

    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    """Least and greatest width over height of a resized box."""

    rotation: float = 0.0
    """Degrees to either side, of the whole frame before it is cropped; what lies outside is black."""

    flip: float = 0.0
    """Probability of left for right."""

    brightness: float = 0.0
    """Largest relative change; likewise contrast and saturation."""

    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    """Largest turn, as a share of the circle."""

    jitter_probability: float = 1.0
    """Of the four above, together."""

    grayscale: float = 0.0
    """Probability."""

    gamma: tuple[float, float] | None = None
    """Range of the exponent, for clips that have been turned grey."""

    gamma_probability: float = 1.0
    blur: tuple[float, ...] = ()
    """Probability of Gaussian blur for each view, the last for any further one."""

    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """In pixels; the kernel is a tenth of the clip's size."""

    solarise: tuple[float, ...] = ()
    """Probability for each view that what is brighter than the middle is inverted."""

    channel_drop: float = 0.0
    """Probability that one colour is missing; a clip that is grey keeps all three."""

    erase: float = 0.0
    """Probability of a black box, its sides between a twelfth and a sixth of the clip's."""

    def __post_init__(self) -> None:
        chances = (self.flip, self.jitter_probability, self.grayscale, self.gamma_probability, self.erase)
        if not all(0 <= chance <= 1 for chance in (*chances, *self.blur, *self.solarise, self.channel_drop)):
            raise ValueError("A probability of the augmentation is not between 0 and 1.")
        if self.grayscale + self.channel_drop > 1:
            raise ValueError("A clip is grey or lacks a colour, never both: the two probabilities must not exceed 1.")
        if self.gamma and not self.grayscale:
            raise ValueError("Gamma follows grayscale: give grayscale a probability, or leave gamma away.")

    @property
    def samples(self) -> bool:
        """Whether pixels come from between pixels. Otherwise a clip is a slice."""
        return self.crop == "resized" or self.rotation > 0

    @property
    def _recolours(self) -> bool:
        return any((self.brightness, self.contrast, self.saturation, self.hue, self.grayscale))

    def draw(self, rng: np.random.Generator, draws: tuple[int, ...], frame: tuple[int, int], size: int) -> "Drawn":
        """Parameters for the rows of one video.

        Args:
            rng: Where all chance comes from.
            draws: For each row the number of its draw; rows of one number are augmented alike.
            frame: Height and width of the stored frames.
            size: Height and width of the clip.
        """
        made = {number: self._draw_one(rng, number, frame, size) for number in sorted(set(draws))}
        rows = [made[number] for number in draws]
        names = rows[0][1]
        return Drawn([cut for cut, _ in rows], {name: np.stack([row[name] for _, row in rows]) for name in names})

    def _draw_one(
        self, rng: np.random.Generator, view: int, frame: tuple[int, int], size: int
    ) -> tuple["Cut", dict[str, NDArray[Any]]]:
        box = self._box(rng, frame, size)
        mirrored = rng.random() < self.flip
        found: dict[str, NDArray[Any]] = {}
        if self.samples:
            found["sampling"] = sampling(box, frame, math.radians(rng.uniform(-self.rotation, self.rotation)), mirrored)
        kind = rng.random()
        grey, dropped = kind < self.grayscale, self.grayscale <= kind < self.grayscale + self.channel_drop
        if self._recolours:
            strengths = np.array([self.brightness, self.contrast, self.saturation, self.hue])
            changes = rng.uniform(-strengths, strengths) * (rng.random() < self.jitter_probability)
            found["colours"] = np.append(changes, grey).astype(np.float32)
        if self.gamma:
            exponent = rng.uniform(*self.gamma) if rng.random() < self.gamma_probability else 1.0
            found["gamma"] = np.asarray(exponent if grey else 1, np.float32)
        if self.channel_drop:
            found["kept"] = np.ones(3, np.float32)
            found["kept"][rng.integers(3)] = not dropped
        if self.blur:
            sigma = rng.uniform(*self.blur_sigma)
            found["blur"] = np.asarray(sigma if rng.random() < _of_view(self.blur, view) else 0, np.float32)
        if self.solarise:
            found["solarised"] = np.asarray(rng.random() < _of_view(self.solarise, view))
        if self.erase:
            height, width = rng.integers(max(size // 12, 1), size // 6 + 1, 2)
            top, left = rng.integers(size, size=2)
            found["erased"] = np.array([top, left, height, width]) * (rng.random() < self.erase)
        return Cut(round(box.top), round(box.left), size, mirrored), found

    def _box(self, rng: np.random.Generator, frame: tuple[int, int], size: int) -> "Box":
        height, width = frame
        if self.crop == "centre":
            return Box((height - size) // 2, (width - size) // 2, size, size)
        if self.crop == "window":
            return Box(int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1)), size, size)
        for _ in range(ATTEMPTS):
            pixels = height * width * rng.uniform(*self.area)
            aspect = math.exp(rng.uniform(*np.log(self.aspect)))
            tall, wide = math.sqrt(pixels / aspect), math.sqrt(pixels * aspect)
            if tall <= height and wide <= width:
                return Box(rng.uniform(0, height - tall), rng.uniform(0, width - wide), tall, wide)
        aspect = min(max(width / height, self.aspect[0]), self.aspect[1])
        tall, wide = min(height, width / aspect), min(width, height * aspect)
        return Box((height - tall) / 2, (width - wide) / 2, tall, wide)


class Box(NamedTuple):
    """Part of a frame, in pixels."""

    top: float
    left: float
    height: float
    width: float


class Cut(NamedTuple):
    """A square to slice out of the stored frames."""

    top: int
    left: int
    size: int
    mirrored: bool


class Drawn(NamedTuple):
    """The parameters of a video's rows."""

    cuts: list[Cut]
    """For those that are slices."""

    arrays: dict[str, NDArray[Any]]
    """For `augmented`: [N, ...] each."""


def sampling(box: Box, frame: tuple[int, int], angle: float, mirrored: bool) -> NDArray[np.float32]:
    """The map [2, 3] from a place in the clip to one in the frame, both running from -1 to 1, as (column, row)."""
    height, width = frame
    cos, sin = math.cos(angle), math.sin(angle)
    about_centre = np.array(
        [
            [box.width / 2 * (-1 if mirrored else 1), 0, box.left + box.width / 2 - width / 2],
            [0, box.height / 2, box.top + box.height / 2 - height / 2],
        ]
    )
    turned: NDArray[np.float64] = np.array([[cos, -sin], [sin, cos]]) @ about_centre
    found: NDArray[np.float32] = (turned / np.array([[width / 2], [height / 2]])).astype(np.float32)
    return found


def augmented(clips_BTHWC: Tensor, drawn: dict[str, Tensor], size: int) -> Tensor:
    """The clips as drawn, [B, T, size, size, 3] from 0 to 255, colour by colour in memory; the very tensor where nothing was drawn.

    Args:
        clips_BTHWC: uint8; whole frames where `sampling` was drawn, else of the clip's size.
        drawn: `Drawn.arrays` of all clips, [B, ...] each.
        size: Height and width of the clip.
    """
    if not drawn:
        return clips_BTHWC
    if "sampling" in drawn:
        pixels_BCTHW = _sampled(clips_BTHWC, drawn["sampling"], size)
    else:
        by_colours_BCTHW = clips_BTHWC.permute(0, 4, 1, 2, 3)  # what follows is then fast
        pixels_BCTHW = by_colours_BCTHW.to(torch.float32, memory_format=torch.contiguous_format)
    if "colours" in drawn:
        pixels_BCTHW = recoloured(pixels_BCTHW, drawn["colours"])
    if "gamma" in drawn and len(rows := (drawn["gamma"] != 1).nonzero()[:, 0]):
        exponents = drawn["gamma"][rows, None, None, None, None]
        pixels_BCTHW[rows] = 255 * (pixels_BCTHW[rows] / 255) ** exponents
    if "kept" in drawn:
        pixels_BCTHW = pixels_BCTHW * drawn["kept"][:, :, None, None, None]
    if "blur" in drawn and len(rows := (drawn["blur"] > 0).nonzero()[:, 0]):
        pixels_BCTHW[rows] = blurred(pixels_BCTHW[rows], drawn["blur"][rows])
    if "solarised" in drawn:
        invert = drawn["solarised"][:, None, None, None, None] & (pixels_BCTHW >= 128)
        pixels_BCTHW = torch.where(invert, 255 - pixels_BCTHW, pixels_BCTHW)
    if "erased" in drawn:
        pixels_BCTHW = pixels_BCTHW.masked_fill(_inside(drawn["erased"], size)[:, None, None], 0)
    return pixels_BCTHW.permute(0, 2, 3, 4, 1)


def recoloured(pixels_BCTHW: Tensor, changes_B5: Tensor) -> Tensor:
    """Clips with other saturation, hue, contrast and brightness, then grey where the last column is 1; within 0 to 255.

    All are one matrix and one offset for the three colours of a pixel. Saturation moves every pixel from or to its grey,
    hue turns what is left when the grey is taken away, contrast moves from or to the clip's mean colour.

    Args:
        pixels_BCTHW: From 0 to 255.
        changes_B5: Relative changes of brightness, contrast, saturation; share of the hue's circle; grey or not.
    """
    brightness_B, contrast_B, saturation_B = (1 + changes_B5[:, :3]).unbind(1)
    hue_B, grey_B = changes_B5[:, 3] * 2 * math.pi, changes_B5[:, 4]
    yiq_CC = torch.tensor([GREY, *CHROMA], device=pixels_BCTHW.device)
    to_grey_CC, same_CC = yiq_CC[0].expand(3, 3), torch.eye(3, device=pixels_BCTHW.device)
    saturate_BCC = _between(to_grey_CC, same_CC, saturation_B)
    turn_BCC = same_CC.repeat(len(hue_B), 1, 1)
    turn_BCC[:, 1, 1] = turn_BCC[:, 2, 2] = hue_B.cos()
    turn_BCC[:, 2, 1] = hue_B.sin()
    turn_BCC[:, 1, 2] = -turn_BCC[:, 2, 1]
    colour_BCC = (torch.linalg.inv(yiq_CC) @ turn_BCC @ yiq_CC) @ saturate_BCC
    last_BCC = brightness_B[:, None, None] * _between(same_CC, to_grey_CC, grey_B)

    pixels_BCN = pixels_BCTHW.flatten(2)
    matrix_BCC = contrast_B[:, None, None] * last_BCC @ colour_BCC
    mean_BC1 = last_BCC @ colour_BCC @ pixels_BCN.mean(2, keepdim=True)
    offset_BC1 = (1 - contrast_B)[:, None, None] * mean_BC1
    return torch.baddbmm(offset_BC1, matrix_BCC, pixels_BCN).clamp_(0, 255).view(pixels_BCTHW.shape)


def blurred(pixels_BCTHW: Tensor, sigma_B: Tensor) -> Tensor:
    """Every frame under a Gaussian of its clip's sigma, mirrored at the borders; rows, then columns, as matrix products."""
    size = pixels_BCTHW.shape[-1]
    reach = size // 20
    offsets_D = torch.arange(-reach, reach + 1, device=pixels_BCTHW.device)
    weights_BD = torch.exp(-((offsets_D / sigma_B[:, None]) ** 2) / 2)
    weights_BD = weights_BD / weights_BD.sum(1, keepdim=True)
    places_WD = torch.arange(size, device=pixels_BCTHW.device)[:, None] + offsets_D
    places_WD = size - 1 - (size - 1 - places_WD.abs()).abs()
    taken_WDW = functional.one_hot(places_WD, size).float()
    mix_BWW = torch.einsum("odi,bd->bio", taken_WDW, weights_BD)  # from place i to place o
    across = (pixels_BCTHW.flatten(1, 3) @ mix_BWW).view(pixels_BCTHW.shape)
    return mix_BWW.transpose(1, 2)[:, None, None] @ across


def _sampled(clips_BTHWC: Tensor, maps_B23: Tensor, size: int) -> Tensor:
    """Frames as the maps say, bilinear, black outside: [B, C, T, size, size]."""
    pictures_BKHW = clips_BTHWC.permute(0, 4, 1, 2, 3).flatten(1, 2).float()  # frames as channels: one grid for all
    grid_BHW2 = functional.affine_grid(maps_B23, [len(maps_B23), 1, size, size], align_corners=False)
    found_BKHW = functional.grid_sample(pictures_BKHW, grid_BHW2, align_corners=False)
    return found_BKHW.view(-1, 3, clips_BTHWC.shape[1], size, size)


def _inside(boxes_B4: Tensor, size: int) -> Tensor:
    """Which pixels lie in each clip's box (top, left, height, width): [B, size, size]."""
    top, left, height, width = boxes_B4[:, :, None].unbind(1)
    places = torch.arange(size, device=boxes_B4.device)
    rows_BH, columns_BW = (places >= top) & (places < top + height), (places >= left) & (places < left + width)
    return rows_BH[:, :, None] & columns_BW[:, None]


def _between(first_CC: Tensor, second_CC: Tensor, share_B: Tensor) -> Tensor:
    return first_CC + share_B[:, None, None] * (second_CC - first_CC)


def _of_view(chances: tuple[float, ...], view: int) -> float:
    return chances[min(view, len(chances) - 1)]
