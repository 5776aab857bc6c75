"""What a shard took, asked where it must be: of AWS Batch, about the children that ended badly.

A shard whose children all ended well at their first attempt costs no call. Results never wait for
what Batch does not answer: the figures are then said to be ``at_least``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from drydock.concurrency import each as each_of
from drydock.detection import run_keys
from drydock.effort import (
    Child,
    Effort,
    Witnessed,
    array_of,
    interrupted_at,
    tally,
    witness,
)
from drydock.ends import verdict_of
from drydock.errors import Malformed, NotFound, ServiceUnavailable
from drydock.job_views import FailedChild
from drydock.keys import parse_part_record_name
from drydock.outcome import Settled
from drydock.parts import (
    PartOutputs,
    PartRecord,
    as_outputs,
    most_progress,
    parse_part_record,
)
from drydock.parts import chain as chain_of_parts
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.shard_document import Round, ShardDocument

# DescribeJobs of 100 children each; of children beyond that many nobody asks: shards may end all at
# once, and Batch takes 50 calls a second in all.
MAX_CALLS = 10
_CHILDREN_A_CALL = 100
# Of what remaining inputs left no more records are read.
_MAX_RECORDS = 2000


@dataclass(frozen=True, slots=True)
class Took:
    """What a shard took, and when attempts did not end well, by class, as far as Batch told."""

    effort: Effort
    moments: list[tuple[str, float]]


def shard_took(
    services: Services, run: RunDocument, document: ShardDocument, settled: Sequence[Settled]
) -> Took:
    """What the shard took, as far as it is known."""
    parts = chain(_parts(settled), _unfinished(services, run, document, settled))
    witnessed = witness(_settled_by(settled), parts)
    try:
        children = _ask(services, document, witnessed)
    except ServiceUnavailable:
        children = {}
    remains = len(settled) < document.inputs
    reopened = frozenset(run.reopened.values())
    effort = tally(document.rounds, witnessed, children, remains=remains, reopened=reopened)
    return Took(effort, interrupted_at(children.values()))


def _settled_by(settled: Iterable[Settled]) -> Iterator[tuple[str | None, int | None]]:
    for each in settled:
        said = each.summary or each.failure
        if said is not None:
            yield said.job_id, said.attempt


def _parts(settled: Iterable[Settled]) -> Iterator[PartOutputs]:
    """The parts that count; of a failed input what its last attempt did is one, without outputs."""
    for each in settled:
        if each.summary is not None:
            yield from each.summary.chain
        if each.failure is not None:
            failure = each.failure
            yield PartOutputs(0, (), failure.seconds, failure.job_id, failure.attempt)


def _unfinished(
    services: Services, run: RunDocument, document: ShardDocument, settled: Sequence[Settled]
) -> Iterator[PartOutputs]:
    """The parts from which inputs that remain would go on."""
    if len(settled) == document.inputs:
        return
    known = {each.place for each in settled}
    folder, store = run_keys(run).parts_folder(document.shard), services.store
    names = (found.key[len(folder) :] for found in store.list(run.output_bucket, folder))
    wanted = (name for name in names if (of := parse_part_record_name(name)) and of[0] not in known)

    def read(name: str) -> PartRecord | None:
        try:
            return parse_part_record(store.get(run.output_bucket, folder + name).body)
        except (NotFound, Malformed):
            return None

    by_place: dict[int, list[PartRecord]] = {}
    for record in each_of(read, islice(wanted, _MAX_RECORDS)):
        if record is not None:
            by_place.setdefault(record.place, []).append(record)
    for records in by_place.values():
        best = most_progress(records, None)
        if best is not None:
            yield from map(as_outputs, chain_of_parts(records, best.part))


def _ask(services: Services, document: ShardDocument, witnessed: Witnessed) -> dict[str, Child]:
    """What Batch says of children that failed or were started again.

    Raises:
        ServiceUnavailable: Batch does not answer.
    """
    ours = {each.job_id for each in document.rounds}
    retried = (
        job_id
        for job_id, attempt in sorted(witnessed.highest.items())
        if attempt > 1 and array_of(job_id) in ours
    )
    named: dict[str, str | None] = {}
    suspects = chain(_failed(services, document.rounds), ((job_id, None) for job_id in retried))
    for job_id, failure_class in islice(suspects, MAX_CALLS * _CHILDREN_A_CALL):
        named.setdefault(job_id, failure_class)
    if not named:
        return {}
    attempts = services.jobs.attempts(list(named))
    return {job_id: Child(tuple(told), named[job_id]) for job_id, told in attempts.items()}


def _failed(services: Services, rounds: Iterable[Round]) -> Iterator[tuple[str, str | None]]:
    """The jobs that failed, each with the class under which its round counts it."""
    for each in rounds:
        if each.job_id is None or not each.failures:
            continue
        if each.jobs == 1:
            yield each.job_id, next(iter(each.failures))
            continue
        for child in services.jobs.failed_children(each.job_id):
            yield f"{each.job_id}:{child.index}", _class_of(child)


def _class_of(child: FailedChild) -> str:
    return verdict_of(child).failure_class
