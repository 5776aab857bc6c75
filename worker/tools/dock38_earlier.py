"""What others docked of a bundle, by the files that DOCK left: OUTDOCK and poses, start by start.

Their ``restart`` is not gone by: it counts files of a folder that was unpacked and sorted, and DOCK
3.8 goes on wrongly from one when there are several. OUTDOCK tells which ligands have a row.
"""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from worker.tools.db2 import hierarchies
from worker.tools.dock38_part import ID_CHARS
from worker.tools.dock38_restart import LeftOut, Restart
from worker.tools.outdock import Docked, Failed, OutdockReader

_GZIP = 31
_CHUNK_BYTES = 1 << 18


@dataclass(slots=True)
class Start:
    """One start of DOCK: how many molecules of each printed id it docked, and how they scored."""

    molecules: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    best: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    def has_all(self, printed: str, of: int) -> bool:
        """Whether it docked all hierarchies that are printed so."""
        return self.molecules[printed] >= of


@dataclass(frozen=True, slots=True)
class Earlier:
    """What need not be docked again."""

    restart: Restart
    failed_molecules: int
    best_id: str | None
    best_score: float | None
    seconds: float


def read_start(outdock: Path, poses: Path) -> Start | None:
    """What a start left; None when it is not whole: DOCK died, or a file was cut on its way."""
    found, reader = Start(), OutdockReader()
    with outdock.open(encoding="latin-1", newline="\n") as lines:
        for (printed, _), rows in groupby(reader.rows(lines), key=_molecule):
            found.molecules[printed] += 1
            totals = [row.total for row in rows if isinstance(row, Docked)]
            scores = [total for total in totals if total is not None]
            found.failed[printed] += not scores
            if scores:
                found.best[printed] = min([*scores, found.best.get(printed, scores[0])])
    ending = reader.ending
    found.seconds = ending.elapsed_s or 0.0
    is_ended = ending.end_of_file or ending.interrupted
    return found if is_ended and not ending.errors and is_whole_gzip(poses) else None


def account(bundle: Path, starts: Sequence[Start]) -> Earlier:
    """Which of the bundle's hierarchies were docked.

    Several hierarchies may have the same printed id: forms of a molecule, or other molecules whose
    names end alike. They count only if one start docked all of them, for another may have docked
    the same one again.

    Raises:
        ArchiveError: the bundle is none.
    """
    names = [name for _, found in hierarchies(bundle) for name in found]
    many = Counter(name[-ID_CHARS:] for name in names)
    by_id = {printed: _first(starts, printed, count) for printed, count in many.items()}
    done = [number for number, name in enumerate(names) if by_id[name[-ID_CHARS:]] is not None]
    scored = [
        (start.best[printed], printed)
        for printed, start in by_id.items()
        if start is not None and printed in start.best
    ]
    best_score, best_printed = min(scored, default=(None, None))
    whole_names = {name[-ID_CHARS:]: name for name in reversed(names)}
    return Earlier(
        restart=Restart(0, LeftOut.of(done)),
        failed_molecules=sum(
            start.failed[printed] for printed, start in by_id.items() if start is not None
        ),
        best_id=None if best_printed is None else whole_names[best_printed],
        best_score=best_score,
        seconds=round(sum(start.seconds for start in starts), 3),
    )


def is_whole_gzip(path: Path) -> bool:
    """Whether a file can be unpacked to its end, as ``gzip -t`` does."""
    unpack, is_inside = zlib.decompressobj(_GZIP), False
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            while chunk:
                try:
                    unpack.decompress(chunk)
                except zlib.error:
                    return False
                is_inside, chunk = not unpack.eof, unpack.unused_data
                if unpack.eof:
                    unpack = zlib.decompressobj(_GZIP)
    return not is_inside


def _first(starts: Sequence[Start], printed: str, count: int) -> Start | None:
    return next((start for start in starts if start.has_all(printed, count)), None)


def _molecule(row: Docked | Failed) -> tuple[str, object]:
    """What rows of one molecule have in common; one that DOCK could not read has no number."""
    return row.id, row if row.number is None else row.number
