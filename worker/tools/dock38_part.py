"""What a start of dock64 leaves as a part: OUTDOCK, poses, and a row a line of OUTDOCK."""

import gzip
import json
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from worker.tools import FetchedInput, Output
from worker.tools.dock38_poses import Member, members
from worker.tools.dock38_restart import Restart
from worker.tools.dock38_run import INDEX, MOL2, NAMES, OUTDOCK, POSES, RESTART
from worker.tools.outdock import Docked, Failed, OutdockReader
from worker.tools.tally import Tally

SCORES = "scores.jsonl.gz"
_ROWS = "rows.jsonl"
_NO_TOTAL = "its energy is too large for OUTDOCK's column"
# DOCK prints the end of a name.
ID_CHARS = 16
# Hierarchies of which OUTDOCK may say nothing between two of which it does.
_LOOK_AHEAD = 1000


class Part:
    """Files of one part in the folder of its run, and in that of the worker's notes on it.

    ``restart`` is over the whole chain.
    """

    def __init__(self, folder: Path, notes: Path, fresh: int, restart: Restart) -> None:
        self._folder = folder
        self._notes = notes
        self.fresh = fresh
        self.restart = restart

    def tabulate(self, fetched: FetchedInput, tally: Tally, passed: int) -> None:
        """Make a row of each line of OUTDOCK, and count it; ``passed`` names were fed in vain."""
        common = {"input": fetched.uri, "index": fetched.index, "input_etag": fetched.etag}
        poses = _Poses(members(self._notes / INDEX))
        with (
            (self._folder / OUTDOCK).open(encoding="latin-1", newline="\n") as lines,
            (self._notes / NAMES).open(encoding="latin-1", newline="\n") as names,
            (self._notes / _ROWS).open("w", encoding="utf-8") as rows,
        ):
            identified = _Identified(islice(names, passed, None))
            for found in OutdockReader().rows(lines):
                row = _row(found, identified.full_id(found), tally)
                if isinstance(found, Docked) and (member := poses.of(found)):
                    row |= {"first_byte": member.first_byte, "length": member.length}
                rows.write(json.dumps(row | common, separators=(",", ":")) + "\n")

    def outputs(self) -> tuple[Output, ...]:
        """What goes up."""
        return (
            Output("outdock", OUTDOCK, lambda _keys: self._folder / OUTDOCK),
            Output("mol2", MOL2, lambda _keys: self._notes / POSES),
            Output("scores", SCORES, self._scores),
        )

    def kept_restart(self) -> Output:
        """What lets another dock64 go on from here."""
        path = self._notes / RESTART
        path.write_text(self.restart.text(), "latin-1")
        return Output("restart", RESTART, lambda _keys: path)

    def _scores(self, keys: Mapping[str, str]) -> Path:
        """The rows, with where the poses lie."""
        scores = self._notes / SCORES
        poses = b',"poses":%s}\n' % json.dumps(keys["mol2"]).encode()
        with (
            (self._notes / _ROWS).open("rb") as rows,
            scores.open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        ):
            for line in rows:
                packed.write(line.rstrip(b"}\n") + poses if b'"first_byte":' in line else line)
        return scores


def _row(found: Docked | Failed, full_id: str, tally: Tally) -> dict[str, Any]:
    """``ligand`` is the number of the molecule's row over all parts of the input."""
    row: dict[str, Any] = {"id": full_id, "ligand": tally.molecules}
    if isinstance(found, Failed):
        tally.failed()
        return row | {"score": None, "reason": found.reason}
    row["terms"] = found.terms
    if (found.rank or 1) > 1:  # one more pose of the molecule before it
        row["ligand"] = max(0, tally.molecules - 1)
    elif found.total is None:
        tally.failed()
        row["reason"] = _NO_TOTAL
    else:
        tally.docked(full_id, found.total)
    return row | {"score": found.total}


class _Identified:
    """Whole ids of rows: OUTDOCK has the end of a name, and follows the order of the bundle."""

    def __init__(self, names: Iterator[str]) -> None:
        self._names = names
        self._ahead: deque[str] = deque()
        self._number: int | None = None
        self._id = ""

    def full_id(self, row: Docked | Failed) -> str:
        """The name of the row's molecule in the bundle."""
        if not (self._id and self._is_same(row)):
            self._number = row.number
            self._id = self._next(row.id)
        return self._id

    def _is_same(self, row: Docked | Failed) -> bool:
        """Whether it is one more pose of the molecule before it."""
        if isinstance(row, Failed):
            return False
        return (row.rank or 1) > 1 if row.number is None else row.number == self._number

    def _next(self, printed: str) -> str:
        """The next name that is printed so; as it is printed, if the bundle has none such."""
        for passed in range(_LOOK_AHEAD):
            if passed == len(self._ahead):
                line = next(self._names, None)
                if line is None:
                    break
                self._ahead.append(line.rstrip("\n"))
            if self._ahead[passed][-ID_CHARS:] == printed:
                for _ in range(passed):
                    self._ahead.popleft()
                return self._ahead.popleft()
        return printed


class _Poses:
    """Where molecules' poses lie. DOCK writes none for an energy above ``mol2_score_maximum``."""

    def __init__(self, found: Iterator[Member]) -> None:
        self._found = found
        self._member = next(found, None)

    def of(self, row: Docked) -> Member | None:
        """The poses of a row's molecule; rows come in their order."""
        number = row.number
        while self._member and number and (self._member.number or 0) < number:
            self._member = next(self._found, None)
        if self._member is None or self._member.number != number:
            return None
        return self._member if self._member.name[-ID_CHARS:].strip() == row.id else None
