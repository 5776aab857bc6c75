"""Executions that start others: what a chain of runs rests on."""

import json

import pytest

from local.specs import StateMachineSpec

GIVEN = {"name": "a-run", "deep": {"list": [1, 2]}}


@pytest.fixture
def machine(aws):
    """Makes a machine of these states, the first of which begins; its ARN."""

    def machine(name, **states):
        definition = {"StartAt": next(iter(states)), "States": states}
        return aws.create_state_machine(StateMachineSpec(name, definition))

    return machine


@pytest.fixture
def end(aws, eventually):
    """Starts an execution and waits for its end; its description."""

    def end(arn, **given):
        states = aws.client("stepfunctions")
        started = states.start_execution(stateMachineArn=arn, input=json.dumps(given))
        return eventually(
            lambda: (
                (d := states.describe_execution(executionArn=started["executionArn"]))["status"]
                != "RUNNING"
                and d
            )
        )

    return end


def nested(inner, condition=".sync:2", **more):
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{condition}",
        "Parameters": {
            "StateMachineArn": inner,
            "Name.$": "States.Format('inner-{}', $$.Execution.Name)",
            "Input.$": "$.request",
        },
    } | ({"End": True} | more)


def test_the_inner_executions_output_is_the_states_result(aws, machine, end):
    echo = machine("echo", Echo={"Type": "Pass", "End": True})
    outer = machine("outer", Start=nested(echo))
    ended = end(outer, request=GIVEN)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    result = json.loads(ended["output"])
    assert result["Output"] == result["Input"] == GIVEN
    name = f"inner-{ended['name']}"
    assert (result["Name"], result["Status"]) == (name, "SUCCEEDED")
    assert result["StateMachineArn"] == echo
    assert result["StopDate"] >= result["StartDate"] > 1_000_000_000_000
    inner = aws.client("stepfunctions").describe_execution(executionArn=result["ExecutionArn"])
    assert json.loads(inner["input"]) == GIVEN


def test_the_output_of_the_older_form_is_text(machine, end):
    echo = machine("echo-text", Echo={"Type": "Pass", "End": True})
    outer = machine("outer-text", Start=nested(echo, ".sync"))
    ended = end(outer, request=GIVEN)
    assert json.loads(json.loads(ended["output"])["Output"]) == GIVEN


def test_an_execution_that_nobody_waits_for_is_started(aws, machine, end, eventually):
    echo = machine("echo-alone", Echo={"Type": "Pass", "End": True})
    outer = machine("outer-alone", Start=nested(echo, ""))
    started = json.loads(end(outer, request=GIVEN)["output"])
    states = aws.client("stepfunctions")
    eventually(
        lambda: (
            states.describe_execution(executionArn=started["ExecutionArn"])["status"] == "SUCCEEDED"
        )
    )


def test_how_the_inner_execution_failed_is_told_as_json(machine, end):
    fail = {"Type": "Fail", "Error": "RunStopped", "Cause": 'user: "enough"'}
    inner = machine("failing", Fail=fail)
    caught = [{"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.ended", "Next": "Read"}]
    read = {
        "Type": "Pass",
        "Parameters": {"run.$": "States.StringToJson($.ended.Cause)"},
        "End": True,
    }
    outer = machine("outer-failing", Start=nested(inner, Catch=caught), Read=read)
    ended = end(outer, request=GIVEN)
    assert ended["status"] == "SUCCEEDED", ended.get("cause")
    run = json.loads(ended["output"])["run"]
    assert (run["Error"], run["Cause"]) == ("RunStopped", 'user: "enough"')
    assert (run["Status"], run["StateMachineArn"]) == ("FAILED", inner)


def test_a_failure_that_nobody_catches_is_the_outer_executions(machine, end):
    inner = machine("failing-too", Fail={"Type": "Fail", "Error": "RunStopped", "Cause": "why"})
    ended = end(machine("outer-failing-too", Start=nested(inner)), request=GIVEN)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(ended["cause"])["Error"] == "RunStopped"
