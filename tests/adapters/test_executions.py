"""The door to AWS Step Functions, against moto; answers to tokens by the client's own stubs."""

import json

import pytest
from botocore.stub import Stubber

from drydock.errors import ServiceUnavailable
from drydock.executions import Executions

ROLE = "arn:aws:iam::123456789012:role/machine"
DEFINITION = {"StartAt": "Wait", "States": {"Wait": {"Type": "Pass", "End": True}}}


@pytest.fixture
def execution(aws):
    sfn = aws("stepfunctions")
    machine = sfn.create_state_machine(
        name="drydock", definition=json.dumps(DEFINITION), roleArn=ROLE
    )
    return sfn.start_execution(stateMachineArn=machine["stateMachineArn"], name="one")[
        "executionArn"
    ]


def test_an_execution_runs_until_it_is_stopped(aws, execution):
    executions = Executions(aws("stepfunctions"))
    assert executions.is_running(execution)
    aws("stepfunctions").stop_execution(executionArn=execution)
    assert not executions.is_running(execution)


def test_an_execution_that_nobody_knows_does_not_run(aws, execution):
    executions = Executions(aws("stepfunctions"))
    assert not executions.is_running(execution.replace(":one", ":two"))
    assert not executions.is_running("local")
    assert executions.error(execution.replace(":one", ":two")) == ""
    assert executions.error("local") == ""


def test_a_waiting_task_is_answered(aws):
    with Stubber(aws("stepfunctions")) as stub:
        stub.add_response(
            "send_task_success", {}, {"taskToken": "t", "output": '{"ended": "complete"}'}
        )
        assert Executions(aws("stepfunctions")).answer("t", {"ended": "complete"})


@pytest.mark.parametrize("code", ["TaskDoesNotExist", "TaskTimedOut", "InvalidToken"])
def test_a_token_that_nobody_waits_on_is_no_error(aws, code):
    with Stubber(aws("stepfunctions")) as stub:
        stub.add_client_error("send_task_success", code)
        assert not Executions(aws("stepfunctions")).answer("t", {})


@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_anything_else_is_an_outage_by_name(aws, code):
    with Stubber(aws("stepfunctions")) as stub:
        stub.add_client_error("send_task_success", code)
        stub.add_client_error("describe_execution", code)
        executions = Executions(aws("stepfunctions"))
        with pytest.raises(ServiceUnavailable, match="Step Functions"):
            executions.answer("t", {})
        with pytest.raises(ServiceUnavailable, match="Step Functions"):
            executions.is_running("arn:aws:states:us-east-1:123456789012:execution:drydock:one")


def test_the_executions_of_a_machine_that_go_on_are_found_by_any_of_them(aws):
    client = aws("stepfunctions")
    machines = [
        client.create_state_machine(name=name, definition=json.dumps(DEFINITION), roleArn=ROLE)
        for name in ("lab-run", "other-run")
    ]
    arn = machines[0]["stateMachineArn"]
    started = [
        client.start_execution(stateMachineArn=arn, name=f"e{number}")["executionArn"]
        for number in range(3)
    ]
    client.start_execution(stateMachineArn=machines[1]["stateMachineArn"])
    client.stop_execution(executionArn=started[1])
    assert sorted(Executions(client).active(started[1])) == [started[0], started[2]]
