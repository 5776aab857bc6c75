"""Parts: what one attempt contributed to one input.

A part's number is claimed by its first output's conditional put and never used again. Its record,
written last, is what authorises another attempt to go on from it; a part without record never
counts. The part with the most progress is continued, and the chain of parents from a part to the
beginning is the whole work on its input so far.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from drydock.errors import Malformed


class OutputObject(NamedTuple):
    """An object that a tool wrote, pinned. ``name`` is what the tool calls it (``poses``)."""

    name: str
    key: str
    size: int
    etag: str


class PartOutputs(NamedTuple):
    """A part as a marker names it: its number, what it wrote, which attempt it is of.

    ``seconds`` are those that the attempt worked for it. Old markers do not say who wrote a part.
    """

    part: int
    outputs: tuple[OutputObject, ...]
    seconds: float = 0.0
    job_id: str | None = None
    attempt: int | None = None


class PartRecord(NamedTuple):
    """What an unfinished part left.

    ``progress`` counts what is finished of the input over the whole chain, in the tool's own unit
    (ligands, hierarchies, steps). ``why`` says why the attempt ended or that it was a checkpoint.
    ``trouble`` is the place at which the tool died, when it did; a second death there is final.
    ``counts`` and the best molecule are over the whole chain, ``seconds`` are this part's alone.
    """

    part: int
    parent: int | None
    place: int
    index: int  # type: ignore[assignment] # tuple's method of that name is not missed
    input_etag: str
    outputs: tuple[OutputObject, ...]
    restart: OutputObject | None
    progress: int
    why: str
    job_id: str
    attempt: int
    seconds: float
    trouble: str | None = None
    counts: dict[str, int] = {}  # noqa: RUF012 - nobody changes it
    best_id: str | None = None
    best_score: float | None = None

    def to_json(self) -> bytes:
        """The object's bytes."""
        restart = None if self.restart is None else self.restart._asdict()
        return json.dumps(as_fields(self) | {"restart": restart}, separators=(",", ":")).encode()


def as_fields(part: PartOutputs | PartRecord) -> dict[str, Any]:
    """The part's fields, its outputs as theirs."""
    return part._asdict() | {"outputs": [output._asdict() for output in part.outputs]}


def as_outputs(record: PartRecord) -> PartOutputs:
    """The part as a marker names it."""
    return PartOutputs(record.part, record.outputs, record.seconds, record.job_id, record.attempt)


def parse_part_record(body: bytes) -> PartRecord:
    """Read a part's record.

    Raises:
        Malformed: the object is cut or is no part record.
    """
    try:
        fields = json.loads(body)
        outputs = tuple(OutputObject(**output) for output in fields.pop("outputs"))
        restart = fields.pop("restart")
        return PartRecord(
            outputs=outputs,
            restart=None if restart is None else OutputObject(**restart),
            **fields,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no part record: {body[:80]!r}") from error


def chain(records: Iterable[PartRecord], part: int | None) -> list[PartRecord]:
    """The records from the first part to ``part`` along the parents, oldest first.

    Raises:
        Malformed: a parent is missing or the parents go in a circle.
    """
    by_number = {record.part: record for record in records}
    found: list[PartRecord] = []
    while part is not None:
        record = by_number.pop(part, None)
        if record is None:
            raise Malformed(f"part {part} is missing from its chain of parents")
        found.append(record)
        part = record.parent
    return found[::-1]


def most_progress(records: Iterable[PartRecord], input_etag: str | None) -> PartRecord | None:
    """The part to go on from: most progress, then the lowest number; None when there is none.

    Parts of another version of the input (another ETag) and parts whose chain is broken are left
    out.
    """
    known = [r for r in records if input_etag is None or r.input_etag == input_etag]
    for record in sorted(known, key=lambda r: (-r.progress, r.part)):
        try:
            chain(known, record.part)
        except Malformed:
            continue
        return record
    return None
