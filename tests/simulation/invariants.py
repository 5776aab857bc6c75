"""What must hold after a history. Each rule's docstring is the sentence of its violation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from drydock.keys import RunKeys, parse_job_name
from drydock.markers import InputSummary
from drydock.outcome import Settled, parse_outcome
from drydock.run_document import RunDocument
from drydock.shard_document import ShardDocument, parse_shard_document
from drydock.store import Store
from drydock.tasks import Record, parse_tasks
from tests.simulation.account import CONTROL, DATA
from tests.simulation.plan import FAILS, Input
from tests.simulation.toy import joined
from tests.simulation.watch import Violated

if TYPE_CHECKING:
    from tests.simulation.executions import Execution
    from tests.simulation.history import History

# By these names an execution may end; the first three say how a run ended.
_RUN_ENDS = ("RunIncomplete", "RunStopped", "RunMisconfigured")
_REFUSALS = ("RequestRejected", "RunSuperseded")
# What ends an execution when everything that a Retry allows was not enough.
_GIVEN_UP = ("Conflict", "StoreUnavailable", "ServiceUnavailable", "Lambda.", "Sandbox.Timedout")
_LEAK_S = 20 * 60.0
# Three tries of a function that runs into its timeout, and what lies between them.
_INVOCATIONS_S = 3 * 120.0 + 180.0
_MAX_PAYLOAD_BYTES = 8192


def everything_ends() -> None:
    """When nothing goes wrong any more all that goes on comes to an end."""


# ---- while it goes on


def check_ends(history: History) -> None:
    """Look at how executions ended, once everything is quiet."""
    for execution in history.executions():
        ends_by_name(history, execution)


def ends_by_name(history: History, execution: Execution) -> None:
    """An execution ends as its run did: by a name that is known, never as success with inputs
    remaining."""
    rule = ends_by_name
    if execution.status == "SUCCEEDED":
        report = execution.output
        if "duplicate_of" not in report and (
            report["status"] != "done" or report["accounting"]["remaining"]
        ):
            raise Violated(rule, f"{execution.name} succeeded with {report}")
    elif execution.status == "ABORTED":
        if not any(each.deed == "stops the execution" for each in history.plan.actions):
            raise Violated(rule, f"nobody aborted {execution.name}")
    elif execution.error not in _RUN_ENDS + _REFUSALS:
        was_calm = execution.started_at >= (history.calm_since or 0.0)
        if was_calm or not str(execution.error).startswith(_GIVEN_UP):
            raise Violated(rule, f"{execution.name} ended: {execution.error}: {execution.cause}")
    elif execution.error in ("RunStopped", "RunMisconfigured"):
        stopped = [run for run in history.runs() if run.stop is not None or len(run.epochs) > 1]
        if not stopped:
            raise Violated(rule, f"{execution.name} ended {execution.error} without a stop")


def check_leaks(history: History) -> None:
    """No job of ours is active 15 minutes after its owner ended, or when no document names it."""
    assert history.calm_since is not None
    if history.kernel.now - history.calm_since < _LEAK_S:
        return
    for job in history.active_jobs():
        identity = parse_job_name(job.spec.name)
        assert identity is not None
        run = next(run for run in history.runs() if run.run_id == identity.run_id)
        owner = history.stack.states.executions[run.owner]
        if owner.ended_at is not None and history.kernel.now - owner.ended_at > _LEAK_S:
            raise Violated(
                check_leaks, f"{job.spec.name} ({job.id}) is active, {owner.name} is not"
            )
        document = _shard_document(history, run, identity.shard)
        named = any(each.job_id == job.id for each in document.rounds)
        if not named and history.kernel.now - job.created_ms / 1000 > _LEAK_S:
            raise Violated(check_leaks, f"nobody knows of {job.spec.name} ({job.id})")


def is_finished(history: History) -> bool:
    """Whether nothing is left to do that can be done: all is settled but what never can be."""
    runs = history.living_runs()
    if not runs:
        return False
    for run in runs:
        if history.stack.states.executions[run.owner].status == "SUCCEEDED":
            continue
        accounting = _accounting(history)
        if accounting.get("epoch") != run.epoch or accounting["status"] == "stopped":
            return False
        hopeless = 0
        for shard in _shards(history, run):
            for record, settled in _places(history, run, shard):
                if settled is None:
                    if not history.is_hopeless(_planned(history, record)):
                        return False
                    hopeless += 1
        if hopeless != accounting["remaining"]:
            return False
    return True


# ---- at the end


def check(history: History, dead: int) -> None:
    """Look at everything, once nothing is left to do."""
    functions_do_not_break(history)
    workers_do_not_break(history)
    nothing_is_given_up(history, dead)
    every_token_is_answered(history)
    payloads_are_small(history)
    an_upload_starts_one_epoch(history)
    one_message_a_stop(history)
    history.watch.overspent.check(history.stack, history.watch.stops)
    for run in history.living_runs():
        accounts_add_up(history, run)
        for shard in _shards(history, run):
            document = _shard_document(history, run, shard)
            if document.frozen is not None:
                frozen_objects_stay(history, document)
            for record, place in _places(history, run, shard):
                inputs_end_as_planned(history, shard, record, place)
                if place is not None and not run.reopened:
                    results_rest_on_what_was_enumerated(record, place)


def functions_do_not_break(history: History) -> None:
    """No function fails with an error that it does not know."""
    for process, error in history.stack.lambdas.broken:
        raise Violated(functions_do_not_break, f"{process.name}: {error!r}") from error


def workers_do_not_break(history: History) -> None:
    """No container ends with an error that the worker does not know."""
    for container, error in history.stack.batch.crashes:
        raise Violated(workers_do_not_break, f"{container}: {error!r}") from error


def nothing_is_given_up(history: History, dead: int) -> None:
    """No message becomes a dead letter and no event stays undelivered once nothing goes wrong."""
    assert history.calm_since is not None
    # One that was received often before that may not be received often enough after it.
    letters = [
        each.body
        for _, each in history.stack.queues.dead[dead:]
        if each.sent_at >= history.calm_since
    ]
    if letters:
        raise Violated(nothing_is_given_up, f"dead letters: {letters}")
    failed = [
        f"{name} at {at:.0f}"
        for at, name, _ in history.stack.lambdas.given_up
        if at >= history.calm_since + _INVOCATIONS_S
    ]
    if failed or history.stack.bus.undelivered:
        text = f"invocations {failed}, events {history.stack.bus.undelivered}"
        raise Violated(nothing_is_given_up, text)


def every_token_is_answered(history: History) -> None:
    """Nobody waits on a task token for ever."""
    waiting = [token.text for token in history.stack.states.tokens.values() if token.is_open]
    if waiting:
        raise Violated(every_token_is_answered, ", ".join(waiting))


def payloads_are_small(history: History) -> None:
    """No payload of ours is larger than 8 KiB."""
    largest = history.stack.states.largest_payload
    if largest > _MAX_PAYLOAD_BYTES:
        raise Violated(payloads_are_small, f"{largest} bytes")


def an_upload_starts_one_epoch(history: History) -> None:
    """The same upload starts one epoch, however often it is delivered."""
    for run in history.runs():
        known: dict[str, int] = {}
        for epoch in run.epochs:
            owner = history.stack.states.executions[epoch.owner]
            event = owner.input
            # Whoever redrives an execution wants it to go on.
            if not owner.redrives and event.get("detail-type") == "Object Created":
                sequencer = event["detail"]["object"]["sequencer"]
                if sequencer in known:
                    text = f"epochs {known[sequencer]} and {epoch.epoch} of one upload"
                    raise Violated(an_upload_starts_one_epoch, text)
                known[sequencer] = epoch.epoch


def one_message_a_stop(history: History) -> None:
    """People are told of a stop once, but for a message that an SDK sends twice."""
    told = [each for each in history.stack.topic.told if each.subject.startswith("drydock stopped")]
    texts = [each.text for each in told]
    stops = len(history.watch.stops)
    twice = sum("sns Publish" in what for what in history.chooser.injected.values())
    if len(texts) > stops + twice:
        raise Violated(one_message_a_stop, f"{stops} stops, told {texts}")


def accounts_add_up(history: History, run: RunDocument) -> None:
    """Done, failed, skipped and remaining are the manifest, and they are what the markers say."""
    rule = accounts_add_up
    accounting = _accounting(history)
    if not accounting:
        raise Violated(rule, "there is no accounting.json")
    shards = _shards(history, run)
    inputs = sum(len(_records(history, run, shard)) for shard in shards)
    counts = [accounting[name] for name in ("done", "failed", "skipped", "remaining")]
    if sum(counts) != inputs or accounting["inputs"] != inputs:
        raise Violated(rule, f"{counts} of a manifest of {inputs}")
    if inputs != len(history.plan.inputs):
        raise Violated(rule, f"the manifest has {inputs} of {len(history.plan.inputs)} inputs")
    found = [0, 0, 0, 0]
    for shard in shards:
        for _, settled in _places(history, run, shard):
            found[_column(settled)] += 1
    if found != counts:
        raise Violated(rule, f"accounting.json says {counts}, the outcomes {found}")


def frozen_objects_stay(history: History, document: ShardDocument) -> None:
    """Whatever a frozen outcome rests on stays there as it was."""
    objects = history.stack.s3.buckets[DATA]
    for settled in _frozen(history, document):
        if settled.summary is None:
            continue
        for part in settled.summary.chain:
            for output in part.outputs:
                if (DATA, output.key) in history.watch.meddled:
                    continue
                found = objects.get(output.key)
                if found is None or found.etag != output.etag:
                    raise Violated(frozen_objects_stay, f"{output.key} is not what it was")


def inputs_end_as_planned(
    history: History, shard: int, record: Record, settled: Settled | None
) -> None:
    """Every input ends as it must: worked off once, from its first unit to its last; failed for a
    reason of its own; skipped where it repeats another; or remaining where nothing helps."""
    rule, planned = inputs_end_as_planned, _planned(history, record)
    what = f"{planned.name} ({planned.behaviour}), place {record.place} of shard {shard}"
    if record.duplicate_of is not None:
        if settled is None or settled.duplicate_of is None:
            raise Violated(rule, f"{what} repeats another and ended as {settled}")
    elif settled is None:
        if not history.is_hopeless(planned):
            raise Violated(rule, f"{what} remains")
    elif settled.failure is not None:
        allowed = history.failures_of(planned)
        if settled.failure.failure_class not in allowed:
            raise Violated(rule, f"{what} failed: {settled.failure}")
    elif settled.summary is not None:
        if planned.behaviour in FAILS:
            raise Violated(rule, f"{what} is done")
        work_is_whole(history, planned, settled.summary)


def results_rest_on_what_was_enumerated(record: Record, settled: Settled) -> None:
    """What a done input rests on is the object that the manifest pins, unless it was reopened."""
    if settled.summary is None or record.etag in (None, settled.summary.input_etag):
        return
    text = f"{record.uri}: {settled.summary.input_etag}, not {record.etag}"
    raise Violated(results_rest_on_what_was_enumerated, text)


def work_is_whole(history: History, planned: Input, summary: InputSummary) -> None:
    """The parts of a done input, joined, are its work from the first unit to the last, once."""
    keys = [output.key for part in summary.chain for output in part.outputs]
    if any((DATA, key) in history.watch.meddled for key in keys):
        return
    units = joined(Store(history.stack.s3.client(), None), summary)
    if units != list(range(1, planned.units + 1)):
        raise Violated(work_is_whole, f"{planned.name} of {planned.units} units: {units}")


# ---- what is there


def _accounting(history: History) -> dict[str, Any]:
    found = history.stack.s3.buckets[DATA].get("out/results/accounting.json")
    return {} if found is None else json.loads(found.body)


def _keys(run: RunDocument) -> RunKeys:
    return RunKeys(run.run_id, run.output_prefix)


def _shards(history: History, run: RunDocument) -> list[int]:
    found = history.stack.s3.buckets[DATA].get(_keys(run).shards())
    return [] if found is None else [item["shard"] for item in json.loads(found.body)]


def _records(history: History, run: RunDocument, shard: int) -> list[Record]:
    return parse_tasks(history.stack.s3.buckets[DATA][_keys(run).manifest_tasks(shard)].body)


def _shard_document(history: History, run: RunDocument, shard: int) -> ShardDocument:
    key = f"runs/{run.run_id}/shards/{shard:06d}.json"
    found = history.stack.s3.buckets[CONTROL].get(key)
    if found is None:
        return ShardDocument(shard, len(_records(history, run, shard)), run.epoch)
    return parse_shard_document(found.body)


def _frozen(history: History, document: ShardDocument) -> list[Settled]:
    assert document.frozen is not None
    return parse_outcome(history.stack.s3.buckets[CONTROL][document.frozen.key].body)


def _places(
    history: History, run: RunDocument, shard: int
) -> Iterator[tuple[Record, Settled | None]]:
    """Each input of a shard and how it ended: by the frozen outcome, or else by its marker."""
    document = _shard_document(history, run, shard)
    records = _records(history, run, shard)
    if document.frozen is not None and document.frozen.reopened == run.reopened:
        by_place = {settled.place: settled for settled in _frozen(history, document)}
    else:
        by_place = _collected(history, run, shard)
    for record in records:
        yield record, by_place.get(record.place)


def _collected(history: History, run: RunDocument, shard: int) -> dict[int, Settled]:
    """What the outcome says that the shard's accounts were made of."""
    objects, keys = history.stack.s3.buckets, _keys(run)
    accounts = objects[DATA].get(keys.shard_results_folder(shard) + "accounts.json")
    if accounts is None:
        return {}
    outcome = objects[CONTROL][json.loads(accounts.body)["outcome"]]
    return {settled.place: settled for settled in parse_outcome(outcome.body)}


def _column(settled: Settled | None) -> int:
    if settled is None:
        return 3
    if settled.failure is not None:
        return 1
    return 2 if settled.summary is None else 0


def _planned(history: History, record: Record) -> Input:
    return history.planned(record.index)
