"""AggregateShard: from a shard's markers to its accounts, score tables and best molecules.

A large shard takes several turns; where one ends depends on the outcome alone, never on the clock,
so that a turn done twice writes the same objects.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from drydock.accounting import Accounts, parse_accounts
from drydock.detection import list_markers, run_keys, shard_inputs
from drydock.documents import Documents, Versioned
from drydock.effort import Effort
from drydock.errors import Conflict, Malformed, NotFound
from drydock.histogram import Histogram, parse_histogram
from drydock.keys import ControlKeys
from drydock.markers import fingerprint, late_markers
from drydock.outcome import (
    Settled,
    collect,
    encode_outcome,
    outputs_of,
    parse_outcome,
    skip_again,
    void,
)
from drydock.run_document import RunDocument
from drydock.services import Services
from drydock.shard_document import ShardDocument, freeze
from drydock.shard_document import void as void_markers
from drydock.shard_effort import shard_took
from drydock.shard_tables import (
    all_scores,
    keep_scores,
    remove_old_turns,
    write_failures,
    write_tables,
)
from drydock.store import Store
from drydock.timeline import History, history_of, parse_history

ROWS_PER_TURN = 200_000
# Of packed rows: they lie on the function's disk, and what is made of them beside them.
BYTES_PER_TURN = 96 << 20
ACCOUNTS = "accounts.json"
_MAX_TEXTS = 10


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn: inputs ``first`` up to ``after`` of the outcome's list."""

    number: int
    first: int
    after: int


@dataclass(frozen=True, slots=True)
class Written:
    """A shard's accounts as they lie in S3: made in which epoch, of which outcome, with what.

    ``speakers`` is the fingerprint of the markers that spoke. ``scores`` says how the scores are
    distributed, ``history`` when the shard was worked on; earlier versions wrote neither.
    """

    epoch: int
    outcome: str
    turns: int
    keep_top: int
    speakers: str
    accounts: Accounts
    scores: Histogram | None = None
    history: History | None = None

    def to_json(self) -> bytes:
        """The object's bytes."""
        told = asdict(self)
        told["scores"] = None if self.scores is None else self.scores.as_json()
        told["history"] = None if self.history is None else self.history.as_json()
        return json.dumps(told, indent=2).encode()


def _parse_written(body: bytes) -> Written:
    fields = json.loads(body)
    scores, history = fields.pop("scores", None), fields.pop("history", None)
    return Written(
        **{**fields, "accounts": parse_accounts(fields["accounts"])},
        scores=None if scores is None else parse_histogram(scores),
        history=None if history is None else parse_history(history),
    )


def aggregate_shard(
    services: Services, run_id: str, shard: int, owner: str, cursor: dict[str, Any] | None
) -> dict[str, Any]:
    """Do one turn of a shard's aggregation; ``cursor`` is what the turn before returned.

    The turn that writes the shard's accounts also answers with what is new in them.

    Raises:
        RunSuperseded: another execution owns the run now.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    run = documents.owned_run(run_id, owner)
    inputs = shard_inputs(services.store, run, shard)
    known = documents.shard(run, shard, inputs)
    if cursor is None:
        written = valid_accounts(services, run, known.value)
        if written is not None:
            return _aggregated(_told_of_late(services, run, known.value, written))
        cursor = _begin(services, documents, run, known)
        if cursor is None:
            return {"status": "remains", "cursor": None}
    return _one_turn(services, run, known.value, cursor)


def _aggregated(accounts: Accounts) -> dict[str, Any]:
    counts = ("inputs", "done", "failed", "skipped", "remaining")
    return {
        "status": "aggregated",
        "cursor": None,
        **{name: getattr(accounts, name) for name in counts},
    }


def _took(
    services: Services, run: RunDocument, accounts: Accounts, before: Accounts
) -> dict[str, Any]:
    """What is new in a shard's accounts: inputs, rounds, attempts, about how much money.

    They are of all its epochs; whoever adds up what each aggregation tells has them once.
    """
    effort, known = accounts.effort, before.effort
    vcpus = int(run.current.request["resources"]["vcpus"])
    classes = sorted({*effort.interruptions, *known.interruptions})
    fresh = {
        name: effort.interruptions.get(name, 0) - known.interruptions.get(name, 0)
        for name in classes
    }
    vcpu_hours = (_seconds(accounts) - _seconds(before)) / 3600 * vcpus
    counts = ("done", "failed", "skipped", "remaining")
    return {
        **{name: getattr(accounts, name) - getattr(before, name) for name in counts},
        "rounds": effort.rounds - known.rounds,
        "attempts": effort.attempts - known.attempts,
        "interruptions": {name: count for name, count in fresh.items() if count},
        "usd": round(vcpu_hours * services.settings.vcpu_hour_usd, 4),
    }


def _seconds(accounts: Accounts) -> float:
    return accounts.seconds + (accounts.effort.lost_seconds or 0.0)


def valid_accounts(services: Services, run: RunDocument, document: ShardDocument) -> Written | None:
    """The shard's accounts, if they were made from what is frozen now; None otherwise."""
    if document.frozen is None or document.frozen.reopened != run.reopened:
        return None
    found = read_accounts(services.store, run, document.shard)
    if found is None or found.outcome != document.frozen.key:
        return None
    # Lists that an earlier epoch cut shorter cannot be merged into this one's.
    return found if found.keep_top >= _keep_top(run) else None


