"""A trunk with a linear layer on top, and what a training card means for it: batches, augmentation, rates, branches left out.

Read by finetuning, where the trunk is the submission's, and by distillation, where it is a fresh student's.

Shapes: B clips, T frames, H W rows and columns, D features, K classes.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from bench.cache import Arrays, Key
from bench.encoder import layer_modules
from bench.names import Name, generator
from bench.stages.case import Case, Report
from bench.suites.protocol import TrainingCard
from bench.training import Plan
from bench.unfinished import Kept

BRANCH_NAMES = ("drop_path", "stochastic_depth")
"""In timm and in torchvision: where a block lets go of a residual branch."""


class FinetunedModel(nn.Module):
    """A trunk and a head: normalised clips [B, 3, T, H, W] to logits [B, K].

    Args:
        trunk: Trained with the rest; gives pooled features [B, D].
        feature_dim: D.
        num_classes: K.
        card: Says what stands before the linear layer, and how many residual branches are left out.
    """

    def __init__(self, trunk: nn.Module, feature_dim: int, num_classes: int, card: TrainingCard) -> None:
        super().__init__()
        self.trunk = trunk
        if card.drop_path:
            leave_out_branches(trunk, card.drop_path)
        linear = nn.Linear(feature_dim, num_classes)
        nn.init.normal_(linear.weight, std=0.01)  # small: the first loss is log K
        nn.init.zeros_(linear.bias)
        before = [nn.BatchNorm1d(feature_dim, affine=False)] if card.head_norm else []
        self.head = nn.Sequential(*before, nn.Dropout(card.dropout), linear)

    def forward(self, clips_BCTHW: Tensor) -> Tensor:
        """Logits, in float32 whatever the trunk's precision."""
        features_BD = self.trunk(clips_BCTHW)
        with torch.autocast(features_BD.device.type, enabled=False):
            logits_BK: Tensor = self.head(features_BD.float())
        return logits_BK


class ByDepth(nn.Module):
    """The same model, its parameters sorted into direct children by depth: what a plan can give rates of their own."""

    def __init__(self, model: FinetunedModel) -> None:
        super().__init__()
        depths = depth_of_parameters(model.trunk)
        for depth in sorted(set(depths.values())):
            of_depth = [p for name, p in model.trunk.named_parameters() if depths[name] == depth]
            self.add_module(_of_depth(depth), nn.ParameterList(of_depth))
        self.head = model.head
        self.model = model

    def forward(self, clips_BCTHW: Tensor) -> Tensor:
        """What the model says."""
        logits_BK: Tensor = self.model(clips_BCTHW)
        return logits_BK


def depth_of_parameters(trunk: nn.Module) -> dict[str, int]:
    """By the name of each parameter the number of its layer, 0 for the stem; one of no layer goes with the one before it.

    So position tables and class tokens go with the stem, and the last normalisation with the last block.
    """
    layer_of = {
        id(parameter): number
        for number, layer in reversed(list(enumerate(layer_modules(trunk).values())))
        for parameter in layer.parameters()
    }
    found, depth = {}, 0
    for name, parameter in trunk.named_parameters():
        depth = found[name] = layer_of.get(id(parameter), depth)
    return found


def rates_of(model: FinetunedModel, card: TrainingCard) -> dict[str, float]:
    """Multiples of the learning rate: of the head, and of every layer where the card lets rates fall towards the stem.

    Source: BEiT and MCG-NJU/VideoMAE, `optim_factory.py`: decay to the power of the layers between it and the head.
    """
    if card.layer_decay == 1:
        return {"head": card.head_rate}
    depths = set(depth_of_parameters(model.trunk).values())
    above = len(layer_modules(model.trunk))
    return {"head": card.head_rate, **{_of_depth(depth): card.layer_decay ** (above - depth) for depth in depths}}


