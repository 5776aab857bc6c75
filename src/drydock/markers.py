"""Markers: small objects whose existence is the fact that an input is settled.

Their names alone say what happened, so a LIST finds what remains; their contents say what the
results rest on. ``<first>-<last>.done`` speaks for a contiguous range of places,
``<place>.<epoch>.<class>.failed`` and ``<place>.skipped`` for one.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any, Literal, NamedTuple

from drydock.errors import Malformed
from drydock.parts import OutputObject, PartOutputs, as_fields

Kind = Literal["done", "failed", "skipped"]
_RANK: dict[Kind, int] = {"done": 0, "failed": 1, "skipped": 2}

_DONE = re.compile(r"([0-9]{5})-([0-9]{5})\.done")
_FAILED = re.compile(r"([0-9]{5})\.([1-9][0-9]*)\.([a-z][a-z0-9_]*)\.failed")
_SKIPPED = re.compile(r"([0-9]{5})\.skipped")


class MarkerName(NamedTuple):
    """What a marker's name says; places are numbers in the shard, both ends inclusive."""

    kind: Kind
    first: int
    last: int
    epoch: int | None = None
    failure_class: str | None = None


class ListedMarker(NamedTuple):
    """A marker as a LIST shows it; ``name`` is its key below the shard's markers folder."""

    name: str
    size: int
    etag: str


class Speaker(NamedTuple):
    """The marker that speaks for one input."""

    kind: Kind
    name: str
    etag: str
    failure_class: str | None = None


class Settlement(NamedTuple):
    """What is settled of a shard: the speaker for each settled place, and what was no marker.

    ``empty`` are those of the strange ones that have a marker's name, with their ETags.
    """

    inputs: int
    speakers: dict[int, Speaker]
    strange: list[str]
    empty: dict[str, str]

    def remaining(self) -> list[int]:
        """The places for which no marker speaks, ascending."""
        return [place for place in range(self.inputs) if place not in self.speakers]

    def in_the_way(self) -> dict[str, str]:
        """Empty objects under keys at which the markers of remaining inputs must be put."""
        return {
            name: etag
            for name, etag in self.empty.items()
            if (marker := parse_marker_name(name)) is not None
            and any(place not in self.speakers for place in range(marker.first, marker.last + 1))
        }

    def fingerprint(self) -> str:
        """The same for the same speakers only."""
        spoken = self.speakers.items()
        return fingerprint((place, speaker.name, speaker.etag) for place, speaker in spoken)

    def count(self, kind: Kind) -> int:
        """How many inputs ended that way."""
        return sum(1 for speaker in self.speakers.values() if speaker.kind == kind)


class InputSummary(NamedTuple):
    """One input of a ``.done`` marker: its chain of parts, oldest first, and what came out.

    ``job_id`` and ``attempt`` name the attempt that settled it; old markers do not say.
    """

    place: int
    index: int  # type: ignore[assignment] # tuple's method of that name is not missed
    input_etag: str
    chain: tuple[PartOutputs, ...]
    molecules: int
    failed_molecules: int
    seconds: float
    best_id: str | None = None
    best_score: float | None = None
    counts: dict[str, int] = {}  # noqa: RUF012 - nobody changes it
    job_id: str | None = None
    attempt: int | None = None


class Failure(NamedTuple):
    """The content of a ``.failed`` marker.

    ``job_id`` and ``attempt`` name the attempt, if it is known, and ``seconds`` are those that it
    worked on the input; earlier ones, whose parts are of no use now, are lost with them.
    """

    place: int
    index: int  # type: ignore[assignment] # tuple's method of that name is not missed
    epoch: int
    failure_class: str
    reason: str
    exit_code: int | None
    parts: tuple[int, ...]
    log_stream: str | None
    job_id: str | None = None
    attempt: int | None = None
    seconds: float = 0.0


