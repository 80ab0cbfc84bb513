"""A slow copy of the network in training: it makes the keys that queries are compared with.

Source: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020, section 3.2 and
algorithm 1. The copy follows by keys <- m keys + (1 - m) queries, before the keys of a step are made; it gets no gradient.

Differs from the source: shuffled batch normalisation (section 3.3) is done in one process. There each GPU normalises its own
part of the batch, and the keys are dealt to the GPUs in another order than the queries, so that the statistics of a part do
not tell which key belongs to which query. Here the batch is cut into parts that pass one after the other.

Shapes: B clips, C T H W a clip, D width of an embedding.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn


class MomentumEncoder(nn.Module):
    """The copy. It is a part of the head: saved with the state of a training, thrown away with the head.

    Args:
        trunk: To be copied.
        projection: From its features to embeddings; to be copied.
        momentum: Share of itself that the copy keeps at every step.
    """

    def __init__(self, trunk: nn.Module, projection: nn.Module, momentum: float) -> None:
        super().__init__()
        self.trunk = deepcopy(trunk).requires_grad_(False)
        self.projection = deepcopy(projection).requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def follow(self, trunk: nn.Module, projection: nn.Module) -> None:
        """One step after the network. Running statistics are the copy's own, as in the source.

        Where a batch passes in several parts for want of memory the copy takes a step at each of them.
        """
        slow: list[Tensor] = [*self.trunk.parameters(), *self.projection.parameters()]
        fast: list[Tensor] = [*trunk.parameters(), *projection.parameters()]
        assert len(slow) == len(fast), "the copy is one of this network"
        torch._foreach_mul_(slow, self.momentum)
        torch._foreach_add_(slow, fast, alpha=1 - self.momentum)

    @torch.no_grad()
    def forward(self, clips_BCTHW: Tensor, parts: int = 1) -> Tensor:
        """Keys, without gradient; in more parts than one the clips are dealt to them by torch's generator."""
        if parts == 1:
            return embed(self.trunk, self.projection, clips_BCTHW)
        order_B = torch.randperm(len(clips_BCTHW)).to(clips_BCTHW.device)
        keys: Tensor = embed(self.trunk, self.projection, clips_BCTHW[order_B], parts)[order_B.argsort()]
        return keys


def embed(trunk: nn.Module, projection: nn.Module, clips_BCTHW: Tensor, parts: int = 1) -> Tensor:
    """Embeddings [B, ...] in float32; each of the parts is normalised by its own statistics."""
    embedded = []
    for part_BCTHW in clips_BCTHW.chunk(parts):
        features = trunk(part_BCTHW)
        with torch.autocast(features.device.type, enabled=False):
            embedded.append(projection(features.float()))
    return torch.cat(embedded)


def projection_of(width: int, dim: int, *, normalise: bool) -> nn.Module:
    """One linear layer, as in TDL and RSPNet.

    Args:
        width: Features of the trunk.
        dim: Of the embeddings.
        normalise: Put batch normalisation without affine before it (ours). Pooled features are all positive and share a
            large mean, so all embeddings point one way at first.
    """
    linear = nn.Linear(width, dim)
    return nn.Sequential(nn.BatchNorm1d(width, affine=False), linear) if normalise else linear
