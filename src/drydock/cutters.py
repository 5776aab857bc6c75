"""Where records end, for each kind of file: bytes in, chunk by chunk, offsets out. Pure.

Chunks are searched for what ends a record, not taken apart line by line. What a record is stands in
:mod:`drydock.records`.
"""

import re
from collections.abc import Callable, Iterator
from typing import Protocol

from drydock.errors import DrydockError

# No record is longer, so that a file that is not what its ending says is not read into memory.
MAX_RECORD_BYTES = 64 << 20


class NotCuttable(DrydockError):
    """Raised when a file has no records that could be told apart."""


class Cutter(Protocol):
    """Finds the ends of every ``records``'th record in bytes that come chunk by chunk."""

    def feed(self, chunk: bytes) -> list[int]:
        """Ends (exclusive, counted from the first byte ever fed) that are known now, ascending."""

    def finish(self) -> tuple[list[int], bool]:
        """The last ends, and whether there is a record behind them, once all was fed."""


def _refuse_endless(carry: bytes, begin: int) -> None:
    if len(carry) > MAX_RECORD_BYTES:
        raise NotCuttable(
            f"has a record or line at byte {begin} that is longer than {MAX_RECORD_BYTES} bytes"
        )


class _Counter:
    """Counts records; keeps the ends of every ``records``'th."""

    def __init__(self, records: int) -> None:
        self._records = records
        self.count = 0
        self.ends: list[int] = []

    @property
    def wanted(self) -> int:
        """How many more make a slice."""
        return self._records - self.count

    def add(self, end: int, count: int = 1) -> None:
        """Count records that end there, no more than are wanted."""
        self.count += count
        if self.count == self._records:
            self.ends.append(end)
            self.count = 0

    def take(self) -> list[int]:
        ends, self.ends = self.ends, []
        return ends


class _SdfCutter:
    """``$$$$`` at the beginning of a line; the record ends where that line does."""

    def __init__(self, records: int) -> None:
        self._found = _Counter(records)
        # As if a line ended before the first byte.
        self._carry, self._begin = b"\n", -1
        self._is_blank = True

    def feed(self, chunk: bytes) -> list[int]:
        data = self._carry + chunk
        place, last_end = 0, max(0, -self._begin)
        while (mark := data.find(b"\n$$$$", place)) >= 0:
            place = mark
            newline = data.find(b"\n", mark + 5)
            if newline < 0:
                break
            place, last_end, self._is_blank = newline, newline + 1, True
            self._found.add(self._begin + last_end)
        else:
            place = max(place, len(data) - 4)
        if self._is_blank:
            rest = data[last_end:]
            self._is_blank = not rest or rest.isspace()
        self._carry, self._begin = data[place:], self._begin + place
        _refuse_endless(self._carry, self._begin)
        return self._found.take()

    def finish(self) -> tuple[list[int], bool]:
        return [], self._found.count > 0 or not self._is_blank


_ODD_LINE = re.compile(rb"\n[\s#]")
# So few lines are quicker found one by one.
_FEW = 8


class _LineCutter:
    """A record a line, blank ones and comments apart."""

    def __init__(self, records: int) -> None:
        self._found = _Counter(records)
        self._carry, self._begin = b"", 0

    def feed(self, chunk: bytes) -> list[int]:
        data = self._carry + chunk
        whole = data.rfind(b"\n") + 1
        if whole:
            if _ODD_LINE.search(data, 0, whole) or data[:1].isspace() or data[:1] == b"#":
                self._take_lines(data[:whole])
            else:
                self._take_records(data, whole)
            self._carry, self._begin = data[whole:], self._begin + whole
        else:
            self._carry = data
        _refuse_endless(self._carry, self._begin)
        return self._found.take()

    def finish(self) -> tuple[list[int], bool]:
        return [], self._found.count > 0 or _is_line_record(self._carry)

    def _take_lines(self, data: bytes) -> None:
        end = self._begin
        for line in data.splitlines(keepends=True) if b"\r" not in data else _lines(data):
            end += len(line)
            if _is_line_record(line):
                self._found.add(end)

    def _take_records(self, data: bytes, whole: int) -> None:
        """All lines are records: count them, and look for the places of few."""
        place, found = 0, self._found
        while True:
            wanted = found.wanted
            place, counted = _after_lines(data, place, whole, wanted)
            found.add(self._begin + place, counted)
            if counted < wanted:
                return


