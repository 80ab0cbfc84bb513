"""Carving whole sources off a set of videos, the same ones on every machine."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from bench.video.index import Video, some


def carve(videos: Sequence[Video], class_names: Sequence[str], share: float, purpose: str) -> frozenset[str]:
    """Whole sources that hold about a share of every class's videos, and at least one of every class.

    Classes with the fewest sources choose first. Each takes sources in the order of the SHA-256 of purpose and name until
    it has its share, passing over those that would bring any class more than twice its share. A class that would thus get
    none takes the smallest source that it can. Every class keeps a video.

    Args:
        videos: All with labels.
        class_names: Of the labels.
        share: Of each class's videos, 0 to 1.
        purpose: What they are carved off for, one word; another purpose picks other sources.

    Raises:
        ValueError: If a class comes from a single source, so that it cannot be on both sides.
    """
    counts: dict[str, Counter[int]] = {}
    for video in videos:
        assert video.label is not None
        counts.setdefault(video.source, Counter())[video.label] += 1
    total: Counter[int] = sum(counts.values(), Counter())
    wanted = {label: max(1, round(share * total[label])) for label in total}
    taken: Counter[int] = Counter()
    chosen: set[str] = set()

    def leaves_some(source: str) -> bool:
        return all(taken[label] + count < total[label] for label, count in counts[source].items())

    def is_modest(source: str) -> bool:
        return all(taken[label] + count <= 2 * wanted[label] for label, count in counts[source].items())

    candidates = {
        label: sorted((source for source in counts if label in counts[source]), key=lambda s: _rank(purpose, s))
        for label in total
    }
    torn = []
    for label in sorted(total, key=lambda label: (len(candidates[label]), label)):
        for source in candidates[label]:
            if taken[label] < wanted[label] and source not in chosen and is_modest(source) and leaves_some(source):
                chosen.add(source)
                taken.update(counts[source])
        if taken[label] == 0:
            possible = [source for source in candidates[label] if leaves_some(source)]
            if possible:
                smallest = min(possible, key=lambda source: counts[source].total())
                chosen.add(smallest)
                taken.update(counts[smallest])
            else:
                torn.append(class_names[label])
    if torn:
        raise ValueError(
            f"{len(torn)} classes have too few sources for videos on both sides of the {purpose} split: "
            f"{some(sorted(torn))}. Every class needs videos cut from at least one more recording."
        )
    return frozenset(chosen)


def _rank(purpose: str, source: str) -> str:
    return hashlib.sha256(f"{purpose}\n{source}".encode()).hexdigest()