def read_accounts(store: Store, run: RunDocument, shard: int) -> Written | None:
    """What AggregateShard wrote last for a shard; None when it wrote nothing that can be read.

    What a run left that had the output prefix before says nothing of this one.
    """
    key = run_keys(run).shard_results_folder(shard) + ACCOUNTS
    try:
        found = _parse_written(store.get(run.output_bucket, key).body)
    except (NotFound, Malformed, ValueError, TypeError, KeyError, AttributeError):
        return None
    is_own = str(found.outcome).startswith(ControlKeys(run.run_id).root)
    return found if is_own else None


def _keep_top(run: RunDocument) -> int:
    return int(run.current.request["keep_top"])


def _begin(
    services: Services,
    documents: Documents,
    run: RunDocument,
    known: Versioned[ShardDocument],
) -> dict[str, Any] | None:
    """Collect the outcome and, when nothing remains, freeze it; None when more work is needed."""
    document = known.value
    is_frozen = document.frozen is not None and document.frozen.reopened == run.reopened
    if is_frozen and document.frozen is not None:
        return {"outcome": document.frozen.key, "first": 0, "turn": 0}
    collected = collect(services.store, run, document.shard, document.inputs)
    if collected.bad:
        # Recorded before they are removed: whoever comes after a crash in between does both again.
        documents.replace_shard(run.run_id, known, void_markers(document, tuple(collected.bad)))
        void(services.store, run, document.shard, collected.bad)
        skip_again(services.store, run, document.shard, collected.bad)
        return None
    remaining = document.inputs - len(collected.settled)
    if remaining and not _has_given_up(run, document):
        documents.replace_shard(run.run_id, known, void_markers(document, ()))
        return None
    key = ControlKeys(run.run_id).frozen(document.shard, services.unique())
    services.store.put(services.settings.control_bucket, key, encode_outcome(collected.settled))
    if not remaining:
        key = _freeze(documents, run, known, key)
    return {
        "outcome": key,
        "first": 0,
        "turn": 0,
        "strange": len(collected.settlement.strange),
    }


def _has_given_up(run: RunDocument, document: ShardDocument) -> bool:
    """Whether the shard ended in this epoch although inputs remain."""
    ended = document.ended
    goes_on = ("complete", "blocked")
    return ended is not None and ended.epoch == run.epoch and ended.ending not in goes_on


def _freeze(
    documents: Documents, run: RunDocument, known: Versioned[ShardDocument], key: str
) -> str:
    """Name the outcome in the shard's document; the key of whichever outcome is named there."""
    for _ in range(10):
        document = freeze(known.value, key, run.reopened)
        if document.frozen is not None and document.frozen.key != key:
            return document.frozen.key
        try:
            documents.replace_shard(run.run_id, known, document)
        except Conflict:
            known = documents.shard(run, known.value.shard, known.value.inputs)
            continue
        return key
    raise Conflict(f"run {run.run_id} shard {known.value.shard}: its outcome could not be frozen")


def turns(settled: list[Settled], first: int, number: int) -> Iterator[Turn]:
    """Cut an outcome into turns, each of one input at least.

    They have at most :data:`ROWS_PER_TURN` molecules, in :data:`BYTES_PER_TURN` of packed rows.
    """
    start, rows, size = first, 0, 0
    for position in range(first, len(settled)):
        molecules, packed = _rows_of(settled[position])
        is_full = rows + molecules > ROWS_PER_TURN or size + packed > BYTES_PER_TURN
        if position > start and is_full:
            yield Turn(number, start, position)
            start, rows, size, number = position, 0, 0, number + 1
        rows, size = rows + molecules, size + packed
    yield Turn(number, start, len(settled))


def _rows_of(settled: Settled) -> tuple[int, int]:
    """How many rows an input has, and how many bytes they are, packed."""
    summary = settled.summary
    if summary is None:
        return 0, 0
    packed = sum(output.size for output in outputs_of(summary, "scores"))
    return summary.molecules, packed


