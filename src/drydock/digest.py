"""What of a run's shards its page shows, gathered shard by shard in memory that stays flat."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from drydock.accounting import Accounts
from drydock.histogram import Histogram
from drydock.timeline import MOST_LANES, History, Timeline

_EXAMPLES = 3
_CLASSES = 20
_TEXTS = 10
_TEXT_CHARACTERS = 500
_WANTED = ("index", "input", "reason", "exit_code", "log_stream")


@dataclass(slots=True)
class Digest:
    """Enter each shard once. ``shards`` is how many there are.

    ``untold`` counts molecules of shards that do not say how their scores are distributed,
    ``failed`` are the shards that have failed inputs.
    """

    shards: int
    pilot: Accounts | None = None
    scores: Histogram = field(default_factory=Histogram)
    untold: int = 0
    failed: list[int] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    texts: dict[str, str] = field(default_factory=dict)
    timeline: Timeline = field(init=False)
    _worst: list[tuple[tuple[int, ...], dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.shards)

    def enter(
        self, shard: int, accounts: Accounts, scores: Histogram | None, history: History
    ) -> None:
        """Take note of a shard."""
        if scores is None:
            self.untold += accounts.molecules
        else:
            self.scores.merge(scores)
        self.timeline.enter(shard, history)
        if accounts.failed:
            self.failed.append(shard)
        if accounts.remaining:
            self.endings[accounts.ending or "unknown"] += accounts.remaining
        for name, text in accounts.texts.items():
            if len(self.texts) < _TEXTS:
                self.texts.setdefault(name, cut(text))
        badness = (accounts.remaining, accounts.effort.interrupted, accounts.failed)
        self._worst.append(((*badness, -shard), _row(shard, accounts, history)))
        if len(self._worst) > 2 * MOST_LANES:
            self._prune()

    def _prune(self) -> None:
        self._worst.sort(key=lambda entry: entry[0], reverse=True)
        del self._worst[MOST_LANES:]

    def table(self) -> list[dict[str, Any]]:
        """A row for each shard, in their order; of many those that it went worst with."""
        self._prune()
        return sorted((row for _, row in self._worst), key=lambda row: row["shard"])


def _row(shard: int, accounts: Accounts, history: History) -> dict[str, Any]:
    effort = accounts.effort
    began = [each.began_at for each in history.rounds]
    ended = [each.ended_at for each in history.rounds if each.ended_at is not None]
    return {
        "shard": shard,
        "inputs": accounts.inputs,
        "done": accounts.done,
        "failed": accounts.failed,
        "skipped": accounts.skipped,
        "remaining": accounts.remaining,
        "rounds": effort.rounds,
        "attempts": effort.attempts,
        "interruptions": dict(sorted(effort.interruptions.items())),
        "lost_seconds": effort.lost_seconds,
        "on_demand_share": effort.on_demand_share,
        "began_at": min(began, default=None),
        "ended_at": max(ended, default=None),
    }


@dataclass(slots=True)
class Examples:
    """A few failed inputs of each class, out of the shards' tables of them."""

    found: dict[str, list[dict[str, str]]] = field(default_factory=dict)

    def look(self, failures: Mapping[str, int], table: bytes) -> None:
        """Look through a shard's table, if there may be one that is wanted.

        ``failures`` are the classes that there are, ``table`` its ``failures.csv``. Examples are
        for the page alone: of a table that cannot be read there are as many as were found.
        """
        if all(self._is_full(name) for name in failures):
            return
        try:
            self._look(failures, table)
        except (csv.Error, UnicodeDecodeError):
            return

    def _look(self, failures: Mapping[str, int], table: bytes) -> None:
        for row in csv.DictReader(io.StringIO(table.decode(), newline="")):
            name, told = str(row.get("class")), [row.get(column) for column in _WANTED]
            # Earlier versions left a carriage return unquoted, at which the line then ends.
            if name in failures and None not in told and not self._is_full(name):
                texts = dict(zip(_WANTED, map(cut, map(str, told)), strict=True))
                self.found.setdefault(name, []).append(texts)

    def _is_full(self, name: str) -> bool:
        if name not in self.found:
            return len(self.found) >= _CLASSES
        return len(self.found[name]) >= _EXAMPLES


def cut(text: str, most: int = _TEXT_CHARACTERS) -> str:
    """A text, so long at most."""
    return text if len(text) <= most else text[: most - 1] + "…"