def parse_marker_name(name: str) -> MarkerName | None:
    """Read a marker's name; None for anything that is no marker."""
    if match := _DONE.fullmatch(name):
        first, last = int(match[1]), int(match[2])
        return MarkerName("done", first, last) if first <= last else None
    if match := _FAILED.fullmatch(name):
        place = int(match[1])
        return MarkerName("failed", place, place, int(match[2]), match[3])
    if match := _SKIPPED.fullmatch(name):
        return MarkerName("skipped", int(match[1]), int(match[1]))
    return None


def settle(
    listed: Iterable[ListedMarker], inputs: int, reopened: Mapping[str, int] | None = None
) -> Settlement:
    """Say which marker speaks for each input of a shard of ``inputs`` inputs.

    Done beats failed beats skipped, then the first name. Names that do not parse, empty objects and
    ranges beyond the shard are no markers and are returned as ``strange``. ``reopened`` names
    failure classes whose markers of epochs before the given one count no more.
    """
    best: dict[int, tuple[int, str, Speaker]] = {}
    strange: list[str] = []
    empty: dict[str, str] = {}
    for marker in listed:
        name = parse_marker_name(marker.name)
        if name is None or marker.size == 0 or name.last >= inputs:
            strange.append(marker.name)
            if name is not None and name.last < inputs:
                empty[marker.name] = marker.etag
            continue
        if _is_reopened(name, reopened or {}):
            continue
        speaker = Speaker(name.kind, marker.name, marker.etag, name.failure_class)
        candidate = (_RANK[name.kind], marker.name, speaker)
        for place in range(name.first, name.last + 1):
            known = best.get(place)
            if known is None or candidate[:2] < known[:2]:
                best[place] = candidate
    speakers = {place: found[2] for place, found in sorted(best.items())}
    return Settlement(inputs, speakers, strange, empty)


def fingerprint(speakers: Iterable[tuple[int, str, str]]) -> str:
    """A text that is the same for the same places, markers and ETags only; places ascend."""
    found = hashlib.sha256()
    for place, name, etag in speakers:
        found.update(f"{place} {name} {etag}\n".encode())
    return found.hexdigest()


def late_markers(settlement: Settlement, frozen: Mapping[int, tuple[str, str]]) -> set[str]:
    """Markers that would speak now, but for the outcome that was frozen before they came.

    ``frozen`` maps each place to the name and ETag of the marker that spoke for it.
    """
    return {
        speaker.name
        for place, speaker in settlement.speakers.items()
        if frozen.get(place) != (speaker.name, speaker.etag)
    }


def reopened_places(names: Iterable[str], reopened: Mapping[str, int]) -> set[int]:
    """The places whose failures were opened again."""
    parsed = (parse_marker_name(name) for name in names)
    return {name.first for name in parsed if name is not None and _is_reopened(name, reopened)}


def _is_reopened(name: MarkerName, reopened: Mapping[str, int]) -> bool:
    if name.failure_class is None or name.epoch is None:
        return False
    return name.epoch < reopened.get(name.failure_class, 0)


def encode_done(summaries: Iterable[InputSummary]) -> bytes:
    """The content of a ``.done`` marker: a line an input, then an end line with their count."""
    lines = [json.dumps(summary_fields(summary), separators=(",", ":")) for summary in summaries]
    lines.append(json.dumps({"end": len(lines)}))
    return "\n".join(lines).encode() + b"\n"


def summary_fields(summary: InputSummary) -> dict[str, Any]:
    """The summary's fields, its chain as those of its parts."""
    return summary._asdict() | {"chain": [as_fields(part) for part in summary.chain]}


def parse_done(body: bytes, name: MarkerName) -> list[InputSummary]:
    """Read a ``.done`` marker whole.

    Raises:
        Malformed: it is cut, is no marker, or does not cover the range of its name.
    """
    lines = body.splitlines()
    try:
        end = json.loads(lines[-1])
        summaries = [_summary(json.loads(line)) for line in lines[:-1]]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise Malformed("the marker is cut or is none") from error
    if not body.endswith(b"\n") or end != {"end": len(summaries)}:
        raise Malformed("the marker is cut: its end line is missing or counts other inputs")
    if [summary.place for summary in summaries] != list(range(name.first, name.last + 1)):
        raise Malformed("the marker's inputs are not the range of its name")
    return summaries


