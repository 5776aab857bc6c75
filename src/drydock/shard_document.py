"""The shard's document: its rounds, who is submitting one, what is awaited, and how it ended.

One object in the control bucket, changed by compare-and-swap alone. The functions here are its
transitions: plain data in, plain data out. Times are seconds since 1970.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from drydock.errors import Malformed

RoundState = Literal["claimed", "submitted", "ended"]
Queue = Literal["spot", "on-demand"]
# A blocked shard goes on once what lies in the way of its markers was removed.
Ending = Literal["complete", "stopped", "exhausted", "terminated", "blocked"]
# What a stop asked of a job: to start nothing more, or to end.
JobEnding = Literal["cancelled", "terminated"]


@dataclass(frozen=True, slots=True)
class Round:
    """One submission. ``unique`` names the objects that its claimant wrote for it.

    ``settled_before`` and ``parts_before`` count what there was when it was claimed: a round after
    which neither has grown made no progress. ``failures`` counts the children whose job failed by
    the class of that, ``texts`` keeps a sample of what Batch wrote for classes that it does not
    explain. ``ending`` is what a stop asked of the job. Memory is in MiB a child.
    """

    number: int
    epoch: int
    unique: str
    size: int
    jobs: int
    queue: Queue
    state: RoundState
    lease_until: float
    claimed_at: float
    settled_before: int
    parts_before: int
    job_id: str | None = None
    job_definition_arn: str = ""
    ended_at: float | None = None
    progress: bool | None = None
    reason: str | None = None
    memory_mib: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    ending: JobEnding | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the shard ended in an epoch."""

    epoch: int
    ending: Ending


@dataclass(frozen=True, slots=True)
class Frozen:
    """Which object says what speaks for each input, and which failures were reopened then."""

    key: str
    reopened: dict[str, int]


@dataclass(frozen=True, slots=True)
class ShardDocument:
    """The whole document.

    ``voidings`` counts how often it had ended and was opened again to void markers: work that is
    never whole does not go on for ever. ``withheld`` are ranges of places (first and last) whose
    child somebody terminated: they are not submitted again in this epoch.
    """

    shard: int
    inputs: int
    epoch: int
    rounds: tuple[Round, ...] = ()
    not_before: float | None = None
    ended: Ended | None = None
    frozen: Frozen | None = None
    voided: tuple[str, ...] = field(default=())
    voidings: int = 0
    withheld: tuple[tuple[int, int], ...] = ()

    @property
    def current(self) -> Round | None:
        """The newest round."""
        return self.rounds[-1] if self.rounds else None

    @property
    def rounds_of_epoch(self) -> tuple[Round, ...]:
        """The rounds that this epoch submitted, oldest first."""
        return tuple(each for each in self.rounds if each.epoch == self.epoch)

    @property
    def barren_rounds(self) -> tuple[Round, ...]:
        """This epoch's rounds since there was progress, newest first.

        Ones that say nothing about progress, as they were taken away, are left out.
        """
        found: list[Round] = []
        for each in reversed(self.rounds_of_epoch):
            if each.progress:
                break
            if each.progress is False:
                found.append(each)
        return tuple(found)

    @property
    def barren(self) -> int:
        """How many rounds without progress there are in a row."""
        return len(self.barren_rounds)

    def to_json(self) -> bytes:
        """The object's bytes."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def parse_shard_document(body: bytes) -> ShardDocument:
    """Read the document.

    Raises:
        Malformed: the object is no shard document.
    """
    try:
        fields: dict[str, Any] = json.loads(body)
        rounds = tuple(Round(**each) for each in fields.pop("rounds"))
        ended, frozen = fields.pop("ended"), fields.pop("frozen")
        voided = tuple(fields.pop("voided"))
        # Earlier versions counted what the rounds tell.
        fields.pop("barren", None)
        withheld = tuple((first, last) for first, last in fields.pop("withheld", ()))
        return ShardDocument(
            rounds=rounds,
            ended=None if ended is None else Ended(**ended),
            frozen=None if frozen is None else Frozen(**frozen),
            voided=voided,
            withheld=withheld,
            **fields,
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no shard document: {body[:80]!r}") from error


def enter_epoch(document: ShardDocument, epoch: int) -> ShardDocument:
    """The document as a new epoch finds it: what ended it counts no more."""
    return replace(
        document,
        epoch=epoch,
        voidings=0,
        not_before=None,
        ended=None,
        frozen=None,
        withheld=(),
    )


def claim_round(document: ShardDocument, claimed: Round) -> ShardDocument:
    """The document with a round that somebody is about to submit."""
    return replace(document, rounds=(*document.rounds, claimed), not_before=None)


def renew_claim(document: ShardDocument, lease_until: float) -> ShardDocument:
    """The document with its current claim taken over."""
    return _with_current(document, lease_until=lease_until)


def record_job(document: ShardDocument, job_id: str) -> ShardDocument:
    """The document with the job that the current round became."""
    return _with_current(document, job_id=job_id, state="submitted")


def ask_to_end(document: ShardDocument, ending: JobEnding) -> ShardDocument:
    """The document after a stop asked the current round's job to end."""
    return _with_current(document, ending=ending)


def close_round(
    document: ShardDocument,
    *,
    now: float,
    progress: bool | None,
    delay_s: float,
    reason: str | None,
    failures: Mapping[str, int] | None = None,
    texts: Mapping[str, str] | None = None,
    withheld: Iterable[tuple[int, int]] = (),
) -> ShardDocument:
    """The document after its current round ended; ``failures`` and ``texts`` are the round's.

    ``progress`` None: the round was taken away by ourselves and says nothing about progress.
    ``withheld`` are further ranges of places for this epoch.
    """
    closed = _with_current(
        document,
        state="ended",
        ended_at=now,
        progress=progress,
        reason=reason,
        failures=dict(failures or {}),
        texts=dict(texts or {}),
    )
    not_before = now + delay_s if delay_s > 0 else None
    joined = join_ranges((*document.withheld, *withheld))
    return replace(closed, not_before=not_before, withheld=joined)


def join_ranges(ranges: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges of places (first and last) in order, those that touch or overlap as one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def end(document: ShardDocument, ending: Ending) -> ShardDocument:
    """The document after the shard ended in its epoch."""
    return replace(document, ended=Ended(document.epoch, ending), not_before=None)


def freeze(document: ShardDocument, key: str, reopened: dict[str, int]) -> ShardDocument:
    """The document with its frozen outcome; what is frozen already stays, unless it was thawed.

    An outcome is thawed once failures are reopened that were not when it was frozen.
    """
    if document.frozen is not None and document.frozen.reopened == reopened:
        return document
    return replace(document, frozen=Frozen(key, reopened))


def void(document: ShardDocument, markers: tuple[str, ...]) -> ShardDocument:
    """The document after markers that were not whole were removed: their inputs remain again.

    Whoever was cut short records them again, and so does whoever finds them at the same time. That
    counts once, for nothing was worked on in between.
    """
    new = tuple(name for name in markers if name not in document.voided)
    return replace(
        document,
        voided=(*document.voided, *new),
        voidings=document.voidings + (bool(markers) and document.ended is not None),
        ended=None,
        frozen=None,
    )


def _with_current(document: ShardDocument, **changes: Any) -> ShardDocument:
    return replace(
        document, rounds=(*document.rounds[:-1], replace(document.rounds[-1], **changes))
    )
