"""What earlier attempts left of an input: its parts, and the one to go on from."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from drydock.errors import Changed, Malformed, NotFound
from drydock.parts import PartRecord, chain, most_progress, parse_part_record
from drydock.store import Store
from worker.journal import Journal
from worker.stop_signals import Stop
from worker.tools import Resume
from worker.transfer import fetch_output

_READERS = 8


class History:
    """What is known of one input's parts, and what this attempt adds to them.

    ``lost`` are the numbers of those that cannot be gone on from.
    """

    def __init__(self, records: list[PartRecord], highest: int, lost: set[int]) -> None:
        self.records = records
        self.highest = highest
        self.parent: PartRecord | None = None
        self.chain: list[PartRecord] = []
        self.restart: Path | None = None
        self.lost = lost
        self.started = time.monotonic()

    @property
    def resume(self) -> Resume:
        """Where a session is to go on."""
        troubles = frozenset(r.trouble for r in self.records if r.trouble is not None)
        if self.parent is None:
            return Resume(troubles=troubles)
        return Resume(
            progress=self.parent.progress,
            troubles=troubles,
            counts=self.parent.counts,
            best_id=self.parent.best_id,
            best_score=self.parent.best_score,
            restart=self.restart,
        )

    def seconds(self) -> float:
        """Seconds since the last part was sealed, or since the work began."""
        return round(time.monotonic() - self.started, 3)

    def add(self, sealed: PartRecord) -> None:
        """A part of this attempt, from which the next one goes on."""
        self.parent = sealed
        self.chain.append(sealed)
        self.records.append(sealed)
        self.started = time.monotonic()


class HistoryReader(NamedTuple):
    """Reads parts from S3; what cannot be read is told of and left out."""

    store: Store
    bucket: str
    stop: Stop
    journal: Journal

    def read(self, keys: Sequence[tuple[int, str]], input_etag: str, folder: str) -> History:
        """The records, by number and key, of the parts that are of this very input.

        What one of them wrote to the input's ``folder`` may have been removed or overwritten since:
        nothing goes on from it then, for a result that rested on it would never count.
        """
        read: list[PartRecord] = []
        if keys:
            with ThreadPoolExecutor(_READERS) as pool:
                read = [found for found in pool.map(self._read_part, keys) if found is not None]
        records = [each for each in read if each.input_etag == input_etag]
        highest = max((number for number, _ in keys), default=-1)
        return History(records, highest, lost=self._damaged(records, folder))

    def choose_parent(self, history: History, target: Path) -> None:
        """Find the part to go on from, and fetch its restart to ``target`` if it has one."""
        while True:
            # A record without progress tells of a death; there is nothing to go on from.
            usable = [r for r in history.records if r.progress and r.part not in history.lost]
            parent = most_progress(usable, None)
            if parent is None or self._fetch_restart(parent, target):
                break
            history.lost.add(parent.part)
        history.parent = parent
        history.chain = [] if parent is None else chain(history.records, parent.part)
        history.restart = target if parent is not None and parent.restart else None

    def lose_parent(self, history: History, error: Exception) -> None:
        """The part's restart cannot be used: another one is to be chosen."""
        if history.parent is not None:
            history.lost.add(history.parent.part)
            self.journal.say("restart_lost", part=history.parent.part, why=str(error))

    def _damaged(self, records: Sequence[PartRecord], folder: str) -> set[int]:
        """The numbers of parts that have lost an output."""
        if not any(record.outputs for record in records):
            return set()
        there = {
            found.key: (found.size, found.etag) for found in self.store.list(self.bucket, folder)
        }
        damaged: set[int] = set()
        for record in records:
            bad = [out.key for out in record.outputs if there.get(out.key) != (out.size, out.etag)]
            if bad:
                damaged.add(record.part)
                self.journal.say("part_damaged", part=record.part, key=bad[0])
        return damaged

    def _fetch_restart(self, parent: PartRecord, target: Path) -> bool:
        """Whether the part's restart is in scratch now, or it has none; a lost one is told of."""
        if parent.restart is None:
            return True
        try:
            fetch_output(self.store, self.bucket, parent.restart, target, self.stop)
        except (NotFound, Changed) as error:
            self.journal.say("restart_lost", part=parent.part, why=str(error))
            return False
        return True

    def _read_part(self, numbered: tuple[int, str]) -> PartRecord | None:
        number, key = numbered
        try:
            found = parse_part_record(self.store.get(self.bucket, key).body)
        except (Malformed, NotFound) as error:
            self.journal.say("strange_part", key=key, why=str(error))
            return None
        return found if found.part == number else None