_SUMMARY_TYPES: dict[str, type | UnionType] = {
    "place": int,
    "index": int,
    "input_etag": str,
    "molecules": int,
    "failed_molecules": int,
    "seconds": int | float,
    "best_score": int | float | None,
    "counts": dict,
    "job_id": str | None,
    "attempt": int | None,
}
_PART_TYPES: dict[str, type | UnionType] = {
    "part": int,
    "seconds": int | float,
    "job_id": str | None,
    "attempt": int | None,
}


def _summary(fields: dict[str, Any]) -> InputSummary:
    parts = tuple(
        PartOutputs(
            **{**part, "outputs": tuple(OutputObject(**output) for output in part["outputs"])}
        )
        for part in fields.pop("chain")
    )
    summary = InputSummary(chain=parts, **fields)
    _check(summary, _SUMMARY_TYPES)
    for part in parts:
        _check(part, _PART_TYPES)
    return summary


def _check(found: object, types: Mapping[str, type | UnionType]) -> None:
    if not all(isinstance(getattr(found, name), kind) for name, kind in types.items()):
        raise TypeError("fields of the marker are not what they must be")


_FAILURE_TYPES: dict[str, type | UnionType] = {
    "index": int,
    "reason": str,
    "exit_code": int | None,
    "log_stream": str | None,
    "job_id": str | None,
    "attempt": int | None,
    "seconds": int | float,
}


def encode_failed(failure: Failure) -> bytes:
    """The content of a ``.failed`` marker."""
    return encode_end(json.dumps(failure._asdict(), separators=(",", ":")))


def parse_failed(body: bytes, name: MarkerName) -> Failure:
    """Read a ``.failed`` marker whole.

    Raises:
        Malformed: it is cut, is no marker, or says other things than its name.
    """
    try:
        fields = json.loads(_before_end(body))
        failure = Failure(**{**fields, "parts": tuple(fields["parts"])})
        _check(failure, _FAILURE_TYPES)
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed("the failed marker is cut or is none") from error
    said = (failure.place, failure.epoch, failure.failure_class)
    if said != (name.first, name.epoch, name.failure_class):
        raise Malformed("the failed marker says other things than its name")
    return failure


def encode_skipped(index: int, duplicate_of: int) -> bytes:
    """The content of a ``.skipped`` marker."""
    return encode_end(json.dumps({"index": index, "duplicate_of": duplicate_of}))


def parse_skipped(body: bytes) -> tuple[int, int]:
    """Index of a skipped input and of the input that it repeats.

    Raises:
        Malformed: it is cut or is no marker.
    """
    try:
        fields = json.loads(_before_end(body))
        return int(fields["index"]), int(fields["duplicate_of"])
    except (ValueError, TypeError, KeyError) as error:
        raise Malformed("the skipped marker is cut or is none") from error


Content = list[InputSummary] | Failure | tuple[int, int]


def parse_marker(body: bytes, name: MarkerName | None) -> Content:
    """Read the content of a marker of whatever kind its name says.

    Raises:
        Malformed: it is cut, or is none, or its name is no marker's.
    """
    if name is None:
        raise Malformed("its name is no marker's")
    if name.kind == "done":
        return parse_done(body, name)
    return parse_failed(body, name) if name.kind == "failed" else parse_skipped(body)


def encode_end(line: str) -> bytes:
    """A one-line content with the end line that shows that it is whole."""
    return f'{line}\n{{"end": 1}}\n'.encode()


def _before_end(body: bytes) -> bytes:
    content, _, end = body.partition(b"\n")
    if end != b'{"end": 1}\n':
        raise Malformed("the marker is cut: its end line is missing")
    return content