def _lines(data: bytes) -> Iterator[bytes]:
    return (line + b"\n" for line in data.split(b"\n")[:-1])


def _is_line_record(line: bytes) -> bool:
    return bool(line.strip()) and not line.startswith(b"#")


def _after_lines(data: bytes, start: int, stop: int, lines: int) -> tuple[int, int]:
    """Where the ``lines``'th line from ``start`` ends, and how many lines were counted to there.

    They are counted in windows of a guessed size, a little short of what is wanted each.
    """
    place, counted, window = start, 0, lines * 16
    while lines - counted > _FEW:
        end = min(stop, place + window)
        inside = data.count(b"\n", place, end)
        if counted + inside >= lines:
            window = (end - place) // 2
            continue
        place, counted = end, counted + inside
        if place == stop:
            break
        window = max(1, (lines - counted) * (place - start) * 15 // (16 * max(counted, 1)))
    while counted < lines and (newline := data.find(b"\n", place, stop)) >= 0:
        place, counted = newline + 1, counted + 1
    return place, counted


class _FastqCutter:
    """Four lines a record: ``@`` and a name, the sequence, ``+``, as many qualities."""

    def __init__(self, records: int) -> None:
        self._found = _Counter(records)
        self._carry, self._begin = b"", 0
        self._has_ended = False

    def feed(self, chunk: bytes) -> list[int]:
        data = self._carry + chunk
        if not self._has_ended:
            lines = data.split(b"\n")
            whole = (len(lines) - 1) // 4 * 4
            wrong = _first_wrong(lines, whole)
            taken = self._count(lines, wrong)
            data, self._begin = data[taken:], self._begin + taken
            self._has_ended = 4 * wrong < whole
        if self._has_ended and data and not data.isspace():
            raise NotCuttable(
                f"has no fastq record of four lines at byte {self._begin}: records whose sequence "
                "is wrapped over several lines are not cut"
            )
        self._carry = data
        _refuse_endless(self._carry, self._begin)
        return self._found.take()

    def _count(self, lines: list[bytes], records: int) -> int:
        """Count the first records of some lines; how many bytes they are."""
        number = place = 0
        while number < records:
            count = min(self._found.wanted, records - number)
            of_these = lines[4 * number : 4 * (number + count)]
            place += sum(map(len, of_these)) + len(of_these)
            self._found.add(self._begin + place, count)
            number += count
        return place

    def finish(self) -> tuple[list[int], bool]:
        lines = self._carry.split(b"\n")
        is_record = len(lines) >= 4 and _first_wrong(lines, 4) == 1
        if self._carry and not self._carry.isspace() and not is_record:
            raise NotCuttable(f"ends in the middle of the record at byte {self._begin}")
        return [], self._found.count > 0 or is_record


def _first_wrong(lines: list[bytes], whole: int) -> int:
    """How many of the records in ``whole`` lines come before one that is none."""
    heads, pluses = lines[0:whole:4], lines[2:whole:4]
    sequences, qualities = lines[1:whole:4], lines[3:whole:4]
    right = (
        (b"\n" + b"\n".join(heads)).count(b"\n@") == len(heads)
        and (b"\n" + b"\n".join(pluses)).count(b"\n+") == len(heads)
        and list(map(len, sequences)) == list(map(len, qualities))
    )
    if right or not whole:
        return len(heads)
    for number, record in enumerate(zip(heads, sequences, pluses, qualities, strict=True)):
        if not _is_fastq(*record):
            return number
    return len(heads)


def _is_fastq(head: bytes, sequence: bytes, plus: bytes, quality: bytes) -> bool:
    # The last line of a file may lack its CRLF.
    return (
        head.startswith(b"@")
        and plus.startswith(b"+")
        and len(sequence.rstrip(b"\r")) == len(quality.rstrip(b"\r"))
    )


_IN_MODEL = (b"MODEL", b"ENDMDL")
_OUTSIDE = (*_IN_MODEL, b"ROOT", b"TORSDOF")
# A line that belongs to a ligand even when it stands alone.
_BUSY = re.compile(rb"\n(?!\Z|(?:REMARK|CONECT|USER)\b|(?:END|TER)?[^\S\n]*\n)")


class _PdbqtCutter:
    """Models, or ligands one after another: what worker.tools.pdbqt takes for ligands."""

    def __init__(self, records: int) -> None:
        self._found = _Counter(records)
        # The end of the line before comes first; what is behind it is at ``_begin``.
        self._carry, self._begin = b"\n", 0
        self._in_model = self._has_root = self._is_busy = False
        # Where the lines that belong to no ligand begin, of those read last.
        self._idle_from = 0

    def feed(self, chunk: bytes) -> list[int]:
        data = self._carry + chunk
        last = data.rfind(b"\n")
        if last:
            self._take(data[: last + 1])
        self._carry, self._begin = data[last:], self._begin + last
        _refuse_endless(self._carry, self._begin)
        return self._found.take()

    def finish(self) -> tuple[list[int], bool]:
        size = self._begin + len(self._carry) - 1
        if len(self._carry) > 1:
            self._take(self._carry + b"\n")
        ends = [min(end, size) for end in self._found.take()]
        return ends, self._found.count > 0 or self._is_open

    @property
    def _is_open(self) -> bool:
        return self._in_model or self._has_root or self._is_busy

    def _take(self, text: bytes) -> None:
        """Whole lines, after a line's end: offsets in ``text`` are those of the lines, plus 1."""
        place = since = 0
        nexts: dict[bytes, int] = dict.fromkeys(_OUTSIDE, -1)
        while True:
            if not self._is_open:
                place = since = self._skip_models(text, place)
            words = _IN_MODEL if self._in_model else _OUTSIDE
            for word in words:
                if nexts[word] < place:
                    nexts[word] = _next_line(text, word, place)
            word = min(words, key=nexts.__getitem__)
            begin = nexts[word]
            if begin == len(text):
                break
            place = text.find(b"\n", begin + 1)
            since = self._take_word(text, word, since, begin, place)
        self._look(text, since, len(text) - 1)
        if self._has_root and not self._in_model:
            self._idle_from = self._idle_start(text, since, len(text) - 1)

    def _skip_models(self, text: bytes, place: int) -> int:
        """Models that follow each other as most programs write them: the line's end behind them."""
        while text.startswith((b"\nMODEL ", b"\nMODEL\n"), place):
            end = text.find(b"\nENDMDL\n", place + 6)
            inside = text[place + 6 : end]
            if end < 0 or b"MODEL" in inside or b"ENDMDL" in inside:
                break
            place = end + 7
            self._found.add(self._begin + place)
        return place

    def _take_word(self, text: bytes, word: bytes, since: int, begin: int, end: int) -> int:
        """A line that begins with a word; where what follows in the same ligand is looked at."""
        if word == b"ROOT":
            if self._has_root:
                self._found.add(self._idle_start(text, since, begin))
            self._has_root = True
            return begin
        if not self._in_model or word == b"MODEL":
            self._look(text, since, begin)
        if word == b"MODEL":
            if self._has_root or self._is_busy:
                self._found.add(self._begin + begin)
        elif word == b"TORSDOF" or self._is_open:
            self._found.add(self._begin + end)
        self._in_model, self._has_root, self._is_busy = word == b"MODEL", False, False
        return end

    def _look(self, text: bytes, since: int, to: int) -> None:
        """See whether there is anything of a ligand between two lines' ends."""
        if not (self._has_root or self._is_busy):
            self._is_busy = bool(_BUSY.search(text, since, to + 1))

    def _idle_start(self, text: bytes, since: int, to: int) -> int:
        """Where the idle lines before a place begin: before a ROOT they speak of what follows."""
        place = to
        while place > since:
            previous = text.rfind(b"\n", 0, place)
            if _BUSY.match(text, previous, place + 1):
                return self._begin + place
            place = previous
        # All of it is idle: so may be what came before, unless that was the ROOT itself.
        return self._idle_from if since == 0 else self._begin + place


def _next_line(text: bytes, word: bytes, place: int) -> int:
    """The line's end before the next line that begins with a word; the text's length if none does.

    To look for the word and then at its line is quicker than to look at every line.
    """
    while (found := text.find(word, place)) >= 0:
        begin = text.rfind(b"\n", 0, found)
        after = found + len(word)
        if text[after : after + 1].isspace() and not text[begin + 1 : found].strip():
            return begin
        place = text.find(b"\n", after)
    return len(text)


CUTTERS: dict[str, Callable[[int], Cutter]] = {
    "sdf": _SdfCutter,
    "smi": _LineCutter,
    "pdbqt": _PdbqtCutter,
    "fastq": _FastqCutter,
}
