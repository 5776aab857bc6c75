"""Where DOCK goes on: its own ``restart``, and which hierarchies of the bundle it is not fed.

DOCK's file is one line of three numbers: files that are finished, hierarchies of the file at hand
that are, and ligands of the attempt. It reads no further: a second line is ours. That tells which
hierarchies, numbered from 0 in the order of the bundle, were docked before this worker came.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from worker.endings import RestartUnusable

_NOT_FED = "not fed:"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Hierarchies that are not fed, as ranges with both ends inclusive, ascending."""

    ranges: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int]) -> "LeftOut":
        """Ranges of ascending numbers."""
        ranges: list[tuple[int, int]] = []
        for number in numbers:
            if ranges and ranges[-1][1] + 1 == number:
                ranges[-1] = (ranges[-1][0], number)
            else:
                ranges.append((number, number))
        return cls(tuple(ranges))

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.ranges)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self.ranges, (number, float("inf"))) - 1
        return place >= 0 and number <= self.ranges[place][1]


@dataclass(frozen=True, slots=True)
class Restart:
    """``finished`` hierarchies of those that are fed are behind the program."""

    finished: int = 0
    left_out: LeftOut = LeftOut()

    @property
    def progress(self) -> int:
        """Hierarchies of the bundle that need not be docked any more."""
        return self.finished + len(self.left_out)

    def for_dock(self) -> str | None:
        """DOCK's file, or None when it is to begin."""
        return f"{0:12d}{self.finished:12d}{0:12d}\n" if self.finished else None

    def text(self) -> str:
        """What a part keeps."""
        line = f"{0:12d}{self.finished:12d}{0:12d}\n"
        if not self.left_out:
            return line
        ranges = " ".join(f"{first}-{last}" for first, last in self.left_out.ranges)
        return f"{line}{_NOT_FED} {ranges}\n"


def finished_of(text: str) -> int | None:
    """How many hierarchies of the stream are behind DOCK, by its own file; None if that is none."""
    try:
        files, finished, _ = (int(field) for field in text.split("\n", maxsplit=1)[0].split())
    except ValueError:
        return None
    return finished if files == 0 and finished >= 0 else None


def parse_restart(text: str) -> Restart:
    """Read what a part kept.

    Raises:
        RestartUnusable: it is none.
    """
    first, _, second = text.partition("\n")
    finished = finished_of(first)
    if finished is None or (second.strip() and not second.startswith(_NOT_FED)):
        raise RestartUnusable(f"{first[:100]!r} is no restart of DOCK's")
    try:
        pairs = [pair.split("-") for pair in second.removeprefix(_NOT_FED).split()]
        ranges = tuple((int(low), int(high)) for low, high in pairs)
    except ValueError as error:
        raise RestartUnusable(f"{second[:100]!r} names no hierarchies") from error
    return Restart(finished, LeftOut(ranges))
