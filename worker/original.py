"""A prefix that DOCK users' original image began, or is to see: by hand alone.

That image leaves ``OUTDOCK.N`` and ``test.mol2.gz.N`` of its N'th attempt in ``<index>/``, and a
bare ``restart`` as long as the input is unfinished. What it left becomes a part, from which this
worker goes on; and this worker keeps a bare ``restart`` there as long as the input is unfinished,
for those who look for one. Nothing else that was there is ever changed.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from drydock.errors import AlreadyExists, Conflict, NotFound
from drydock.parts import OutputObject, PartRecord
from drydock.store import AccessDenied, Store
from worker.archives import ArchiveError
from worker.contract import Contract
from worker.journal import Journal
from worker.places import Places
from worker.results import write_part_record
from worker.stop_signals import Stop
from worker.tools import FetchedInput
from worker.tools.dock38_earlier import Earlier, Start, account, read_start
from worker.tools.dock38_run import MOL2, OUTDOCK, RESTART
from worker.transfer import fetch_output
from worker.work import Work

_OUTPUT = re.compile(rf"({re.escape(OUTDOCK)}|{re.escape(MOL2)})\.(0|[1-9][0-9]{{0,8}})")
_WHY = "begun by another image"


def original_prefix(
    work: Work, contract: Contract, store: Store, stop: Stop, journal: Journal
) -> "OriginalPrefix | None":
    """The folder of the input, where it can be that image's: by hand, with DOCK 3.8."""
    if not work.by_hand or work.tool != "dock38":
        return None
    place = work.records[0].place
    return OriginalPrefix(store, work.output_bucket, work.places, place, contract, stop, journal)


@dataclass(frozen=True, slots=True)
class OriginalPrefix:
    """The folder of one input below the output prefix."""

    store: Store
    bucket: str
    places: Places
    place: int
    contract: Contract
    stop: Stop
    journal: Journal

    def adopt(self, fetched: FetchedInput, scratch: Path) -> list[tuple[int, str]]:
        """Make a part of what lies there; returns its number and key, as a history is read from.

        Raises:
            Interrupted: a stop was asked for.
        """
        found = self._attempts()
        starts: list[Start] = []
        outputs: list[OutputObject] = []
        for number, (outdock, poses) in found.items():
            start = self._read(outdock, poses, scratch)
            if start is None:
                self.journal.say("earlier_attempt_is_not_whole", number=number)
                continue
            starts.append(start)
            outputs += (outdock, poses)
        if not starts:
            return []
        try:
            earlier = account(fetched.path, starts)
        except ArchiveError:  # which the tool will tell
            return []
        return self._write(max(found), earlier, outputs, fetched)

    def keep_restart(self, restart: OutputObject) -> None:
        """Write the bare ``restart``: what a part has as its own."""
        body = self.store.get(self.bucket, restart.key, etag=restart.etag).body
        try:
            seen = self.store.head(self.bucket, self._restart_key)
        except NotFound:
            seen = None
        try:
            if seen is None:
                self.store.put_once(self.bucket, self._restart_key, body)
            else:
                self.store.replace(self.bucket, self._restart_key, body, seen.etag)
        except (AlreadyExists, Conflict):
            return  # another attempt is at it; what counts is the part's record

    def remove_restart(self) -> None:
        """The input is done: there is nothing to go on from, as the contract has it."""
        try:
            seen = self.store.head(self.bucket, self._restart_key)
            self.store.delete_if_match(self.bucket, self._restart_key, seen.etag)
        except NotFound:
            return
        except (AccessDenied, Conflict) as error:
            self.journal.say("restart_stays", key=self._restart_key, why=str(error))

    @property
    def _folder(self) -> str:
        return self.places.input_folder(self.place)

    @property
    def _restart_key(self) -> str:
        return self._folder + RESTART

    def _attempts(self) -> dict[int, tuple[OutputObject, OutputObject]]:
        """OUTDOCK and poses of the attempts that have both, by number."""
        found: dict[int, dict[str, OutputObject]] = {}
        for listed in self.store.list(self.bucket, self._folder, delimiter="/"):
            if name := _OUTPUT.fullmatch(listed.key.removeprefix(self._folder)):
                kind = "outdock" if name[1] == OUTDOCK else "mol2"
                output = OutputObject(kind, listed.key, listed.size, listed.etag)
                found.setdefault(int(name[2]), {})[kind] = output
        return {
            number: (pair["outdock"], pair["mol2"])
            for number, pair in sorted(found.items())
            if len(pair) > 1
        }

    def _read(self, outdock: OutputObject, poses: OutputObject, scratch: Path) -> Start | None:
        paths = scratch / "earlier-outdock", scratch / "earlier-poses"
        for output, path in zip((outdock, poses), paths, strict=True):
            fetch_output(self.store, self.bucket, output, path, self.stop)
        start = read_start(*paths)
        for path in paths:
            path.unlink()
        return start

    def _write(
        self, number: int, earlier: Earlier, outputs: list[OutputObject], fetched: FetchedInput
    ) -> list[tuple[int, str]]:
        if not earlier.restart.progress:
            return []
        restart = self._put_restart(f"{self._restart_key}.{number}", earlier.restart.text())
        if restart is None:
            return []
        record = PartRecord(
            part=number,
            parent=None,
            place=self.place,
            index=fetched.index,
            input_etag=fetched.etag,
            outputs=tuple(outputs),
            restart=restart,
            progress=earlier.restart.progress,
            why=_WHY,
            job_id=self.contract.job_id,
            attempt=self.contract.attempt,
            seconds=earlier.seconds,
            counts={
                "molecules": earlier.restart.progress,
                "failed_molecules": earlier.failed_molecules,
            },
            best_id=earlier.best_id,
            best_score=earlier.best_score,
        )
        write_part_record(self.store, self.bucket, self.places, record)
        self.journal.say("part", part=number, progress=record.progress, why=_WHY)
        return [(number, self.places.part_record(self.place, number))]

    def _put_restart(self, key: str, text: str) -> OutputObject | None:
        """The part's restart; one that is there must be the same, from an attempt that died."""
        body = text.encode("latin-1")
        try:
            etag = self.store.put_once(self.bucket, key, body)
        except AlreadyExists:
            there = self.store.get(self.bucket, key)
            if there.body != body:
                self.journal.say("earlier_attempts_are_left", why=f"{key} is another one's")
                return None
            etag = there.etag
        return OutputObject("restart", key, len(body), etag)
