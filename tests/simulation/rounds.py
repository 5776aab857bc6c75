"""A round by itself: its documents and its job, as the core would write and submit them."""

from __future__ import annotations

from typing import Any

from drydock.jobs import JobRequest
from drydock.keys import RunKeys
from drydock.markers import Failure, InputSummary, parse_done, parse_failed, parse_marker_name
from drydock.task_document import TaskDocument
from drydock.tasks import Record, encode_tasks
from tests.simulation.account import CONTROL, DATA, DEFINITION, SPOT
from tests.simulation.kernel import Kernel, Quiet
from tests.simulation.stack import Stack
from tests.simulation.toy import Planted

RUN_ID = "0123456789abcdef"
KEYS = RunKeys(RUN_ID, "out/")


class Scripted(Quiet):
    """Chooses that what is named goes wrong, each as often as it says."""

    def __init__(self, **chances: int) -> None:
        self.left = {name.replace("_", " "): times for name, times in chances.items()}

    def happens(self, what: str, chance: str) -> bool:
        left = self.left.get(chance, 0)
        self.left[chance] = left - 1
        return left > 0


def stack_with(*inputs: Planted, chooser: Any = None, **round_values: Any) -> Stack:
    """A stack in which a round over these inputs is written."""
    stack = Stack(Kernel(chooser or Quiet()))
    store = stack.services().store
    records = []
    for number, planted in enumerate(inputs):
        key, body = f"in/{number}.toy", planted.to_json()
        etag = store.put(DATA, key, body)
        records.append(Record(number, number, f"s3://{DATA}/{key}", etag, len(body)))
    store.put(CONTROL, "round.tasks", encode_tasks(records))
    values = {
        "run_id": RUN_ID,
        "shard": 0,
        "epoch": 1,
        "owner": "owner",
        "round": 0,
        "tool": "toy",
        "options": {},
        "assets": {},
        "dockfiles": None,
        "output_bucket": DATA,
        "output_prefix": "out/",
        "tasks_bucket": CONTROL,
        "tasks_key": "round.tasks",
        "run_document_key": f"runs/{RUN_ID}/run.json",
        "inputs_per_job": 1,
        "size": len(records),
        "vcpus": 1,
        "gpus": 0,
        "attempt_seconds": 3600,
        "checkpoint_seconds": 0,
        "kms_key_id": None,
    }
    store.put(CONTROL, "round.json", TaskDocument(**{**values, **round_values}).to_json())
    return stack


def submit(stack: Stack, jobs: int, **values: Any) -> str:
    """Submit it; returns the job's id."""
    request = {
        "name": "drydock-0123456789abcdef-000000-0",
        "queue_arn": SPOT,
        "definition_arn": DEFINITION,
        "jobs": jobs,
        "environment": {"S3_TASK_LOCATION": f"s3://{CONTROL}/round.json"},
        "vcpus": 1,
        "memory_mib": 2000,
        "gpus": 0,
        "timeout_s": 3720,
        "tags": {},
    }
    return stack.services().jobs.submit(JobRequest(**{**request, **values}))


def settled(stack: Stack) -> list[InputSummary | Failure]:
    """What the markers say, in the order of their names."""
    store, found = stack.services().store, []
    for listed in store.list(DATA, KEYS.markers_folder(0)):
        name = parse_marker_name(listed.key.rpartition("/")[2])
        body = store.get(DATA, listed.key).body
        found += parse_done(body, name) if name.kind == "done" else [parse_failed(body, name)]
    return found


def statuses(stack: Stack, job_id: str) -> list[str]:
    """The states of a plain job, or of an array's children."""
    job = stack.batch.jobs[job_id]
    return [each.status for each in job.children or [job]]


def events(stack: Stack) -> list[dict[str, Any]]:
    """A list that takes all events from now on, before the bus does."""
    told: list[dict[str, Any]] = []
    publish = stack.bus.publish

    def tell(event: dict[str, Any]) -> None:
        told.append(event)
        publish(event)

    stack.bus.publish = tell
    return told
