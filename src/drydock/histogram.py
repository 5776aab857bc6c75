"""Histograms that merge exactly, in bounded memory, without knowing beforehand what will come.

Bins are as wide as a power of two and begin at its multiples, so that two of them are one of the
next width, and empty ones are not kept. When there are too many the width doubles. What comes of
that is the finest width at which the values fill no more bins than are allowed: the same whatever
the order in which values were added and histograms merged.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self

from drydock.errors import Malformed

# What is farther from zero no double tells from its neighbours at every width; it is only counted.
_MOST = 2.0**53


@dataclass(slots=True)
class Histogram:
    """How many values lie in which bin.

    Bin ``n`` holds values from ``n * width`` up to ``(n + 1) * width``. ``finest`` is the exponent
    of the narrowest width, ``most`` how many bins may be filled. ``lowest`` and ``highest`` are
    exact. ``beyond`` counts values that are in no bin.
    """

    finest: int = -7
    most: int = 256
    exponent: int = field(init=False)
    bins: dict[int, int] = field(default_factory=dict)
    lowest: float | None = None
    highest: float | None = None
    beyond: int = 0

    def __post_init__(self) -> None:
        self.exponent = self.finest

    @property
    def width(self) -> float:
        """How wide a bin is."""
        return math.ldexp(1.0, self.exponent)

    @property
    def count(self) -> int:
        """How many values lie in bins."""
        return sum(self.bins.values())

    def add(self, values: Iterable[float]) -> None:
        """Take values in; what is no number is left out."""
        kept = []
        for value in values:
            if abs(value) <= _MOST:
                kept.append(value)
            else:
                self.beyond += not math.isnan(value)
        if kept:
            self._widen(min(kept), max(kept))
        # Powers of two change no digit of a double that is so far from its ends.
        scale = math.ldexp(1.0, -self.exponent)
        for number, count in Counter(math.floor(value * scale) for value in kept).items():
            self.bins[number] = self.bins.get(number, 0) + count
        self._coarsen(self.exponent)

    def merge(self, other: Self) -> None:
        """Take in what another one holds."""
        self._coarsen(other.exponent)
        shift = self.exponent - other.exponent
        for number, count in other.bins.items():
            self.bins[number >> shift] = self.bins.get(number >> shift, 0) + count
        if other.lowest is not None and other.highest is not None:
            self._widen(other.lowest, other.highest)
        self.beyond += other.beyond
        self._coarsen(self.exponent)

    def quantile(self, share: float) -> float | None:
        """The value below which that share lies, as closely as bins tell; None without values."""
        if self.lowest is None or self.highest is None:
            return None
        left = share * self.count
        for number in sorted(self.bins):
            count = self.bins[number]
            if left <= count:
                found = (number + left / count) * self.width
                return min(max(found, self.lowest), self.highest)
            left -= count
        return self.highest

    def _widen(self, lowest: float, highest: float) -> None:
        self.lowest = lowest if self.lowest is None else min(self.lowest, lowest)
        self.highest = highest if self.highest is None else max(self.highest, highest)

    def _coarsen(self, exponent: int) -> None:
        """Widen the bins to an exponent at least, and until there are few enough."""
        while self.exponent < exponent or len(self.bins) > self.most:
            wider: dict[int, int] = {}
            for number, count in self.bins.items():
                wider[number >> 1] = wider.get(number >> 1, 0) + count
            self.bins = wider
            self.exponent += 1

    def as_json(self) -> dict[str, Any]:
        """The histogram as plain data."""
        return {
            "finest": self.finest,
            "most": self.most,
            "exponent": self.exponent,
            "bins": {str(number): self.bins[number] for number in sorted(self.bins)},
            "lowest": self.lowest,
            "highest": self.highest,
            "beyond": self.beyond,
        }


def histogram_of(values: Iterable[float], *, finest: int = -7, most: int = 256) -> Histogram:
    """The histogram of values."""
    found = Histogram(finest, most)
    found.add(values)
    return found


def parse_histogram(fields: dict[str, Any]) -> Histogram:
    """Read what :meth:`Histogram.as_json` gave.

    Raises:
        Malformed: it is something else.
    """
    try:
        found = Histogram(int(fields["finest"]), int(fields["most"]))
        found.exponent = int(fields["exponent"])
        found.bins = {int(number): int(count) for number, count in fields["bins"].items()}
        found.lowest, found.highest = fields["lowest"], fields["highest"]
        found.beyond = int(fields["beyond"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Malformed("this is no histogram") from error
    return found
