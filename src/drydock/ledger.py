"""The accounts of a run's shards, one after the other, in memory that does not grow with them.

They are kept as lines of a file until ``accounting.json`` is written; what is held is their sum,
the shards that it went worst with, and how many turns the tables of each have.
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any, Self

from drydock.accounting import Accounts, add_up

# In memory up to this size, then on the function's disk.
SPOOLED_BYTES = 8 << 20
_WORST = 3


@dataclass(slots=True)
class Ledger:
    """Enter each shard once, then read the total and write the accounting."""

    total: Accounts = field(default_factory=lambda: Accounts(0, 0, 0, 0, 0))
    turns: dict[int, int] = field(default_factory=dict)
    _worst: list[tuple[tuple[int, ...], dict[str, Any]]] = field(default_factory=list)
    _lines: IO[bytes] = field(
        default_factory=lambda: tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES)  # noqa: SIM115
    )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lines.close()

    def enter(self, shard: int, accounts: Accounts, turns: int) -> None:
        """Take note of a shard; ``turns`` says how many tables it has."""
        self._lines.write(b",\n" if self.turns else b"")
        self._lines.write(json.dumps({"shard": shard, **accounts.as_json()}).encode())
        self.turns[shard] = turns
        self.total = add_up((self.total, accounts))
        badness = (accounts.remaining, accounts.effort.interrupted, accounts.failed)
        if any(badness):
            self._worst.append(((*badness, -shard), _in_brief(shard, accounts)))
            self._worst.sort(key=lambda entry: entry[0], reverse=True)
            del self._worst[_WORST:]

    @contextmanager
    def accounting(self, head: dict[str, Any]) -> Iterator[IO[bytes]]:
        """The bytes of ``accounting.json``: the run's own fields, then a line for each shard."""
        with tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES) as body:
            body.write(json.dumps(head, indent=2).removesuffix("\n}").encode())
            body.write(b',\n  "shards": [\n')
            self._lines.seek(0)
            shutil.copyfileobj(self._lines, body)
            body.write(b"\n]\n}\n")
            body.seek(0)
            yield body

    def in_brief(self) -> dict[str, Any]:
        """What the execution says: the run's counts, what it took, and the worst shards."""
        counts = ("inputs", "done", "failed", "skipped", "remaining")
        effort = self.total.effort.as_json()
        return {
            **{name: getattr(self.total, name) for name in counts},
            **effort,
            "late_markers": self.total.late_markers,
            "voided_markers": self.total.voided_markers,
            "worst_shards": [brief for _, brief in self._worst],
        }


def _in_brief(shard: int, accounts: Accounts) -> dict[str, Any]:
    effort = accounts.effort
    return {
        "shard": shard,
        "remaining": accounts.remaining,
        "failed": accounts.failed,
        "rounds": effort.rounds,
        "attempts": effort.attempts,
        "interruptions": dict(sorted(effort.interruptions.items())),
        "lost_seconds": effort.lost_seconds,
        "on_demand_share": effort.on_demand_share,
    }
