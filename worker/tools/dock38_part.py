"""What a start of dock64 leaves as a part: OUTDOCK, poses, and a row a line of OUTDOCK."""

import gzip
import json
from pathlib import Path
from typing import Any

from worker.tools import FetchedInput, Output
from worker.tools.dock38_run import MOL2, OUTDOCK, RESTART, restart_text
from worker.tools.outdock import Docked, Failed, OutdockReader
from worker.tools.tally import Tally

SCORES = "scores.jsonl.gz"
_NO_TOTAL = "its energy is too large for OUTDOCK's column"


class Part:
    """Files of one part in the folder of its run. ``progress`` is over the whole chain."""

    def __init__(self, folder: Path, fresh: int, progress: int) -> None:
        self._folder = folder
        self.fresh = fresh
        self.progress = progress

    def write_scores(self, fetched: FetchedInput, tally: Tally) -> None:
        """Make a row of each line of OUTDOCK, and count it."""
        common = {"input": fetched.uri, "index": fetched.index, "input_etag": fetched.etag}
        with (
            (self._folder / OUTDOCK).open(encoding="latin-1", newline="\n") as lines,
            (self._folder / SCORES).open("wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        ):
            for found in OutdockReader().rows(lines):
                row = _row(found, tally) | common
                packed.write(json.dumps(row, separators=(",", ":")).encode() + b"\n")

    def outputs(self) -> tuple[Output, ...]:
        """What goes up."""
        return (
            Output("outdock", OUTDOCK, lambda _keys: self._folder / OUTDOCK),
            Output("mol2", MOL2, lambda _keys: self._folder / MOL2),
            Output("scores", SCORES, lambda _keys: self._folder / SCORES),
        )

    def restart(self) -> Output:
        """What lets another dock64 go on from here: its own, or one of the same form."""
        path = self._folder / RESTART
        if not path.exists():
            path.write_text(restart_text(self.progress))
        return Output("restart", RESTART, lambda _keys: path)


def _row(found: Docked | Failed, tally: Tally) -> dict[str, Any]:
    """``ligand`` is the number of the molecule's row over all parts of the input."""
    row: dict[str, Any] = {"id": found.id, "ligand": tally.molecules}
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
        tally.docked(found.id, found.total)
    return row | {"score": found.total}
