"""How far a run has come: plain data and arithmetic over what was read of its shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

ShardState = Literal["not begun", "waiting", "running", "complete", "left"]
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class ShardProgress:
    """A shard as it is now.

    ``left`` is one that has ended in this epoch with inputs remaining. ``running`` are children
    whose container runs; ``rounds`` those of all epochs. ``settled_a_second`` is what this epoch's
    rounds have settled, over the time since the first of them was claimed.
    """

    shard: int
    inputs: int
    done: int = 0
    failed: int = 0
    skipped: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    state: ShardState = "not begun"
    rounds: int = 0
    running: int = 0
    queue: str = ""
    not_before: float | None = None
    settled_a_second: float = 0.0

    @property
    def settled(self) -> int:
        """Inputs of which nothing is left to do."""
        return self.done + self.failed + self.skipped

    @property
    def remaining(self) -> int:
        """All others."""
        return self.inputs - self.settled


@dataclass(frozen=True, slots=True)
class RunProgress:
    """A run as it is now. Times are seconds since 1970.

    ``status`` is the execution's, in AWS's words, and ``error`` the name that it failed by;
    ``whole`` says that the manifest is: before that there may be more shards. ``spent_usd`` is None
    where nothing tells it yet.
    """

    run_id: str
    name: str
    output_uri: str
    epoch: int
    started_at: float
    status: str
    stop: str | None
    whole: bool
    shards: Sequence[ShardProgress]
    spent_usd: float | None = None
    stop_after_usd: float | None = None
    error: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the execution has ended."""
        return self.status != "RUNNING"

    @property
    def is_done(self) -> bool:
        """Whether the execution has ended well and left no input: its results are whole."""
        return self.status == "SUCCEEDED" and self.whole and not self.total("remaining")

    def total(self, name: str) -> int:
        """The sum of a count over all shards."""
        return sum(getattr(shard, name) for shard in self.shards)

    @property
    def failures(self) -> dict[str, int]:
        """Failed inputs by class, the most frequent first."""
        counts: Counter[str] = Counter()
        for shard in self.shards:
            counts.update(shard.failures)
        return dict(counts.most_common())

    @property
    def states(self) -> dict[str, int]:
        """How many shards are in which state."""
        return dict(Counter(shard.state for shard in self.shards))

    @property
    def settled_an_hour(self) -> float:
        """What the shards that are worked on settle in an hour, together, at their pace so far."""
        return _HOUR_S * sum(shard.settled_a_second for shard in self.shards)

    @property
    def left_s(self) -> float | None:
        """Seconds until all is settled, if as much is worked on at a time until then.

        None where nothing tells: nothing was settled yet, or the run is over.
        """
        pace = self.settled_an_hour / _HOUR_S
        remaining = self.total("remaining")
        if self.is_over or not self.whole or not pace or not remaining:
            return None
        return remaining / pace

    def as_json(self) -> dict[str, Any]:
        """The whole as plain data; of shards the counts by state alone."""
        counts = ("inputs", "settled", "done", "failed", "skipped", "remaining", "running")
        return {
            "run_id": self.run_id,
            "name": self.name,
            "output": self.output_uri,
            "epoch": self.epoch,
            "started_at": self.started_at,
            "status": self.status,
            "error": self.error or None,
            "stop": self.stop,
            "manifest_is_whole": self.whole,
            **{name: self.total(name) for name in counts},
            "failures": self.failures,
            "shards": self.states,
            "rounds": self.total("rounds"),
            "settled_an_hour": round(self.settled_an_hour, 1),
            "left_s": None if self.left_s is None else round(self.left_s),
            "spent_usd": None if self.spent_usd is None else round(self.spent_usd, 4),
            "stop_after_usd": self.stop_after_usd,
        }


def unfinished(shards: Iterable[ShardProgress]) -> list[ShardProgress]:
    """The shards on which something is left to do, those that have begun first."""
    left = [shard for shard in shards if shard.remaining]
    return sorted(left, key=lambda shard: (shard.state == "not begun", shard.shard))
