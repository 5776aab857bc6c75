"""What others do with many inputs, in a few lines each, so that it can be counted beside ours.

A job an input: either an item of a Distributed Map that waits for it (``batch:submitJob.sync``),
or submitted by a client that asks for each job once a minute until it has ended. To their favour
nothing is interrupted, every job has a machine at once, and Batch takes any number of calls.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
from moto import mock_aws

from local.batch.model import ENDED
from tests.simulation.account import CONTROL, DEFINITION, SPOT
from tests.simulation.cheap import Stand
from tests.simulation.crowd import VCPUS, Dice, Parallel
from tests.simulation.executions import Execution
from tests.simulation.kernel import Event
from tests.simulation.stack import Stack
from tests.simulation.states import EXECUTION_ARN

if TYPE_CHECKING:
    from tests.simulation.attempts import Attempt

CHILD_S = 600.0
POLL_S = 60.0
# As many jobs as Batch takes from an account are submitted.
A_SECOND = 50
_ITEMS = "items.json"
# The simulated Step Functions know one kind of task: here it stands for batch:submitJob.sync.
_JOB = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "batch:submitJob.sync", "Payload": {"item.$": "$"}},
    "End": True,
}
_MAP = {
    "Type": "Map",
    "ItemReader": {"Parameters": {"Bucket": CONTROL, "Key": _ITEMS}},
    "ItemProcessor": {"StartAt": "RunJob", "States": {"RunJob": _JOB}},
    "ResultWriter": {},
    "End": True,
}
_MACHINE = {"StartAt": "RunJobs", "States": {"RunJobs": _MAP}}


class Timed:
    """A container that ends well after its time."""

    def __init__(self, attempt: Attempt) -> None:
        kernel = attempt._kernel
        self.process: Any = Stand(Event(kernel))
        kernel.after(kernel.chooser.between("pace", 0.8, 1.2) * CHILD_S, self._end)

    def _end(self) -> None:
        self.process.result = 0
        self.process.ended.set()


class Peer:
    """An account in which a job an input is submitted. ``calls`` are those of Batch."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.kernel = Parallel(Dice(1, {}))
        self.stack = Stack(self.kernel, machines=math.ceil(inputs / VCPUS))
        for fleet in self.stack.batch.fleets.values():
            fleet.slots = VCPUS
        self.stack.batch.make_container = lambda stack, attempt: Timed(attempt)
        # Nothing of ours listens here.
        self.stack.bus.publish = lambda *_: None
        self.client = self.stack.batch.client()

    @property
    def calls(self) -> Counter[str]:
        return self.stack.batch.calls

    def submit(self, number: int) -> str:
        """One job."""
        answer = self.client.submit_job(
            jobName=f"input-{number}", jobQueue=SPOT, jobDefinition=DEFINITION
        )
        return str(answer["jobId"])

    def finish(self) -> None:
        """Let time pass until every job has ended well."""
        self.kernel.run()
        statuses = Counter(job.status for job in self.stack.batch.parents.values())
        assert statuses == {"SUCCEEDED": self.inputs}, statuses


def of_map(inputs: int) -> dict[str, int]:
    """An item of a Distributed Map for each job: transitions as they are charged, calls."""
    peer = Peer(inputs)
    states = peer.stack.states

    def run_job(function: str, payload: Any) -> Any:
        job_id = peer.submit(payload["item"])
        # Step Functions is told by Batch when it ends, which nobody is charged for.
        job = peer.stack.batch.jobs[job_id]
        peer.kernel.sleep(1.3 * CHILD_S)
        while job.status not in ENDED:
            peer.kernel.sleep(POLL_S)
        return {}

    states.invoke = run_job
    states.announce = lambda execution: None
    peer.stack.s3.buckets[CONTROL][_ITEMS] = _Items(inputs)
    execution = Execution(states, f"{EXECUTION_ARN}peer", _MACHINE, {})
    execution.begin()
    peer.finish()
    assert execution.status == "SUCCEEDED", execution.cause
    transitions = states.transitions + len(execution.children)
    return {"transitions": transitions, "batch_calls": sum(peer.calls.values())}


class _Items:
    """The object that the Map reads."""

    def __init__(self, inputs: int) -> None:
        self.body = json.dumps(list(range(inputs))).encode()


def of_polling(inputs: int) -> dict[str, int]:
    """A client that submits each job and asks for it until it has ended: calls of Batch."""
    peer = Peer(inputs)

    def follow(number: int) -> None:
        peer.kernel.sleep(number / A_SECOND)
        job_id = peer.submit(number)
        while True:
            peer.kernel.sleep(POLL_S)
            found = peer.client.describe_jobs(jobs=[job_id])["jobs"]
            if found and found[0]["status"] in ENDED:
                return

    for number in range(inputs):
        peer.kernel.spawn(f"client {number}", "user", lambda number=number: follow(number))
    peer.finish()
    return {"transitions": 0, "batch_calls": sum(peer.calls.values())}


def of_container(listed: int) -> dict[str, int]:
    """A container that reads the whole list, its input and the receptor, and puts two outputs;
    then somebody asks whether the output is there. The fewest requests that do it.
    """
    asked: Counter[str] = Counter()
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="peer")
        lines = [f"s3://peer/inputs/{number:09d}.pdbqt" for number in range(listed)]
        for key, body in (("list", "\n".join(lines)), ("receptor", "ATOM"), ("input", "ATOM")):
            s3.put_object(Bucket="peer", Key=key, Body=body.encode())
        s3.meta.events.register("before-call.s3", lambda model, **_: asked.update([model.name]))
        body = s3.get_object(Bucket="peer", Key="list")["Body"].read()
        assert body.decode().split("\n")[listed // 2] == lines[listed // 2]
        for key in ("receptor", "input"):
            s3.get_object(Bucket="peer", Key=key)["Body"].read()
        for key in ("poses", "scores"):
            s3.put_object(Bucket="peer", Key=key, Body=b"x")
        s3.head_object(Bucket="peer", Key="scores")
    gets = asked["GetObject"] + asked["HeadObject"]
    return {"s3_put": asked["PutObject"], "s3_get": gets, "list_bytes": len(body)}


if __name__ == "__main__":
    many = int(sys.argv[1])
    sys.stdout.write(f"{of_map(many)} {of_polling(many)} {of_container(many)}\n")
