"""What runs spend: looked at every few minutes, kept in a document, held to their budgets."""

import json
from collections.abc import Mapping

from drydock.budget import Meter, Sample, Spend, measure, overshoot, parse_spend, sentence, settle
from drydock.concurrency import each
from drydock.decision import is_frozen_for
from drydock.detection import run_keys, shard_inputs
from drydock.documents import Documents, Versioned
from drydock.errors import AlreadyExists, Conflict, Malformed, NotFound
from drydock.keys import ControlKeys
from drydock.run_document import RunDocument, Stop
from drydock.services import Services
from drydock.shard_document import Round, ShardDocument

_TRIES = 20


def spent_usd(services: Services, run_id: str, *, at_least_s: float = 0.0) -> float:
    """What the run has spent over all of its epochs; ``at_least_s`` are known vCPU-seconds."""
    known = _known(services, run_id)
    price = services.settings.vcpu_hour_usd
    return max(at_least_s / 3600 * price, 0.0 if known is None else known.value.usd(price))


def over_budget(services: Services, run: RunDocument, active: set[int]) -> Stop | None:
    """Look at what a run with a budget has spent; the stop when that is more than it may.

    ``active`` are the shards of which Batch has jobs.

    Raises:
        Conflict: others changed the document each time; a retry is right.
    """
    cap = run.current.request.get("stop_after_usd")
    if cap is None:
        return None
    spend, vcpus = _look(services, run, active)
    price = services.settings.vcpu_hour_usd
    spent = spend.usd(price)
    if run.active_stop is not None or spent <= cap:
        return None
    more = overshoot(vcpus, int(run.current.request["attempt_seconds"]), price)
    return Stop(run.epoch, "budget", sentence(spent, cap, vcpus, more))


def _look(services: Services, run: RunDocument, active: set[int]) -> tuple[Spend, int]:
    """The run's meters by now, written down, and how many vCPUs run."""
    now = services.now()
    for _ in range(_TRIES):
        known = _known(services, run.run_id)
        meters = {} if known is None else dict(known.value.meters)
        open_shards = {n for n, meter in meters.items() if meter.vcpus or _is_unsettled(meter, run)}
        documents = _documents(services, run, active | open_shards)
        samples = _samples(services, run, documents)
        for shard, sample in samples.items():
            meters[shard] = measure(meters.get(shard, Meter()), sample, now)
        meters |= _all_settled(services, run, documents, meters)
        spend = Spend(meters)
        try:
            _keep(services, run.run_id, known, spend)
        except (Conflict, AlreadyExists):
            continue
        return spend, sum(found.vcpus for found in samples.values() if found.ended_at is None)
    raise Conflict(f"run {run.run_id}: what it spends was changed by others {_TRIES} times")


def _is_unsettled(meter: Meter, run: RunDocument) -> bool:
    return meter.settled_in != run.epoch


def _known(services: Services, run_id: str) -> Versioned[Spend] | None:
    """The document; None before the first look."""
    key = ControlKeys(run_id).spend()
    try:
        found = services.store.get(services.settings.control_bucket, key)
    except NotFound:
        return None
    return Versioned(parse_spend(found.body), found.etag)


def _keep(services: Services, run_id: str, known: Versioned[Spend] | None, spend: Spend) -> None:
    bucket, key = services.settings.control_bucket, ControlKeys(run_id).spend()
    if known is None:
        services.store.put_once(bucket, key, spend.to_json())
    elif spend != known.value:
        services.store.replace(bucket, key, spend.to_json(), known.etag)


def _documents(services: Services, run: RunDocument, shards: set[int]) -> dict[int, ShardDocument]:
    """What can be read of the documents of shards; those of others were removed or damaged."""
    documents = Documents(services.store, services.settings.control_bucket)

    def read(shard: int) -> ShardDocument | None:
        try:
            inputs = shard_inputs(services.store, run, shard)
            return documents.shard(run, shard, inputs).value
        except (NotFound, Malformed):
            # What the others use counts all the same.
            return None

    # A thousand of them, one after the other, would take the whole time of the function.
    found = each(read, sorted(shards))
    return {document.shard: document for document in found if document is not None}


def _samples(
    services: Services, run: RunDocument, documents: Mapping[int, ShardDocument]
) -> dict[int, Sample]:
    """The newest job of each shard, with what of it runs: one read for 100 of them."""
    newest = {
        shard: rounds[-1]
        for shard, document in documents.items()
        if (rounds := [found for found in document.rounds if found.job_id is not None])
    }
    going_on = [found.job_id for found in newest.values() if found.job_id and not found.ended_at]
    running = services.jobs.running(going_on) if going_on else {}
    return {shard: _sample(run, found, running) for shard, found in newest.items()}


def _sample(run: RunDocument, newest: Round, running: Mapping[str, int]) -> Sample:
    job_id = newest.job_id or ""
    vcpus = next(
        int(epoch.request["resources"]["vcpus"])
        for epoch in run.epochs
        if epoch.epoch == newest.epoch
    )
    return Sample(job_id, vcpus * running.get(job_id, 0), newest.claimed_at, newest.ended_at)


def _all_settled(
    services: Services,
    run: RunDocument,
    documents: Mapping[int, ShardDocument],
    meters: Mapping[int, Meter],
) -> dict[int, Meter]:
    """The meters of those shards that were looked at."""
    shards = sorted(meters.keys() & documents.keys())
    found = each(lambda n: _settled(services, run, documents[n], meters[n]), shards)
    return dict(zip(shards, found, strict=True))


def _settled(services: Services, run: RunDocument, document: ShardDocument, meter: Meter) -> Meter:
    """The meter, held to what AggregateShard found once the shard has ended in this epoch, or is
    frozen since one before it.
    """
    frozen = document.frozen if is_frozen_for(document, run) else None
    has_ended = document.ended is not None and document.ended.epoch == run.epoch
    if not (has_ended or frozen) or not _is_unsettled(meter, run):
        return meter
    key = run_keys(run).shard_accounts(document.shard)
    try:
        found = json.loads(services.store.get(run.output_bucket, key).body)
        accounts, outcome = found["accounts"], str(found["outcome"])
        is_newest = found["epoch"] == run.epoch or (frozen is not None and outcome == frozen.key)
        # A run that had the output prefix before may have left some.
        if not is_newest or not outcome.startswith(ControlKeys(run.run_id).root):
            return meter
        seconds = float(accounts["seconds"]) + float(accounts["effort"]["lost_seconds"] or 0.0)
    except (NotFound, ValueError, TypeError, KeyError):
        return meter
    vcpus = min(int(epoch.request["resources"]["vcpus"]) for epoch in run.epochs)
    return settle(meter, vcpus * seconds, run.epoch)
