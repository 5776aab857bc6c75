"""From a listing or a list of URIs to the manifest's shards.

Pure and streaming: lines in, one shard at a time out. A list is read twice: once to validate it
whole and to find the few lines that may be duplicates (below 16 bytes a line), once to plan.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from drydock.errors import InvalidUri, RequestRejected
from drydock.tasks import Record
from drydock.uris import MAX_KEY_BYTES, parse_s3_uri

MAX_PROBLEMS = 20
_BITS_PER_LINE = 32
# Sizes the table of what was seen. Shorter lines share bits, which costs time alone.
_USUAL_LINE_BYTES = 48
_HASH_SIGN = ord("#")

# Printable ASCII without quotation mark and backslash: what needs no escape in JSON.
_PLAIN = bytes(set(range(0x20, 0x7F)) - set(b'"\\'))


@dataclass(frozen=True, slots=True)
class ShardSizes:
    """How many inputs a shard has at most: shard 0 is the pilot's, when there is one."""

    shard_size: int
    pilot: int = 0

    def most(self, shard: int) -> int:
        """Most inputs of a shard; only the last one has fewer."""
        return self.pilot if shard == 0 and self.pilot else self.shard_size

    def first_index(self, shard: int) -> int:
        """The index of a shard's first input."""
        if shard == 0 or not self.pilot:
            return shard * self.shard_size
        return self.pilot + (shard - 1) * self.shard_size


@dataclass(slots=True)
class PlannedShard:
    """One shard of the manifest. ``duplicates`` holds (place, index, index of the original).

    One that is not ``whole`` is as far as there was time for.
    """

    number: int
    lines: list[bytes] = field(default_factory=list)
    uris: list[bytes] = field(default_factory=list)
    duplicates: list[tuple[int, int, int]] = field(default_factory=list)
    whole: bool = True

    @property
    def inputs(self) -> int:
        """How many inputs the shard has."""
        return len(self.lines)

    def list_text(self) -> bytes:
        """The shard as a DOCK 3.8 list, one URI a line; of slices with their bytes behind a tab."""
        return b"\n".join(self.uris) + b"\n"


@dataclass(frozen=True, slots=True)
class ListSurvey:
    """What a list's first reading found. ``suspects``: hashes of lines that may be repeated."""

    inputs: int
    suspects: frozenset[int]


def list_batches(chunks: Iterable[bytes]) -> Iterator[tuple[int, list[bytes]]]:
    """The lines of a list, many at a time, with the number (from 1) of the first of each batch.

    Line ends may be CRLF; the last line may lack its end.
    """
    number, rest = 1, b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        if lines:
            yield number, lines
        number += len(lines)
    if rest:
        yield number, [rest]


def _inputs(lines: list[bytes]) -> list[bytes]:
    """The lines that name an input: neither blank nor a comment (``#``)."""
    return [text for line in lines if (text := line.strip()) and text[0] != _HASH_SIGN]


