"""Task lists: which inputs a shard or a round consists of, readable in two small ranged GETs.

The form: 8 bytes magic, the count of records as an unsigned 64-bit integer, count + 1 offsets of
64 bits (little endian, from the start of the object, the last one is the object's length), then one
JSON array a line: ``[place, index, uri, etag, size, first_byte, last_byte]``, absent ends left out.
A child of an array reads its offsets, then its records, whatever the size of the shard.
"""

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from drydock.errors import Malformed

MAGIC = b"DRYTASK1"
_HEADER_BYTES = 16
_OFFSET_BYTES = 8


@dataclass(frozen=True, slots=True)
class Record:
    """One input: an S3 object or, with a byte range (inclusive), a slice of one.

    ``duplicate_of`` is the index of the input that this one repeats; such a record is never work.
    """

    place: int
    index: int
    uri: str
    etag: str | None = None
    size: int | None = None
    first_byte: int | None = None
    last_byte: int | None = None
    duplicate_of: int | None = None

    def line(self) -> bytes:
        """The record's line in a task list."""
        fields: list[object] = [
            self.place,
            self.index,
            self.uri,
            self.etag,
            self.size,
            self.first_byte,
            self.last_byte,
            self.duplicate_of,
        ]
        while fields[-1] is None:
            fields.pop()
        return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def encode_lines(lines: Sequence[bytes]) -> bytes:
    """Put an offset table before records that are already lines."""
    first = _HEADER_BYTES + _OFFSET_BYTES * (len(lines) + 1)
    offsets = list(accumulate(map(len, lines), initial=first))
    table = struct.pack(f"<{len(offsets)}Q", *offsets)
    return b"".join((MAGIC, struct.pack("<Q", len(lines)), table, *lines))


def encode_tasks(records: Iterable[Record]) -> bytes:
    """The whole object of a task list."""
    return encode_lines([record.line() for record in records])


def offsets_range(first: int, count: int) -> tuple[int, int]:
    """First and last byte (inclusive) of the offsets of ``count`` records from the ``first`` on."""
    start = _HEADER_BYTES + _OFFSET_BYTES * first
    return start, start + _OFFSET_BYTES * (count + 1) - 1


def parse_offsets(body: bytes) -> list[int]:
    """Read the answer to a GET of :func:`offsets_range`; records run from one offset to the next.

    Raises:
        Malformed: the bytes are no ascending offsets.
    """
    if len(body) < 2 * _OFFSET_BYTES or len(body) % _OFFSET_BYTES:
        raise Malformed(f"{len(body)} bytes are no offsets of a task list")
    offsets = list(struct.unpack(f"<{len(body) // _OFFSET_BYTES}Q", body))
    if any(after <= before for before, after in pairwise(offsets)):
        raise Malformed("the offsets of a task list do not ascend")
    return offsets


def parse_records(body: bytes) -> list[Record]:
    """Read whole record lines.

    Raises:
        Malformed: a line is cut or is no record.
    """
    if not body.endswith(b"\n"):
        raise Malformed("the last record of a task list is cut")
    return [_parse_line(line) for line in body.splitlines()]


def _parse_line(line: bytes) -> Record:
    try:
        fields = json.loads(line)
        record = Record(*fields)
    except (ValueError, TypeError) as error:
        raise Malformed(f"{line[:80]!r} is no record of a task list") from error
    types = (int, int, str, str | None, int | None, int | None, int | None, int | None)
    if not all(isinstance(field, kind) for field, kind in zip(fields, types, strict=False)):
        raise Malformed(f"{line[:80]!r} is no record of a task list")
    return record


def parse_tasks(body: bytes) -> list[Record]:
    """Read a whole task list.

    Raises:
        Malformed: the object is cut, has trailing bytes, or is no task list.
    """
    if body[: len(MAGIC)] != MAGIC or len(body) < _HEADER_BYTES + _OFFSET_BYTES:
        raise Malformed("the object is no task list")
    (count,) = struct.unpack_from("<Q", body, len(MAGIC))
    start = _HEADER_BYTES + _OFFSET_BYTES * (count + 1)
    if len(body) < start:
        raise Malformed("the offsets of the task list are cut")
    offsets = struct.unpack_from(f"<{count + 1}Q", body, _HEADER_BYTES)
    if offsets[0] != start or offsets[-1] != len(body):
        raise Malformed("the task list is cut or has bytes too many")
    if count == 0:
        return []
    records = parse_records(body[start:])
    if len(records) != count:
        raise Malformed(f"the task list says {count} records and holds {len(records)}")
    return records
