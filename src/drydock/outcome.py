"""A shard's outcome: for each settled input the marker that speaks for it and what it says.

Collected from markers and verified against what S3 holds, written as one object, a JSON line an
input. When nothing remains in the shard it is frozen: the shard's document names it, and whatever
is written later is late.
"""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from drydock.concurrency import each
from drydock.detection import list_markers, run_keys
from drydock.errors import Changed, Conflict, Malformed, NotFound
from drydock.markers import (
    Content,
    Failure,
    InputSummary,
    MarkerName,
    Settlement,
    Speaker,
    encode_skipped,
    parse_done,
    parse_marker,
    parse_marker_name,
    summary_fields,
)
from drydock.parts import OutputObject
from drydock.run_document import RunDocument
from drydock.store import Store
from drydock.tasks import parse_tasks


@dataclass(frozen=True, slots=True)
class Settled:
    """How one input ended, by which marker; one of the last three says more."""

    place: int
    marker: str
    etag: str
    summary: InputSummary | None = None
    failure: Failure | None = None
    duplicate_of: int | None = None


@dataclass(frozen=True, slots=True)
class Collected:
    """What the markers of a shard say.

    ``bad`` names those that are not whole, and empty objects where a marker must go, with their
    ETags.
    """

    settled: list[Settled]
    bad: dict[str, str]
    settlement: Settlement


def collect(store: Store, run: RunDocument, shard: int, inputs: int) -> Collected:
    """Read every marker that speaks for an input and verify what it names."""
    settlement = list_markers(store, run, shard, inputs)
    speaking = {speaker.name: speaker for speaker in settlement.speakers.values()}
    read = each(lambda s: _read(store, run, shard, s), speaking.values())
    contents = dict(zip(speaking, read, strict=True))
    present = _present_outputs(store, run, shard)
    bad = {
        name: speaking[name].etag
        for name, content in contents.items()
        if content is None or not _is_whole(content, present)
    }
    settled = [
        _settled(place, speaker, contents[speaker.name])
        for place, speaker in settlement.speakers.items()
        if speaker.name not in bad
    ]
    return Collected(settled, bad | settlement.in_the_way(), settlement)


def _read(store: Store, run: RunDocument, shard: int, speaker: Speaker) -> Content | None:
    """A marker's content; None when it is not whole."""
    key = run_keys(run).markers_folder(shard) + speaker.name
    try:
        body = store.get(run.output_bucket, key, etag=speaker.etag).body
        return parse_marker(body, parse_marker_name(speaker.name))
    except (NotFound, Changed, Malformed):
        return None


def _present_outputs(store: Store, run: RunDocument, shard: int) -> dict[str, tuple[int, str]]:
    """Size and ETag of everything that tools wrote for the shard: a LIST for each 1,000 objects."""
    folder = run_keys(run).shard_folder(shard)
    return {found.key: (found.size, found.etag) for found in store.list(run.output_bucket, folder)}


def _is_whole(content: Content, present: dict[str, tuple[int, str]]) -> bool:
    """Whether every object that a marker names is there with its size and ETag."""
    if not isinstance(content, list):
        return True
    return all(
        present.get(output.key) == (output.size, output.etag)
        for summary in content
        for output in outputs_of(summary)
    )


def outputs_of(summary: InputSummary, name: str | None = None) -> list[OutputObject]:
    """The objects of an input's chain of parts, oldest first; those of one name when given."""
    return [
        output
        for part in summary.chain
        for output in part.outputs
        if name is None or output.name == name
    ]


def _settled(place: int, speaker: Speaker, content: Content | None) -> Settled:
    if isinstance(content, Failure):
        return Settled(place, speaker.name, speaker.etag, failure=content)
    if isinstance(content, tuple):
        return Settled(place, speaker.name, speaker.etag, duplicate_of=content[1])
    by_place = {summary.place: summary for summary in content or ()}
    return Settled(place, speaker.name, speaker.etag, summary=by_place[place])


def void(store: Store, run: RunDocument, shard: int, bad: dict[str, str]) -> list[str]:
    """Remove markers that are not whole, each only if it is still the one that was read.

    Those of duplicates are left to :func:`skip_again`.
    """
    voided = [name for name in bad if not _is_skipped(name)]
    return [name for name in voided if _remove(store, run, shard, name, bad[name])]


def _remove(store: Store, run: RunDocument, shard: int, name: str, etag: str) -> bool:
    key = run_keys(run).markers_folder(shard) + name
    try:
        store.delete_if_match(run.output_bucket, key, etag)
    except (Conflict, NotFound):
        return False
    return True


def _is_skipped(name: str) -> bool:
    parsed = parse_marker_name(name)
    return parsed is not None and parsed.kind == "skipped"


def skip_again(store: Store, run: RunDocument, shard: int, bad: dict[str, str]) -> None:
    """Put whole markers of duplicates in the place of those that are not, in one swap each.

    A duplicate is never work: were its marker removed first, whoever looked then would see it
    remain. One that speaks for an input which is no duplicate is removed.
    """
    names = [name for name in map(parse_marker_name, filter(_is_skipped, bad)) if name]
    if not names:
        return
    keys = run_keys(run)
    records = parse_tasks(store.get(run.output_bucket, keys.manifest_tasks(shard)).body)
    for name in names:
        record, key = records[name.first], keys.skipped_marker(shard, name.first)
        etag = bad[key.removeprefix(keys.markers_folder(shard))]
        if record.duplicate_of is None:
            _remove(store, run, shard, key.removeprefix(keys.markers_folder(shard)), etag)
            continue
        body = encode_skipped(record.index, record.duplicate_of)
        # Lost to somebody who wrote or removed it since: the next turn sees what is there then.
        with contextlib.suppress(Conflict):
            store.replace(run.output_bucket, key, body, etag)


def encode_outcome(settled: Iterable[Settled]) -> bytes:
    """The outcome's object."""
    return b"".join(
        json.dumps(_fields(each), separators=(",", ":")).encode() + b"\n" for each in settled
    )


def _fields(settled: Settled) -> dict[str, Any]:
    summary, failure = settled.summary, settled.failure
    return asdict(replace(settled, summary=None, failure=None)) | {
        "summary": None if summary is None else summary_fields(summary),
        "failure": None if failure is None else failure._asdict(),
    }


def parse_outcome(body: bytes) -> list[Settled]:
    """Read an outcome's object.

    Raises:
        Malformed: it is cut or is none.
    """
    try:
        return [_parse_settled(json.loads(line)) for line in body.splitlines()]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed("the outcome is cut or is none") from error


def _parse_settled(fields: dict[str, Any]) -> Settled:
    summary, failure = fields.pop("summary"), fields.pop("failure")
    place = fields["place"]
    if summary is not None:
        # A summary is read as the marker that it came from, by the one reader of markers.
        line = json.dumps(summary).encode() + b'\n{"end": 1}\n'
        fields["summary"] = parse_done(line, MarkerName("done", place, place))[0]
    if failure is not None:
        fields["failure"] = Failure(**{**failure, "parts": tuple(failure["parts"])})
    return Settled(**fields)
