"""When a run's shards were worked on, and when machines were taken from them.

A shard keeps its rounds and a histogram of the moments at which attempts did not end well, by
class. Of a run with few shards each is a lane of its own; of one with many it is told how many
were worked on at a time: neither grows with the run. Times are seconds since 1970.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from drydock.errors import Malformed
from drydock.histogram import Histogram, parse_histogram
from drydock.shard_document import Round

# Lanes that a chart has room for; with more shards there are none.
MOST_LANES = 60
# Of a shard with more rounds the newest are kept.
_MOST_ROUNDS = 40
_MOST_MOMENTS = 64


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when a round went on; ``ended_at`` is None where nobody knows."""

    epoch: int
    number: int
    queue: str
    jobs: int
    began_at: float
    ended_at: float | None
    failures: dict[str, int]


@dataclass(frozen=True, slots=True)
class History:
    """A shard's rounds, and when what interrupted it."""

    rounds: tuple[Span, ...] = ()
    interruptions: dict[str, Histogram] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The history as plain data."""
        return {
            "rounds": [asdict(each) for each in self.rounds],
            "interruptions": {
                name: found.as_json() for name, found in sorted(self.interruptions.items())
            },
        }


def parse_history(fields: dict[str, Any]) -> History:
    """Read what :meth:`History.as_json` gave.

    Raises:
        Malformed: it is something else.
    """
    try:
        return History(
            tuple(Span(**each) for each in fields["rounds"]),
            {name: parse_histogram(found) for name, found in fields["interruptions"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise Malformed("this is no shard's history") from error


def history_of(rounds: Iterable[Round], moments: Iterable[tuple[str, float]] = ()) -> History:
    """A shard's history; ``moments`` are classes and when attempts ended so."""
    spans = [
        Span(
            epoch=each.epoch,
            number=each.number,
            queue=each.queue,
            jobs=each.jobs,
            began_at=each.claimed_at,
            ended_at=each.ended_at,
            failures=dict(sorted(each.failures.items())),
        )
        for each in rounds
        if each.job_id is not None
    ]
    found: dict[str, Histogram] = {}
    for name, at in moments:
        found.setdefault(name, Histogram(finest=0, most=_MOST_MOMENTS)).add([at])
    return History(tuple(spans[-_MOST_ROUNDS:]), found)


@dataclass(slots=True)
class Activity:
    """When rounds of one epoch began and ended, over all shards."""

    began: Histogram = field(default_factory=lambda: Histogram(finest=0))
    ended: Histogram = field(default_factory=lambda: Histogram(finest=0))
    open: int = 0

    def add(self, span: Span) -> None:
        """Take a round in."""
        self.began.add([span.began_at])
        if span.ended_at is None:
            self.open += 1
        else:
            self.ended.add([span.ended_at])

    def at_work(self) -> list[tuple[float, int]]:
        """How many rounds went on from which time on, by the wider of both histograms' bins."""
        width = max(self.began.width, self.ended.width)
        changes: dict[float, int] = {}
        for found, step in ((self.began, 1), (self.ended, -1)):
            for number, count in found.bins.items():
                # What begins and ends within a bin must not vanish: ends count in the next one.
                at = number * found.width // width * width + (width if step < 0 else 0.0)
                changes[at] = changes.get(at, 0) + step * count
        told, going_on = [], 0
        for at in sorted(changes):
            going_on += changes[at]
            told.append((at, going_on))
        return told


@dataclass(slots=True)
class Timeline:
    """The histories of a run's shards, put together one after the other."""

    shards: int
    activities: dict[int, Activity] = field(default_factory=dict)
    interruptions: dict[str, Histogram] = field(default_factory=dict)
    lanes: list[tuple[int, History]] = field(default_factory=list)

    def enter(self, shard: int, history: History) -> None:
        """Take a shard in."""
        for span in history.rounds:
            self.activities.setdefault(span.epoch, Activity()).add(span)
        for name, found in history.interruptions.items():
            self.interruptions.setdefault(name, Histogram(finest=0)).merge(found)
        if self.shards <= MOST_LANES:
            self.lanes.append((shard, history))

    @property
    def ended_at(self) -> float | None:
        """When the last round ended."""
        ends = [each.ended.highest for each in self.activities.values()]
        return max((each for each in ends if each is not None), default=None)

    def as_json(self) -> dict[str, Any]:
        """What the page draws."""
        return {
            "epochs": [
                {
                    "epoch": epoch,
                    "from": found.began.lowest,
                    "to": found.ended.highest,
                    "open": found.open,
                    "at_work": found.at_work(),
                }
                for epoch, found in sorted(self.activities.items())
            ],
            "lanes": [{"shard": shard, **_lane(each)} for shard, each in self.lanes],
            "interruptions": _told(self.interruptions),
        }


def _lane(history: History) -> dict[str, Any]:
    """A lane, as the page draws it."""
    return {
        "rounds": [asdict(each) for each in history.rounds],
        "interruptions": _told(history.interruptions),
    }


def _told(interruptions: dict[str, Histogram]) -> list[dict[str, Any]]:
    """Each class with how many there were in which stretch of time."""
    return [
        {
            "class": name,
            "seconds": found.width,
            "times": [[number * found.width, found.bins[number]] for number in sorted(found.bins)],
        }
        for name, found in sorted(interruptions.items())
    ]
