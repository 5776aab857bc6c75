"""The best molecules of many sorted lists, in memory that does not grow with them."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, order=True)
class Ranked:
    """A scored molecule; lower scores are better. ``row`` is its whole line for a table."""

    score: float
    molecule_id: str
    row: str = field(compare=False, default="")


@dataclass(slots=True)
class Ranking:
    """The ``keep`` best molecules seen so far, the best score per id."""

    keep: int
    _best: dict[str, Ranked] = field(default_factory=dict)
    _limit: float = float("inf")

    def add(self, candidate: Ranked) -> bool:
        """Take a candidate in; False when it and all that is worse can not be among the best."""
        if candidate.score > self._limit:
            return False
        known = self._best.get(candidate.molecule_id)
        if known is None or candidate < known:
            self._best[candidate.molecule_id] = candidate
            if len(self._best) >= 2 * self.keep:
                self._prune()
        return True

    def add_sorted(self, candidates: Iterable[Ranked]) -> None:
        """Take in candidates that come best first; stops at the first that cannot matter."""
        for candidate in candidates:
            if not self.add(candidate):
                return

    def best(self) -> list[Ranked]:
        """The best molecules, best first; equal scores by id."""
        return heapq.nsmallest(self.keep, self._best.values())

    def _prune(self) -> None:
        kept = self.best()
        self._best = {candidate.molecule_id: candidate for candidate in kept}
        self._limit = kept[-1].score


def parse_ranked(lines: Iterable[str]) -> Iterator[Ranked]:
    """Read rows whose first two columns, separated by tabs, are the score and the molecule's id."""
    for line in lines:
        score, molecule_id, _ = line.split("\t", 2)
        yield Ranked(float(score), molecule_id, line)
