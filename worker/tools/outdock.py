"""DOCK 3.8's OUTDOCK, line by line: a row a docked or failed ligand, and how the program ended.

A row's columns have fixed places: two numbers may touch when the second fills its column, and a
number that is too wide for its column is written as stars. Only lines that are whole (that end
with a newline) count: a file that is still written, or was cut, gives the rows before the cut.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

HEADER = "  mol#           id_num "
# Format of a docked ligand: (i6,1x,a16,1x,a16,1x,i8,1x,i10,1x,f7.2,1x,i3,1x,i9,1x,i9,1x,i6,3x,
# f7.2,2x,f7.2,1x,f7.2,1x,f7.2,f7.2,1x,f7.2,1x,f7.2,1x,f7.2,1x,f7.2,1x,f7.2,f10.2)
_DOCKED_CHARS = 192  # with its newline
_TERMS = {
    "charge": slice(102, 109),
    "elect": slice(111, 118),
    "gist": slice(119, 126),
    "vdW": slice(127, 134),
    "psol": slice(134, 141),
    "asol": slice(142, 149),
    "tStrain": slice(150, 157),
    "mStrain": slice(158, 165),
    "rec_d": slice(166, 173),
    "r_hyd": slice(174, 181),
}
# Format of a failed one: (i6,1x,a16,i8,1x,i10,1x,f7.2,1x,a)
_REASON_FROM = 51
_FAILED = re.compile(r"[ \d*]{5}[\d*] .{16}[ \d*]{7}[\d*] [ \d*]{9}[\d*] [ \d.*-]{6}[\d*] ")
_NUMBER = re.compile(r"[ \d*]{5}[\d*] ")
_SKIPPED = " skipping molecule:"
_INTERRUPTED = " interrupt signal detected"
_END_OF_FILE = " end of file encountered"
_HIERARCHIES = " total number of hierarchies:"
_ERROR = "ERROR --->"
_ELAPSED = "elapsed time (sec):"


class Docked:
    """A pose that has a score. Numbers that did not fit their columns are None."""

    __slots__ = ("line",)

    def __init__(self, line: str) -> None:
        self.line = line

    @property
    def number(self) -> int | None:
        """The ligand's number in this start of the program, from 1."""
        return _integer(self.line[:6])

    @property
    def id(self) -> str:
        """The name as it is printed: 16 characters, of a longer name the last ones."""
        return self.line[7:23].strip()

    @property
    def flexible_code(self) -> str:
        return self.line[24:40].strip()

    @property
    def seconds(self) -> float | None:
        """Seconds of docking."""
        return _real(self.line[61:68])

    @property
    def heavy_atoms(self) -> int | None:
        return _integer(self.line[69:72])

    @property
    def rank(self) -> int | None:
        """1 for a ligand's best pose."""
        return _integer(self.line[93:99])

    @property
    def terms(self) -> dict[str, float | None]:
        """The charge and the terms of the energy in kcal/mol, by their names in the header."""
        return {name: _real(self.line[place]) for name, place in _TERMS.items()}

    @property
    def total(self) -> float | None:
        """The energy in kcal/mol."""
        return _real(self.line[181:191])


@dataclass(frozen=True, slots=True)
class Failed:
    """A ligand without a pose. ``number`` is None for one that DOCK could not read at all."""

    number: int | None
    id: str
    reason: str


@dataclass(slots=True)
class Ending:
    """How a start of the program went, as far as its OUTDOCK tells.

    ``hierarchies`` were read in this start, those that a restart passes over not among them.
    ``elapsed_s`` is CPU time.
    """

    has_header: bool = False
    end_of_file: bool = False
    interrupted: bool = False
    hierarchies: int | None = None
    skipped: int = 0
    errors: list[str] = field(default_factory=list)
    elapsed_s: float | None = None


class OutdockReader:
    """Reads lines as they come; what is no row is taken note of in ``ending``."""

    def __init__(self) -> None:
        self.ending = Ending()

    def rows(self, lines: Iterable[str]) -> Iterator[Docked | Failed]:
        """The rows among more lines. Text is to be decoded by latin-1: a column is a byte."""
        ending = self.ending
        for line in lines:
            # Most lines are of this kind: a row's length, and a total where the last column is.
            if len(line) == _DOCKED_CHARS and line[188] == "." and ending.has_header:
                yield Docked(line)
            elif not line.endswith("\n"):
                return
            elif (row := self._other(line)) is not None:
                yield row

    def _other(self, line: str) -> Docked | Failed | None:
        if self.ending.has_header and _NUMBER.match(line):
            if len(line) == _DOCKED_CHARS:  # its total is no number
                return Docked(line)
            if _FAILED.match(line):
                reason = line[_REASON_FROM:].strip()
                return Failed(_integer(line[:6]), line[7:23].strip(), reason)
        if line.startswith(_SKIPPED):
            self.ending.skipped += 1
            name = line.removeprefix(_SKIPPED).split()
            return Failed(None, name[0] if name else "", "DOCK could not read it")
        self._note(line)
        return None

    def _note(self, line: str) -> None:
        ending = self.ending
        if line.startswith(HEADER):
            ending.has_header = True
        elif line.startswith(_END_OF_FILE):
            ending.end_of_file = True
        elif line.startswith(_INTERRUPTED):
            ending.interrupted = True
        elif line.startswith(_HIERARCHIES):
            ending.hierarchies = _integer(line.removeprefix(_HIERARCHIES))
        elif line.startswith(_ELAPSED):
            ending.elapsed_s = _real(line.removeprefix(_ELAPSED).partition("(")[0])
        elif line.lstrip().startswith(_ERROR):
            ending.errors.append(line.strip())


def _integer(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _real(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
