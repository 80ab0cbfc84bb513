"""An order in which the videos of a source stand next to each other.

Videos of a source look alike, so in a batch of whole sources they are each other's hard negatives: what a recording has in
common no longer tells which clip belongs to which, what happens in it does. Hard negatives are the field's; to take them from
one recording is ours. It reads which recording a video was cut from, never a label.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

from bench.names import Name, generator
from bench.stages.classifier import epochs_of


def by_source(sources: Sequence[str], *names: Name) -> Callable[[int, int], list[int]]:
    """From step and batch size to positions: every video once an epoch, source after source.

    Sources follow each other in an order of the epoch, and so do the videos within each. Where the batch is a multiple of
    their size, a batch holds whole sources; else its first and its last may be cut.
    """
    members: dict[str, list[int]] = {}
    for at, source in enumerate(sources):
        members.setdefault(source, []).append(at)
    groups = [members[source] for source in sorted(members)]

    @lru_cache(maxsize=8)
    def order(epoch: int) -> list[int]:
        rng = generator(*names, epoch, "order by source")
        return [int(at) for group in rng.permutation(len(groups)) for at in rng.permutation(groups[group])]

    def positions(step: int, batch_size: int) -> list[int]:
        epochs = epochs_of(step, batch_size, len(sources))
        return [order(epoch)[(step * batch_size + at) % len(sources)] for at, epoch in enumerate(epochs)]

    return positions
