import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from local.specs import RuleSpec, StateMachineSpec, TargetSpec

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": {"n": 1}, "End": True}}}
WAIT = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 60, "End": True}}}
FAIL = {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "RunStopped", "Cause": "why"}}}


@pytest.fixture
def states(aws):
    return aws.client("stepfunctions")


@pytest.fixture
def machine(aws):
    """Creates a state machine; returns its ARN."""

    def machine(name, definition):
        return aws.create_state_machine(StateMachineSpec(name, definition))

    return machine


@pytest.fixture
def told(aws, queue, eventually):
    """The details of the status change events of an execution, once there are so many."""
    url, arn = queue("statuses")
    pattern = {"source": ["aws.states"], "detail-type": ["Step Functions Execution Status Change"]}
    aws.register_rule(RuleSpec("statuses", (TargetSpec("q", arn),), pattern=pattern))
    events = []

    def told(execution, count):
        def ask():
            answer = aws.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            events.extend(json.loads(message["Body"]) for message in answer.get("Messages", []))
            return len(of(execution)) >= count and of(execution)

        return eventually(ask)

    def of(execution):
        return sorted(
            (each["detail"] for each in events if each["resources"] == [execution]),
            key=lambda detail: detail["status"] != "RUNNING",
        )

    return told


def refused(call, **arguments):
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_a_start_without_a_name_gets_one(states, machine):
    arn = machine("unnamed", PASS)
    one, other = (states.start_execution(stateMachineArn=arn) for _ in range(2))
    assert re.fullmatch(r".*:execution:unnamed:[0-9a-f-]{36}", one["executionArn"])
    assert one["executionArn"] != other["executionArn"]


def test_a_name_is_used_once(states, machine, eventually):
    arn = machine("named", WAIT)
    start = {"stateMachineArn": arn, "name": "run-1"}
    first = states.start_execution(**start, input='{"a": 1}')["executionArn"]
    assert states.start_execution(**start, input='{"a": 1}')["executionArn"] == first
    assert refused(states.start_execution, **start, input="{}") == "ExecutionAlreadyExists"
    states.stop_execution(executionArn=first)
    eventually(lambda: states.describe_execution(executionArn=first)["status"] == "ABORTED")
    again = {**start, "input": '{"a": 1}'}
    assert refused(states.start_execution, **again) == "ExecutionAlreadyExists"


def test_of_many_starts_of_one_name_one_succeeds(states, machine):
    arn = machine("raced", WAIT)

    def start(number):
        try:
            answer = states.start_execution(
                stateMachineArn=arn, name="once", input=json.dumps({"number": number})
            )
        except ClientError as error:
            return error.response["Error"]["Code"]
        states.stop_execution(executionArn=answer["executionArn"])
        return "started"

    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(threads.map(start, range(8)))
    assert outcomes == ["ExecutionAlreadyExists"] * 7 + ["started"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"name": "a b"}, "InvalidName"),
        ({"name": "x" * 81}, "InvalidName"),
        ({"input": json.dumps("x" * 262_144)}, "InvalidExecutionInput"),
        ({"input": "{no json"}, "InvalidExecutionInput"),
    ],
)
def test_a_start_that_aws_refuses_is_refused(states, machine, arguments, code):
    arn = machine("strict", PASS)
    assert refused(states.start_execution, stateMachineArn=arn, **arguments) == code


def test_a_definition_that_aws_refuses_is_refused(states):
    request = {"name": "holes", "roleArn": "arn:aws:iam::123456789012:role/states"}
    hole = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "Nowhere"}}}
    assert (
        refused(states.create_state_machine, definition=json.dumps(hole), **request)
        == "InvalidDefinition"
    )
    assert refused(states.create_state_machine, definition="{", **request) == "InvalidDefinition"


def test_a_success_is_told_with_input_and_output(aws, states, machine, told):
    arn = machine("succeeds", PASS)
    execution = states.start_execution(stateMachineArn=arn, name="s", input='{"in": 1}')
    running, ended = told(execution["executionArn"], 2)
    assert running["status"] == "RUNNING"
    assert (running["stopDate"], running["output"]) == (None, None)
    assert ended["status"] == "SUCCEEDED"
    assert ended["executionArn"] == execution["executionArn"]
    assert (ended["stateMachineArn"], ended["name"]) == (arn, "s")
    assert json.loads(ended["input"]) == {"in": 1}
    assert json.loads(ended["output"]) == {"n": 1}
    assert ended["startDate"] <= ended["stopDate"]
    assert (ended["error"], ended["cause"]) == (None, None)


def test_a_failure_is_told_by_name_and_cause(states, machine, told):
    execution = states.start_execution(stateMachineArn=machine("fails", FAIL))["executionArn"]
    ended = told(execution, 2)[1]
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "RunStopped", "why")
    assert ended["output"] is None


def test_a_timeout_is_told(states, machine, told):
    arn = machine("too-slow", WAIT | {"TimeoutSeconds": 1})
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]
    assert told(execution, 2)[1]["status"] == "TIMED_OUT"


def test_a_stop_is_told_and_keeps_its_error_and_cause(states, machine, told):
    execution = states.start_execution(stateMachineArn=machine("stopped", WAIT))["executionArn"]
    states.stop_execution(executionArn=execution, error="Stopped", cause="by a person")
    ended = told(execution, 2)[1]
    assert (ended["status"], ended["error"], ended["cause"]) == (
        "ABORTED",
        "Stopped",
        "by a person",
    )
    described = states.describe_execution(executionArn=execution)
    assert (described["error"], described["cause"]) == ("Stopped", "by a person")


def test_a_payload_too_large_for_an_event_is_left_out(states, machine, told):
    given = json.dumps({"x": "y" * 200_000})
    echo = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    arn = machine("large", echo)
    execution = states.start_execution(stateMachineArn=arn, input=given)["executionArn"]
    running, ended = told(execution, 2)
    assert running["input"] == given
    assert (ended["input"], ended["inputDetails"]) == (None, {"included": False})
    assert json.loads(ended["output"]) == json.loads(given)


def test_an_execution_that_is_not_there_is_named_so(states):
    arn = "arn:aws:states:us-east-1:123456789012:execution:none:none"
    assert refused(states.describe_execution, executionArn=arn) == "ExecutionDoesNotExist"
    assert refused(states.stop_execution, executionArn=arn) == "ExecutionDoesNotExist"


def test_a_history_can_be_told_from_its_end(states, machine, eventually):
    arn = states.start_execution(stateMachineArn=machine("history", PASS))["executionArn"]
    eventually(lambda: states.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")
    events = states.get_execution_history(executionArn=arn)["events"]
    assert events[-1]["type"] == "ExecutionSucceeded"
    told = states.get_execution_history(executionArn=arn, reverseOrder=True)["events"]
    assert told == events[::-1]
