"""What to do about a shard now: one pure decision over all that is known of it.

Whoever looks at a shard (a function that submits, an event that a job ended, the sweep) gathers
the same facts, asks :func:`decide`, carries the answer out by compare-and-swap and asks again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from drydock.job_views import JobView
from drydock.policies import delay_after, is_exhausted, memory_for, policies_of, queue_for
from drydock.run_document import RunDocument
from drydock.shard_document import Ending, Queue, Round, ShardDocument

ABORTED = "drydock: aborted"
SUPERSEDED = "drydock: superseded"
STOPPED = "drydock: stopped"
OWNER_NOT_RUNNING = "the run's owner is not running"


@dataclass(frozen=True, slots=True)
class Facts:
    """What S3 says: how many inputs are settled, how many part records there are, what remains.

    ``in_the_way``: an empty object lies where the marker of a remaining input must be put.
    """

    settled: int
    parts: int
    remaining: tuple[int, ...]
    in_the_way: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the stack sets.

    ``first_delay_s`` is the delay after the first round without progress; it doubles up to
    15 minutes. ``max_memory_mib`` is the most that a child is given after it ran out of memory.
    ``believed_early_s`` is how long before its claim's lease ends Batch is believed that it knows
    no job of a round.
    """

    first_delay_s: float
    max_memory_mib: int
    believed_early_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The shard has ended: commit that (unless it is), then answer every waiting token."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class EnterEpoch:
    """The document is of an earlier epoch: take it into this one first."""


@dataclass(frozen=True, slots=True)
class CloseRound:
    """The current round's job has ended: write down what came of it.

    ``failures`` counts its children by class, with samples of ``texts``; ``withheld`` are ranges
    of places whose child somebody terminated.
    """

    progress: bool | None
    delay_s: float
    reason: str | None
    failures: Mapping[str, int] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    withheld: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SubmitRound:
    """Claim and submit the next round over these places."""

    number: int
    places: tuple[int, ...]
    queue: Queue
    memory_mib: int


@dataclass(frozen=True, slots=True)
class TakeOverClaim:
    """Somebody claimed the current round and went silent: find its job by name, or submit it."""

    claimed: Round


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before this time; somebody must look again then."""

    time: float


@dataclass(frozen=True, slots=True)
class EndJob:
    """The epoch was stopped: the job's children that wait are cancelled, with ``now`` all end."""

    job_id: str
    now: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Nothing to do: an event will come, or it is not ours to act."""

    why: str


Decision = (
    Answer | EnterEpoch | CloseRound | SubmitRound | TakeOverClaim | WaitUntil | EndJob | Leave
)


def needs_job(document: ShardDocument) -> bool:
    """Whether a decision rests on what Batch says of the current round's job."""
    return document.current is not None and document.current.state == "submitted"


def is_frozen_for(document: ShardDocument, run: RunDocument) -> bool:
    """Whether the shard's outcome is frozen and no failure of it was reopened since."""
    return document.frozen is not None and document.frozen.reopened == run.reopened


def decide(
    run: RunDocument,
    document: ShardDocument,
    *,
    owner_running: bool,
    job: JobView | None,
    facts: Facts | None,
    now: float,
    limits: Limits,
) -> Decision:
    """Say what to do about a shard.

    ``job`` must be given when :func:`needs_job` says so, ``facts`` unless that job is active.
    """
    ended = document.ended
    if ended and ended.epoch == run.epoch:
        return Answer(ended.ending)
    if is_frozen_for(document, run):
        return Answer("complete")
    if document.epoch != run.epoch:
        return EnterEpoch() if owner_running else Leave(OWNER_NOT_RUNNING)
    current = document.current
    if current is not None and current.state == "claimed":
        is_silent = now >= current.lease_until or current.epoch != run.epoch
        return TakeOverClaim(current) if is_silent else WaitUntil(current.lease_until)
    if current is not None and current.state == "submitted":
        if job is None or job.state == "active":
            return _about_active_job(run, current)
        seen_by = current.lease_until - limits.believed_early_s
        is_fresh = now < seen_by
        if job.state == "gone" and is_fresh:
            # DescribeJobs may not show a job that was submitted a moment ago.
            return WaitUntil(seen_by)
        may_grow = max(current.memory_mib, _requested_mib(run)) < limits.max_memory_mib
        delay_s = delay_after(document, job.failures, limits.first_delay_s, may_grow=may_grow)
        return _about_ended_job(document, current, job, _known(facts), delay_s)
    return _about_next_round(
        run,
        document,
        _known(facts),
        owner_running=owner_running,
        now=now,
        max_memory_mib=limits.max_memory_mib,
    )


def _about_active_job(run: RunDocument, current: Round) -> Decision:
    stop = run.active_stop
    if stop is not None and current.job_id is not None:
        asked = current.ending
        if asked is None or (stop.now and asked == "cancelled"):
            return EndJob(current.job_id, stop.now)
    return Leave("its job is active")


def _about_ended_job(
    document: ShardDocument, current: Round, job: JobView, facts: Facts, delay_s: float
) -> Decision:
    progress: bool | None = (
        facts.settled > current.settled_before or facts.parts > current.parts_before
    )
    taken_away = (
        job.reason in (ABORTED, SUPERSEDED, STOPPED)
        or current.ending is not None
        or current.epoch != document.epoch
        or "later" in policies_of(job.failures)
    )
    if not progress and taken_away:
        progress = None
    return CloseRound(
        progress,
        delay_s if progress is False else 0.0,
        job.reason,
        job.failures,
        job.texts,
        job.withheld,
    )


def _about_next_round(
    run: RunDocument,
    document: ShardDocument,
    facts: Facts,
    *,
    owner_running: bool,
    now: float,
    max_memory_mib: int,
) -> Decision:
    if not facts.remaining:
        return Answer("complete")
    if not owner_running:
        return Leave(OWNER_NOT_RUNNING)
    if run.active_stop is not None:
        return Answer("stopped")
    places = _not_withheld(facts.remaining, document.withheld)
    if not places:
        return Answer("terminated")
    max_rounds = int(run.current.request["max_rounds"])
    memory_mib = memory_for(document, _requested_mib(run), max_memory_mib)
    if document.voidings >= max_rounds or is_exhausted(document, max_rounds, memory_mib):
        return Answer("exhausted")
    if facts.in_the_way:
        # No worker could put its marker there: AggregateShard, which alone removes any, goes first.
        return Answer("blocked")
    if document.not_before is not None and now < document.not_before:
        return WaitUntil(document.not_before)
    number = document.rounds[-1].number + 1 if document.rounds else 0
    return SubmitRound(number, places, queue_for(document), memory_mib)


def _requested_mib(run: RunDocument) -> int:
    return int(run.current.request["resources"]["memory_mib"])


def _not_withheld(
    places: tuple[int, ...], withheld: tuple[tuple[int, int], ...]
) -> tuple[int, ...]:
    """The places outside of ranges; both are in order."""
    if not withheld:
        return places
    held = {place for first, last in withheld for place in range(first, last + 1)}
    return tuple(place for place in places if place not in held)


def _known(facts: Facts | None) -> Facts:
    if facts is None:
        raise ValueError("a decision about an ended round needs the facts of S3")
    return facts
