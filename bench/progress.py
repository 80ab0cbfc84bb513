"""Many shares of work, told as one."""

from collections.abc import Hashable, Iterable


class Shares:
    """Of parts that go on at once or one after another: how much is done of all of them."""

    def __init__(self, parts: Iterable[Hashable]) -> None:
        self._shares = dict.fromkeys(parts, 0.0)

    def __call__(self, part: Hashable, share: float) -> float:
        """Note the share done of a part, 0 to 1; returns the share done of all."""
        assert part in self._shares, f"{part} is none of {list(self._shares)}"
        self._shares[part] = min(max(share, 0.0), 1.0)
        return sum(self._shares.values()) / len(self._shares)
