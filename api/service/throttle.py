"""How often? Token buckets by name: so many at once, then so many a second."""

from collections import OrderedDict
from typing import final

_KEPT = 10_000


@final
class Buckets:
    """One bucket per name, full at first. The clock is passed in; of 10,000 the least recently used are forgotten."""

    def __init__(self, per_second: float, most: float) -> None:
        self._per_second = per_second
        self._most = most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, now: float, take: float) -> float:
        """Take from a bucket; seconds until it would do where it is too empty, and then nothing is taken.

        With `take` 0 it only asks whether one could be taken.
        """
        left, at = self._left.get(name, (self._most, now))
        left = min(self._most, left + (now - at) * self._per_second)
        needed = take or min(1.0, self._most)
        missing = needed - left
        self._left[name] = (left if missing > 0 else left - take, now)
        self._left.move_to_end(name)
        while len(self._left) > _KEPT:
            self._left.popitem(last=False)
        return max(0.0, missing / self._per_second)
