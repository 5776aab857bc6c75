"""The interpreter of the project's machine, over functions of three lines."""

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from tests.simulation.kernel import Kernel, Quiet
from tests.simulation.states import StepFunctions

READY = {
    "status": "ready",
    "run_id": "r",
    "epoch": 1,
    "image": "worker@sha256:1",
    "bucket": "data",
    "items": {"phase": "shards", "key": "out/manifest/shards.json", "verdict": None},
    "max_concurrency": 1,
    "reconcile_seconds": 100,
    "cursor": None,
    "duplicate_of": None,
    "warnings": [],
}
DONE = {"status": "done", "error": None, "cause": None, "results": "s3://x", "accounting": {}}


class Conflict(Exception):
    pass


class Stack:
    """Functions by name; ``on`` replaces one."""

    def __init__(self):
        self.kernel = Kernel(Quiet())
        self.bus = SimpleNamespace(publish=lambda event: self.events.append(event["detail"]))
        self.events, self.calls = [], []
        self.lambdas = self
        self.s3 = SimpleNamespace(buckets={"data": {}})
        self.shards = 2
        self.on = {
            "EnumerateInputsFunction": lambda p: READY | {"owner": p["execution"]},
            "DetectRestartsFunction": lambda p: dict.fromkeys(
                ("remains", "done", "failed", "skipped"), 1
            ),
            "SubmitShardFunction": lambda p: self.states.client().send_task_success(
                taskToken=p["token"], output=json.dumps({"ended": "complete"})
            ),
            "AggregateShardFunction": lambda p: {"status": "aggregated", "cursor": None},
            "MergeResultsFunction": lambda p: DONE,
        }
        self.states = StepFunctions(self)

    @property
    def shards(self):
        return len(json.loads(self.s3.buckets["data"][READY["items"]["key"]].body))

    @shards.setter
    def shards(self, count):
        items = [{"shard": n, "inputs": 1} for n in range(count)]
        body = json.dumps(items).encode()
        self.s3.buckets["data"][READY["items"]["key"]] = SimpleNamespace(body=body)

    def invoke(self, function, payload):
        if function == "JudgePilotFunction" and function not in self.on:
            return self.kernel.spawn(f"{function}", "lambda", lambda: None)
        self.calls.append((function, payload))
        name = f"{function} {len(self.calls)}"
        return self.kernel.spawn(name, "lambda", lambda: self.on[function](payload))

    def called(self, function):
        return [payload for name, payload in self.calls if name == function]


@pytest.fixture
def stack():
    return Stack()


def fails(times, error, then):
    left = [error] * times

    def function(payload):
        if left:
            raise left.pop()
        return then(payload)

    return function


def test_a_run_goes_through_every_shard_to_its_end(stack):
    execution = stack.states.start({"a": "request"})
    stack.kernel.run()
    assert execution.status == "SUCCEEDED"
    assert execution.output["status"] == "done"
    shards = [each["shard"] for each in stack.called("AggregateShardFunction")]
    assert shards == [0, 1]
    assert {each["owner"] for each in stack.called("SubmitShardFunction")} == {execution.arn}
    machine_events = [e["status"] for e in stack.events if e["executionArn"] == execution.arn]
    assert machine_events == ["RUNNING", "SUCCEEDED"]


def test_a_duplicate_ends_at_once(stack):
    stack.on["EnumerateInputsFunction"] = lambda p: (
        READY
        | {
            "owner": None,
            "status": "duplicate",
            "duplicate_of": "e7",
        }
    )
    execution = stack.states.start({})
    stack.kernel.run()
    assert (execution.status, execution.output) == ("SUCCEEDED", {"duplicate_of": "e7"})


def test_what_a_retry_names_is_tried_again_and_what_it_does_not_name_ends_the_run(stack):
    merge = stack.on["MergeResultsFunction"]
    stack.on["MergeResultsFunction"] = fails(3, Conflict("swapped"), merge)
    execution = stack.states.start({})
    stack.kernel.run()
    assert execution.status == "SUCCEEDED"
    assert len(stack.called("MergeResultsFunction")) == 4
    stack.on["MergeResultsFunction"] = fails(1, KeyError("oh"), merge)
    execution = stack.states.start({})
    stack.kernel.run()
    assert (execution.status, execution.error, execution.cause) == ("FAILED", "KeyError", "'oh'")


def test_a_retry_has_an_end(stack):
    stack.on["MergeResultsFunction"] = fails(99, Conflict("swapped"), None)
    execution = stack.states.start({})
    stack.kernel.run()
    assert (execution.status, execution.error) == ("FAILED", "Conflict")
    assert len(stack.called("MergeResultsFunction")) == 9


def test_a_token_that_nobody_answers_leads_back_to_the_markers(stack):
    answer = stack.on["SubmitShardFunction"]
    stack.shards, unanswered = 1, ["once"]
    stack.on["SubmitShardFunction"] = lambda p: answer(p) if not unanswered else unanswered.clear()
    execution = stack.states.start({})
    stack.kernel.run()
    assert execution.status == "SUCCEEDED"
    first, second = (each["token"] for each in stack.called("SubmitShardFunction"))
    assert first != second
    assert stack.kernel.now - stack.kernel.began > READY["reconcile_seconds"]
    with pytest.raises(ClientError, match="TaskTimedOut"):
        stack.states.client().send_task_success(taskToken=first, output="{}")


def test_a_failed_shard_does_not_end_the_others(stack):
    def detect(payload):
        if payload["shard"] == 0:
            raise KeyError("broken")
        return dict.fromkeys(("remains", "done", "failed", "skipped"), 0)

    stack.on["DetectRestartsFunction"] = detect
    execution = stack.states.start({})
    stack.kernel.run()
    assert execution.status == "SUCCEEDED"
    assert [child.output["status"] for child in execution.children] == ["failed", "aggregated"]


def test_a_stopped_execution_ends_its_children_and_can_go_on(stack):
    stack.shards = 1
    answer = stack.on["SubmitShardFunction"]
    stack.on["SubmitShardFunction"] = lambda p: None
    execution = stack.states.start({})
    stack.kernel.run(until=stack.kernel.now + 10)
    (token,) = (each["token"] for each in stack.called("SubmitShardFunction"))
    stack.states.stop(execution.arn, "Because", "a user said so")
    stack.kernel.run()
    assert (execution.status, execution.error) == ("ABORTED", "Because")
    assert [child.status for child in execution.children] == ["ABORTED"]
    with pytest.raises(ClientError, match="TaskTimedOut"):
        stack.states.client().send_task_success(taskToken=token, output="{}")
    stack.on["SubmitShardFunction"] = answer
    stack.states.redrive(execution.arn)
    stack.kernel.run()
    assert execution.status == "SUCCEEDED"
    assert len(stack.called("EnumerateInputsFunction")) == 1
    assert stack.called("SubmitShardFunction")[-1]["token"] != token
    described = stack.states.client().describe_execution(executionArn=execution.arn)
    assert described["status"] == "SUCCEEDED"


def test_an_execution_can_be_stopped_before_it_began(stack):
    execution = stack.states.start({})
    stack.states.stop(execution.arn)
    stack.kernel.run()
    assert execution.status == "ABORTED"
    assert not stack.calls