def leave_out_branches(trunk: nn.Module, share: float) -> None:
    """Leave out residual branches while training: none in the first block, up to the share in the last, evenly between."""
    layers = list(layer_modules(trunk).values())
    for number, layer in enumerate(layers):
        rate = share * max(0, number - 1) / max(1, len(layers) - 2)
        for block in layer.modules():
            for name in [name for name, _ in block.named_children() if any(word in name for word in BRANCH_NAMES)]:
                setattr(block, name, StochasticDepth(rate, "row"))


def plan_of(model: FinetunedModel, card: TrainingCard, rate: float, steps: int, precision: str) -> Plan:
    """A card and a rate as a plan."""
    return Plan(
        steps=steps,
        optimiser=card.optimiser,
        learning_rate=rate,
        weight_decay=card.weight_decay,
        momentum=card.momentum,
        warm_up=card.warm_up,
        rates=rates_of(model, card),
        clip_gradient=card.clip_gradient,
        precision="bf16" if precision == "bf16" else "fp32",
    )


def shuffled(*names: Name) -> Callable[[int, int, int], list[int]]:
    """From step, batch size and number of videos to positions: every epoch in an order of its own."""

    @lru_cache(maxsize=8)
    def order(epoch: int, num_videos: int) -> list[int]:
        found: list[int] = generator(*names, epoch, "order").permutation(num_videos).tolist()
        return found

    def positions(step: int, batch_size: int, num_videos: int) -> list[int]:
        epochs = epochs_of(step, batch_size, num_videos)
        return [order(epoch, num_videos)[(step * batch_size + at) % num_videos] for at, epoch in enumerate(epochs)]

    return positions


def epochs_of(step: int, batch_size: int, num_videos: int) -> list[int]:
    """The epoch of every place in a step's batch."""
    return [place // num_videos for place in range(step * batch_size, (step + 1) * batch_size)]


def changed(clip_THWC: NDArray[np.uint8], card: TrainingCard, rng: np.random.Generator) -> Arrays:
    """What the card's augmentation makes of a clip: perhaps mirrored now, brightness and contrast left to `recolour`."""
    mirrored = card.flip and rng.random() < 0.5
    brightness, contrast = rng.uniform(-card.brightness, card.brightness, size=2)
    return {
        "clips": clip_THWC[:, :, ::-1] if mirrored else clip_THWC,
        "brightness": np.asarray(brightness, dtype=np.float32),
        "contrast": np.asarray(contrast, dtype=np.float32),
    }


def recolour(clips_BTHWC: Tensor, brightness_B: Tensor, contrast_B: Tensor) -> Tensor:
    """uint8 clips to float ones, still 0 to 255: brighter by a factor, then spread about each clip's own mean."""
    clips = clips_BTHWC.float() * (1 + brightness_B)[:, None, None, None, None]
    mean = clips.mean((1, 2, 3, 4), keepdim=True)
    return (mean + (clips - mean) * (1 + contrast_B)[:, None, None, None, None]).clamp_(0, 255)


def stacked(examples: list[Arrays]) -> dict[str, Tensor]:
    """Examples of equal shape, side by side."""
    return {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in examples[0]}


def weights_of(model: nn.Module) -> Arrays:
    """Parameters and buffers, for the cache."""
    return {f"model/{name}": tensor.detach().cpu().numpy() for name, tensor in model.state_dict().items()}


def fill(model: nn.Module, stored: Arrays) -> None:
    """Put cached parameters and buffers into a model of the same make."""
    model.load_state_dict(
        {
            name: torch.from_numpy(stored[f"model/{name}"]).reshape(tensor.shape)
            for name, tensor in model.state_dict().items()
        }
    )


def share_of(report: Report, words: str, number: int, count: int) -> Report:
    """Progress of one part out of several, told as progress of the whole."""

    def tell(more: str, share: float) -> None:
        report(f"{words}: {more}", (number + share) / count)

    return tell


def kept(case: Case, key: Key) -> Kept:
    """Where the state of the training with this key is kept."""
    path = case.cache.path("training", key)
    return Kept(case.training / path.stem[:24], key)


def _of_depth(depth: int) -> str:
    return f"depth{depth:02}"