def _one_turn(
    services: Services, run: RunDocument, document: ShardDocument, cursor: dict[str, Any]
) -> dict[str, Any]:
    outcome = services.store.get(services.settings.control_bucket, str(cursor["outcome"]))
    settled = parse_outcome(outcome.body)
    turn = next(turns(settled, int(cursor["first"]), int(cursor["turn"])))
    some = settled[turn.first : turn.after]
    scores = write_tables(services, run, document.shard, some, turn.number)
    if turn.after < len(settled):
        keep_scores(services, run, document.shard, turn.number, scores)
        return {
            "status": "more",
            "cursor": cursor | {"first": turn.after, "turn": turn.number + 1},
        }
    took = shard_took(services, run, document, settled)
    accounts = _accounts(
        document,
        settled,
        strange=int(cursor.get("strange", 0)),
        late=_late(services, run, document, settled),
        effort=took.effort,
    )
    write_failures(services, run, document.shard, settled)
    remove_old_turns(services, run, document.shard, turn.number)
    written = Written(
        epoch=run.epoch,
        outcome=str(cursor["outcome"]),
        turns=turn.number + 1,
        keep_top=_keep_top(run),
        speakers=fingerprint((each.place, each.marker, each.etag) for each in settled),
        accounts=accounts,
        scores=all_scores(services, run, document.shard, turn.number, scores),
        history=history_of(document.rounds, took.moments),
    )
    known = read_accounts(services.store, run, document.shard)
    before = Accounts(0, 0, 0, 0, 0) if known is None else known.accounts
    _write_accounts(services, run, document.shard, written)
    return _aggregated(accounts) | {"took": _took(services, run, accounts, before)}


def _write_accounts(services: Services, run: RunDocument, shard: int, written: Written) -> None:
    key = run_keys(run).shard_results_folder(shard) + ACCOUNTS
    services.store.put(run.output_bucket, key, written.to_json())


def _late(
    services: Services, run: RunDocument, document: ShardDocument, settled: list[Settled]
) -> int:
    """How many markers came after the outcome of a whole shard; they count as nothing."""
    if len(settled) != document.inputs:
        return 0
    settlement = list_markers(services.store, run, document.shard, document.inputs)
    frozen = {one.place: (one.marker, one.etag) for one in settled}
    return len(late_markers(settlement, frozen))


def _told_of_late(
    services: Services, run: RunDocument, document: ShardDocument, written: Written
) -> Accounts:
    """The accounts of a frozen shard, with the markers that came since; nothing else changes."""
    accounts = written.accounts
    settlement = list_markers(services.store, run, document.shard, document.inputs)
    late = 0
    if settlement.fingerprint() != written.speakers:
        outcome = services.store.get(services.settings.control_bucket, written.outcome)
        late = _late(services, run, document, parse_outcome(outcome.body))
    if late != accounts.late_markers:
        accounts = replace(accounts, late_markers=late)
        _write_accounts(services, run, document.shard, replace(written, accounts=accounts))
    return accounts


def _accounts(
    document: ShardDocument, settled: list[Settled], *, strange: int, late: int, effort: Effort
) -> Accounts:
    done = [each.summary for each in settled if each.summary is not None]
    failed = [each.failure for each in settled if each.failure is not None]
    failures: dict[str, int] = {}
    for failure in failed:
        failures[failure.failure_class] = failures.get(failure.failure_class, 0) + 1
    failed_s = sum(failure.seconds for failure in failed)
    remaining = document.inputs - len(settled)
    return Accounts(
        inputs=document.inputs,
        done=len(done),
        failed=len(failed),
        skipped=len(settled) - len(done) - len(failed),
        remaining=remaining,
        molecules=sum(summary.molecules for summary in done),
        failed_molecules=sum(summary.failed_molecules for summary in done),
        parts=sum(len(summary.chain) for summary in done),
        seconds=round(sum(summary.seconds for summary in done) + failed_s, 3),
        strange_markers=strange,
        voided_markers=len(document.voided),
        late_markers=late,
        failures=failures,
        effort=effort,
        ending=document.ended.ending if remaining and document.ended else None,
        texts=_texts(document) if remaining else {},
    )


def _texts(document: ShardDocument) -> dict[str, str]:
    """What Batch wrote of this epoch's rounds, by failure class; of each class the newest."""
    told: dict[str, str] = {}
    for round_ in document.rounds:
        if round_.epoch == document.epoch:
            told |= round_.texts
    return dict(sorted(told.items())[:_MAX_TEXTS])
