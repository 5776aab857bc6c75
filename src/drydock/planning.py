"""From a listing or a list of URIs to the manifest's shards.

Pure and streaming: lines in, one shard at a time out. A list is read twice: once to validate it
whole and to find the few lines that may be duplicates (16 bytes a line, flat), once to plan.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from drydock.errors import InvalidUri, RequestRejected
from drydock.tasks import Record
from drydock.uris import parse_s3_uri

MAX_PROBLEMS = 20
_SLOTS_PER_LINE = 16
_MIN_LINE_BYTES = len(b"s3://abc/k\n")

# Printable ASCII without quotation mark and backslash: such a URI needs no escape in JSON.
_PLAIN = re.compile(rb"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/[ !#-\[\]-~]{0,1023}[!#-.0-\[\]-~]")


@dataclass(slots=True)
class PlannedShard:
    """One shard of the manifest. ``duplicates`` holds (place, index, index of the original)."""

    number: int
    lines: list[bytes] = field(default_factory=list)
    uris: list[bytes] = field(default_factory=list)
    duplicates: list[tuple[int, int, int]] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """How many inputs the shard has."""
        return len(self.lines)

    def list_text(self) -> bytes:
        """The shard as a DOCK 3.8 list: one URI a line."""
        return b"\n".join(self.uris) + b"\n"


@dataclass(frozen=True, slots=True)
class ListSurvey:
    """What a list's first reading found. ``suspects``: hashes of lines that may be repeated."""

    inputs: int
    suspects: frozenset[int]


def list_lines(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and text of each line of a list that names an input.

    Blank lines and comments (``#``) are left out, line ends may be CRLF, the last may lack its end.
    """
    number, rest = 0, b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            text = line.strip()
            if text and text[0] != 0x23:
                yield number, text
    text = rest.strip()
    if text and text[0] != 0x23:
        yield number + 1, text


def survey_list(
    chunks: Iterable[bytes], size_bytes: int, allowed_buckets: Iterable[str]
) -> ListSurvey:
    """Validate a list of ``size_bytes`` whole and find which lines may be duplicates.

    Raises:
        RequestRejected: with the number of each line that is no S3 object's URI or lies in a bucket
            that the stack was not given (20 at most), or because the list is empty.
    """
    allowed = {bucket.encode() for bucket in allowed_buckets}
    slots = 1 << (_SLOTS_PER_LINE * (size_bytes // _MIN_LINE_BYTES // 4 + 1)).bit_length()
    mask, seen = slots - 1, bytearray(slots)
    suspects: set[int] = set()
    problems: list[str] = []
    inputs = 0
    for number, line in list_lines(chunks):
        match = _PLAIN.fullmatch(line)
        if match is None or match[1] not in allowed:
            problem = _line_problem(line, allowed)
            if problem:
                problems.append(f"input: line {number}: {problem}")
                if len(problems) >= MAX_PROBLEMS:
                    break
                continue
        inputs += 1
        digest = hash(line)
        if seen[digest & mask]:
            suspects.add(digest)
        else:
            seen[digest & mask] = 1
    if problems:
        raise RequestRejected(problems)
    if inputs == 0:
        raise RequestRejected(["input: the list names no input"])
    return ListSurvey(inputs, frozenset(suspects))


def _line_problem(line: bytes, allowed: set[bytes]) -> str | None:
    try:
        uri = parse_s3_uri(line.decode())
    except UnicodeDecodeError:
        return f"{line[:80]!r} is no UTF-8"
    except InvalidUri as error:
        return str(error)
    if uri.is_folder:
        return f"{str(uri)[:120]!r} names a prefix; a list names objects"
    if uri.bucket.encode() not in allowed:
        return f"bucket {uri.bucket!r} is none that this stack was given"
    return None


def plan_list(
    chunks: Iterable[bytes], survey: ListSurvey, shard_size: int, first_shard: int = 0
) -> Iterator[PlannedShard]:
    """The shards of a list that was surveyed, from ``first_shard`` on."""
    # A line hashes below its suspects alone when it was the first of them or shares a slot.
    firsts: dict[bytes, int] = {}
    suspects = survey.suspects
    shard = PlannedShard(0)
    index = -1
    for _, line in list_lines(chunks):
        index += 1
        number, place = divmod(index, shard_size)
        if number != shard.number:
            if shard.number >= first_shard:
                yield shard
            shard = PlannedShard(number)
        original = firsts.setdefault(line, index) if hash(line) in suspects else index
        if number < first_shard:
            continue
        shard.uris.append(line)
        if original != index:
            shard.duplicates.append((place, index, original))
            record = Record(place, index, line.decode(), duplicate_of=original)
            shard.lines.append(record.line())
        elif _PLAIN.fullmatch(line):
            shard.lines.append(b'[%d,%d,"%b"]\n' % (place, index, line))
        else:
            shard.lines.append(Record(place, index, line.decode()).line())
    if index >= 0 and shard.number >= first_shard:
        yield shard


@dataclass(frozen=True, slots=True)
class ListedInput:
    """An object below the input prefix."""

    key: str
    size: int
    etag: str


def is_input_key(key: str, prefix: str, *, recursive: bool) -> bool:
    """Whether a listed key is an input: no folder placeholder; a direct child unless recursive."""
    below = key[len(prefix) :]
    return bool(below) and not key.endswith("/") and (recursive or "/" not in below)


def plan_prefix(
    listed: Iterable[ListedInput], bucket: str, shard_size: int, first_shard: int = 0
) -> Iterator[PlannedShard]:
    """The shards of the inputs below a prefix, in the order they are listed in.

    ``listed`` begins after the last input of the shard before ``first_shard``.
    """
    shard = PlannedShard(first_shard)
    index = first_shard * shard_size
    for found in listed:
        if shard.inputs == shard_size:
            yield shard
            shard = PlannedShard(shard.number + 1)
        uri = f"s3://{bucket}/{found.key}"
        record = Record(shard.inputs, index, uri, found.etag, found.size)
        shard.lines.append(record.line())
        shard.uris.append(uri.encode())
        index += 1
    if shard.inputs:
        yield shard
