"""examples/dock_then_md beside the stack: what it may do, and that no end of a run is lost."""

import json

import yaml

from drydock.request import parse_request
from local.definition_check import check_definition
from local.template import Resolver, read_template
from tests.architecture.imports import ROOT

EXAMPLE = ROOT / "examples" / "dock_then_md"
MACHINE = "arn:aws:states:us-west-2:123456789012:stateMachine:lab-run"
DEFINITION = yaml.safe_load((EXAMPLE / "chain.asl.yaml").read_text().replace("${", "$ {"))
TASKS = {name: state for name, state in DEFINITION["States"].items() if state["Type"] == "Task"}


def resolved():
    """The template's resources as CloudFormation would make them."""
    document = read_template(EXAMPLE / "template.yaml")
    pseudo = {
        "AWS::AccountId": "123456789012",
        "AWS::Partition": "aws",
        "AWS::Region": "us-west-2",
        "AWS::StackName": "chain",
        "AWS::URLSuffix": "amazonaws.com",
    }
    resolver = Resolver(document, {"DrydockStateMachineArn": MACHINE}, pseudo)
    return {
        each["Type"]: resolver.resolve(each["Properties"])
        for name, each in document["Resources"].items()
        if each["Type"] == "AWS::IAM::Role"
    } | {"Resources": [each["Type"] for each in document["Resources"].values()]}


def test_the_role_may_start_and_follow_the_chains_own_runs_and_nothing_else():
    made = resolved()
    assert sorted(made["Resources"]) == ["AWS::IAM::Role", "AWS::StepFunctions::StateMachine"]
    role = made["AWS::IAM::Role"]
    assert not role.get("ManagedPolicyArns")
    (policy,) = role["Policies"]
    allowed = {
        action: statement["Resource"]
        for statement in policy["PolicyDocument"]["Statement"]
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    runs = "arn:aws:states:us-west-2:123456789012:execution:lab-run:chain-*"
    rule = (
        "arn:aws:events:us-west-2:123456789012:rule/"
        "StepFunctionsGetEventsForStepFunctionsExecutionRule"
    )
    assert allowed == {
        "states:StartExecution": MACHINE,
        "states:DescribeExecution": runs,
        "states:StopExecution": runs,
        "events:PutTargets": rule,
        "events:PutRule": rule,
        "events:DescribeRule": rule,
    }


def test_every_run_has_a_name_that_the_role_is_for_and_its_failure_is_caught():
    assert check_definition(DEFINITION) == []
    assert list(TASKS) == ["Dock", "Prepare", "Simulate"]
    for name, task in TASKS.items():
        assert task["Resource"] == "arn:aws:states:::states:startExecution.sync:2"
        named = f"States.Format('chain-{{}}-{name.lower()}', $$.Execution.Name)"
        assert task["Parameters"]["Name.$"] == named
        assert task["Parameters"]["Input.$"] == f"$.{name.lower()}"
        (caught,) = task["Catch"]
        assert (caught["ErrorEquals"], caught["Next"]) == (["States.ALL"], "IsItTheRunsOwnEnd")


def test_each_request_takes_what_the_one_before_it_leaves():
    requests = json.loads((EXAMPLE / "chain.json").read_bytes())
    dock, prepare, simulate = (parse_request(requests[name.lower()]) for name in TASKS)
    results = f"{dock.output}results/"
    assert prepare.input == f"{results}top_inputs.txt"
    assert prepare.assets["top"] == f"{results}top.csv"
    assert prepare.assets["poses"] == f"{results}poses.pdbqt.gz"
    assert prepare.options.command[-1] == simulate.input
    places = [dock.output, prepare.output, simulate.output, simulate.input]
    assert not [(a, b) for a in places for b in places if a != b and a.startswith(b)]