def list_uris(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The inputs that a list names, each with the number of its line (from 1)."""
    for first, lines in list_batches(chunks):
        for number, line in enumerate(lines, start=first):
            for text in _inputs([line]):
                yield number, text


def survey_list(
    chunks: Iterable[bytes], size_bytes: int, allowed_buckets: Iterable[str]
) -> ListSurvey:
    """Validate a list of ``size_bytes`` whole and find which lines may be duplicates.

    Raises:
        RequestRejected: with the number of each line that is no S3 object's URI or lies in a bucket
            that the stack was not given (20 at most), or because the list is empty.
    """
    allowed = {bucket.encode() for bucket in allowed_buckets}
    starts = [b"\ns3://%b/" % bucket for bucket in allowed]
    bits = 8 << (_BITS_PER_LINE * (size_bytes // _USUAL_LINE_BYTES + 1) // 8).bit_length()
    mask, seen = bits - 1, bytearray(bits // 8)
    suspects: set[int] = set()
    problems: list[str] = []
    count = 0
    for number, lines in list_batches(chunks):
        inputs = lines if _is_regular(lines, starts) else _inputs(lines)
        if inputs is not lines and not _is_regular(inputs, starts):
            problems += _problems(number, lines, allowed)
            if len(problems) >= MAX_PROBLEMS:
                break
        count += len(inputs)
        for digest in map(hash, inputs):
            byte, bit = (digest & mask) >> 3, 1 << (digest & 7)
            if seen[byte] & bit:
                suspects.add(digest)
            else:
                seen[byte] |= bit
    if problems:
        raise RequestRejected(problems[:MAX_PROBLEMS])
    if count == 0:
        raise RequestRejected(["input: the list names no input"])
    return ListSurvey(count, frozenset(suspects))


def _is_regular(lines: list[bytes], starts: list[bytes]) -> bool:
    """Whether all lines are plain URIs of objects in known buckets, looked at all at once.

    False says nothing about any of them: then they are looked at one by one.
    """
    text = b"\n%b\n" % b"\n".join(lines)
    return (
        sum(map(text.count, starts)) == len(lines)
        and b"/\n" not in text
        and b" \n" not in text
        and not text.translate(None, _PLAIN + b"\n")
        and max(map(len, lines), default=0) <= MAX_KEY_BYTES
    )


def _problems(first: int, lines: list[bytes], allowed: set[bytes]) -> list[str]:
    found: list[str] = []
    for number, line in enumerate(lines, start=first):
        for text in _inputs([line]):
            problem = _line_problem(text, allowed)
            if problem:
                found.append(f"input: line {number}: {problem}")
    return found


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
    chunks: Iterable[bytes], survey: ListSurvey, sizes: ShardSizes, first_shard: int = 0
) -> Iterator[PlannedShard]:
    """The shards of a list that was surveyed, from ``first_shard`` on."""
    firsts: dict[bytes, int] = {}
    for number, uris in enumerate(_cut(chunks, sizes)):
        first_index = sizes.first_index(number)
        repeated = _repeated(uris, first_index, survey.suspects, firsts)
        if number >= first_shard:
            yield _list_shard(number, uris, first_index, repeated)


def _cut(chunks: Iterable[bytes], sizes: ShardSizes) -> Iterator[list[bytes]]:
    """The inputs of a list, a shard of them at a time."""
    waiting: list[bytes] = []
    number = 0
    for _, lines in list_batches(chunks):
        waiting += _inputs(lines)
        start = 0
        while len(waiting) - start >= (size := sizes.most(number)):
            yield waiting[start : start + size]
            start += size
            number += 1
        waiting = waiting[start:]
    if waiting:
        yield waiting


def _repeated(
    uris: list[bytes], first_index: int, suspects: frozenset[int], firsts: dict[bytes, int]
) -> dict[int, int]:
    """Places of inputs that were named before, each with the index that named it first."""
    found: dict[int, int] = {}
    for place, digest in enumerate(map(hash, uris)):
        if digest in suspects:
            index = first_index + place
            original = firsts.setdefault(uris[place], index)
            if original != index:
                found[place] = original
    return found


def _list_shard(
    number: int, uris: list[bytes], first_index: int, repeated: dict[int, int]
) -> PlannedShard:
    if b"".join(uris).translate(None, _PLAIN):
        records = (
            Record(place, first_index + place, uri.decode()) for place, uri in enumerate(uris)
        )
        lines = [record.line() for record in records]
    else:
        lines = [
            b'[%d,%d,"%b"]\n' % (place, first_index + place, uri) for place, uri in enumerate(uris)
        ]
    for place, original in repeated.items():
        record = Record(place, first_index + place, uris[place].decode(), duplicate_of=original)
        lines[place] = record.line()
    duplicates = [(place, first_index + place, original) for place, original in repeated.items()]
    return PlannedShard(number, lines, uris, duplicates)


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
    listed: Iterable[ListedInput], bucket: str, sizes: ShardSizes, first_shard: int = 0
) -> Iterator[PlannedShard]:
    """The shards of the inputs below a prefix, in the order they are listed in.

    ``listed`` begins after the last input of the shard before ``first_shard``.
    """
    shard = PlannedShard(first_shard)
    index = sizes.first_index(first_shard)
    for found in listed:
        if shard.inputs == sizes.most(shard.number):
            yield shard
            shard = PlannedShard(shard.number + 1)
        uri = f"s3://{bucket}/{found.key}"
        record = Record(shard.inputs, index, uri, found.etag, found.size)
        shard.lines.append(record.line())
        shard.uris.append(uri.encode())
        index += 1
    if shard.inputs:
        yield shard
