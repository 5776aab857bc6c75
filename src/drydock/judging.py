"""JudgePilot: from how the pilot's shard ended to a verdict, and a stop where that says so."""

import json
from dataclasses import replace
from typing import Any

from drydock.concurrency import each
from drydock.detection import list_markers, run_keys, shard_inputs
from drydock.documents import Documents
from drydock.errors import NotFound
from drydock.outcome import Settled, collect, parse_outcome
from drydock.pilot import Outcome, PilotVerdict, Prospects, judge
from drydock.run_document import RunDocument, Stop
from drydock.services import Services
from drydock.shard_document import ShardDocument
from drydock.spending import spent_usd
from drydock.stops import put_and_tell

_PILOT = 0


def judge_pilot(services: Services, run_id: str, owner: str) -> dict[str, Any]:
    """Judge the pilot, keep the verdict, stop the run or say what the Map is entered with next.

    The pilot's own job has ended by now: there is none that a stop would have to end.

    Raises:
        RunSuperseded: another execution owns the run now.
    """
    documents = Documents(services.store, services.settings.control_bucket)
    run = documents.owned_run(run_id, owner)
    keys = run_keys(run)
    inputs = shard_inputs(services.store, run, _PILOT)
    document = documents.shard(run, _PILOT, inputs).value
    outcome = _outcome(_settled(services, run, document), document)
    verdict = judge(outcome, _prospects(services, run, outcome))
    if run.active_stop is not None:
        verdict = replace(verdict, stop=run.active_stop.text)
    elif verdict.stop is not None:
        run = put_and_tell(services, run_id, Stop(run.epoch, "pilot", verdict.stop))
    _write(services, run, verdict)
    phase = "shards" if run.active_stop is None else "stopped"
    return {"phase": phase, "key": keys.shards(), "verdict": verdict.as_json()}


def _settled(services: Services, run: RunDocument, document: ShardDocument) -> list[Settled]:
    """What the frozen outcome says; of a shard that is not whole what its markers say."""
    if document.frozen is not None and document.frozen.reopened == run.reopened:
        bucket = services.settings.control_bucket
        try:
            return parse_outcome(services.store.get(bucket, document.frozen.key).body)
        except NotFound:
            pass
    return collect(services.store, run, _PILOT, document.inputs).settled


def _outcome(settled: list[Settled], document: ShardDocument) -> Outcome:
    seconds = [found.summary.seconds for found in settled if found.summary is not None]
    jobs = sum(found.jobs for found in document.rounds)
    on_demand = sum(found.jobs for found in document.rounds if found.queue == "on-demand")
    return Outcome(
        seconds=seconds,
        failed=sum(1 for found in settled if found.failure is not None),
        remaining=document.inputs - len(settled),
        on_demand_share=round(on_demand / jobs, 4) if jobs else 0.0,
    )


def _prospects(services: Services, run: RunDocument, outcome: Outcome) -> Prospects:
    """What an earlier epoch has settled of the other shards is not to be paid again."""
    store, settings = services.store, services.settings
    items = json.loads(store.get(run.output_bucket, run_keys(run).shards()).body)

    def remains(item: dict[str, int]) -> int:
        return len(list_markers(store, run, item["shard"], item["inputs"]).remaining())

    request = run.current.request
    vcpus = int(request["resources"]["vcpus"])
    return Prospects(
        inputs=sum(each(remains, items[1:])),
        vcpus=vcpus,
        max_vcpus=settings.max_vcpus,
        vcpu_hour_usd=settings.vcpu_hour_usd,
        spent_usd=spent_usd(services, run.run_id, at_least_s=vcpus * sum(outcome.seconds)),
        stop_after_usd=request["stop_after_usd"],
    )


def _write(services: Services, run: RunDocument, verdict: PilotVerdict) -> None:
    key = run_keys(run).result("pilot.json")
    told = {"run_id": run.run_id, "epoch": run.epoch, **verdict.as_json()}
    services.store.put(
        run.output_bucket, key, json.dumps(told, indent=2).encode(), content_type="application/json"
    )
