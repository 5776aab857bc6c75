"""The run's document: who owns the run, in which epoch, with which values, and its stop.

One object in the control bucket, changed by compare-and-swap alone. The functions here are its
transitions: plain data in, plain data out. Times are seconds since 1970.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from drydock.errors import Malformed

StopReason = Literal["user", "budget", "pilot", "misconfiguration"]
IDENTITY_FIELDS = ("input", "output", "tool", "options", "dockfiles", "records_per_input")


@dataclass(frozen=True, slots=True)
class Stop:
    """Why an epoch ends early. With ``now`` what runs is terminated, else it finishes its input.

    ``unique`` names the call that put it, which alone tells people of it.
    """

    epoch: int
    reason: StopReason
    text: str
    now: bool = False
    unique: str = ""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One time that the run was set going, with the values of the request that did it."""

    epoch: int
    owner: str
    started_at: float
    request: dict[str, Any]
    image: str
    job_definition_arn: str


@dataclass(frozen=True, slots=True)
class RunDocument:
    """The whole document. ``reopened`` maps a failure class to the epoch that opened it again.

    ``shard_size`` and ``pilot`` are what the manifest is cut by: the stack's and the request's may
    change while it is written.
    """

    run_id: str
    output_bucket: str
    output_prefix: str
    identity: dict[str, Any]
    epochs: tuple[Epoch, ...]
    shard_size: int = 10_000
    pilot: int = 0
    input_etag: str | None = None
    stop: Stop | None = None
    reopened: dict[str, int] = field(default_factory=dict)

    @property
    def current(self) -> Epoch:
        """The epoch that goes on now."""
        return self.epochs[-1]

    @property
    def epoch(self) -> int:
        """Number of the current epoch."""
        return self.current.epoch

    @property
    def owner(self) -> str:
        """ARN of the execution that owns the run."""
        return self.current.owner

    @property
    def active_stop(self) -> Stop | None:
        """The stop of the current epoch, if there is one."""
        return self.stop if self.stop is not None and self.stop.epoch == self.epoch else None

    def to_json(self) -> bytes:
        """The object's bytes."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def parse_run_document(body: bytes) -> RunDocument:
    """Read the document.

    Raises:
        Malformed: the object is no run document.
    """
    try:
        fields = json.loads(body)
        stop = fields.pop("stop")
        epochs = tuple(Epoch(**epoch) for epoch in fields.pop("epochs"))
        return RunDocument(epochs=epochs, stop=None if stop is None else Stop(**stop), **fields)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no run document: {body[:80]!r}") from error


def identity_of(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request that make it this run; the others may change between epochs."""
    return {name: request.get(name) for name in IDENTITY_FIELDS}


def open_epoch(document: RunDocument, epoch: Epoch, retry_failed: list[str]) -> RunDocument:
    """The document with its next epoch; a stop of the epoch before counts no more."""
    reopened = document.reopened | dict.fromkeys(retry_failed, epoch.epoch)
    return replace(document, epochs=(*document.epochs, epoch), stop=None, reopened=reopened)


def put_stop(document: RunDocument, stop: Stop) -> RunDocument:
    """The document with a stop; the first stop of an epoch is the one that counts.

    A later one can only make it ``now``. One that was meant for another epoch changes nothing.
    """
    known = document.active_stop
    if stop.epoch != document.epoch:
        return document
    if known is None:
        return replace(document, stop=stop)
    return replace(document, stop=replace(known, now=known.now or stop.now))
