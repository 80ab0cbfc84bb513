"""Keys of earlier batches, as negatives.

Source: He et al., "Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020, section 3.2. It begins
with random unit vectors, as in PeihaoChen/RSPNet at 2958779, moco/builder_diffspeed_diffloss.py.

Differs from the source:
- it may hold any number of keys from one batch on: the oldest are overwritten in a ring. RSPNet cuts its size to a multiple
  of the batch;
- keys stand in rows, not in columns;
- in several processes each has a queue of its own.

Until it has been filled once the queue holds vectors that nobody takes for a clip: accuracies of these steps flatter.

Shapes: B queries, K keys in the queue, D width of an embedding.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class KeyQueue(nn.Module):
    """The last `size` keys, unit vectors, oldest overwritten first."""

    keys_KD: Tensor
    place: Tensor

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(
                f"A queue of {size} keys holds no negative; take at least as many as there are videos in a batch."
            )
        self.register_buffer("keys_KD", functional.normalize(torch.randn(size, dim), dim=1))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, keys_BD: Tensor) -> None:
        """Put the keys of a batch in, over the oldest.

        Raises:
            ValueError: If they are more than the queue holds.
        """
        size, batch = len(self.keys_KD), len(keys_BD)
        if batch > size:
            raise ValueError(
                f"The queue holds {size} keys and a batch brings {batch}. "
                "Take a queue of at least one batch, or smaller batches."
            )
        places_B = (self.place + torch.arange(batch, device=self.place.device)) % size
        self.keys_KD.index_copy_(0, places_B, keys_BD)
        self.place.copy_((self.place + batch) % size)


def key_logits(
    query_BD: Tensor, own_BD: Tensor, others_KD: Tensor, temperature: float, *, within_batch: bool = False
) -> Tensor:
    """Similarity of each query with its own key and with the keys of others, over the temperature: [B, 1 + K].

    Cross-entropy with target 0 is InfoNCE. What is pushed into the queue afterwards leaves the logits and their gradient
    alone: the others are copied. With `within_batch` the own keys of the other queries stand behind the queue: [B, 1 + K + B],
    minus infinity where a query would meet its own again.
    """
    with torch.autocast(query_BD.device.type, enabled=False):
        own_B1 = (query_BD * own_BD).sum(1, keepdim=True)
        logits = [own_B1, query_BD @ others_KD.clone().T]
        if within_batch:
            logits.append(
                (query_BD @ own_BD.T).masked_fill(
                    torch.eye(len(own_BD), dtype=torch.bool, device=own_BD.device), -math.inf
                )
            )
        return torch.cat(logits, dim=1) / temperature


def first_is_largest(logits_BK: Tensor) -> Tensor:
    """Share of the rows whose first entry is above all others."""
    logits = logits_BK.detach()
    return (logits[:, 0] > logits[:, 1:].amax(1)).float().mean()


def share_above(larger_B: Tensor, smaller_B: Tensor) -> Tensor:
    """Share of the pairs in which the first is larger; a tie counts one half."""
    return (torch.sign(larger_B.detach() - smaller_B.detach()) / 2 + 0.5).mean()
