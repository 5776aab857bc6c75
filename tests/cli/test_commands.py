"""The commands as a person types them: what they print and how they end."""

import json
import os
import subprocess
import sys

import boto3
import pytest
from click.testing import CliRunner

from cli.__main__ import main
from cli.stack import StackNotFound, embedded_stack, stack_on_aws

TEMPLATE = {
    "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
    "Outputs": {
        name: {"Value": value}
        for name, value in {
            "ControlBucket": "drydock-control",
            "StateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:drydock-run",
            "StopRunFunction": "drydock-stop",
            "VcpuHourUsd": "0.05",
        }.items()
    },
}


@pytest.fixture(autouse=True)
def _region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_a_stack_is_found_by_its_name(world):
    client = boto3.client("cloudformation")
    client.create_stack(StackName="lab", TemplateBody=json.dumps(TEMPLATE))
    found = stack_on_aws("lab")
    assert (found.control_bucket, found.vcpu_hour_usd) == ("drydock-control", 0.05)


def test_a_stack_that_is_none_of_ours_is_refused(world):
    client = boto3.client("cloudformation")
    bare = {"Resources": TEMPLATE["Resources"]}
    client.create_stack(StackName="other", TemplateBody=json.dumps(bare))
    with pytest.raises(StackNotFound, match="'other' is none of drydock's"):
        stack_on_aws("other")


def test_no_embedded_aws_is_said_with_what_starts_one(tmp_path):
    with pytest.raises(StackNotFound, match="make run and make local-aws start one"):
        embedded_stack(tmp_path)


def test_status_on_aws_of_a_run_whose_execution_is_gone(world):
    client = boto3.client("cloudformation")
    client.create_stack(StackName="lab", TemplateBody=json.dumps(TEMPLATE))
    world.inputs(3)
    run_id = world.start()
    answer = CliRunner().invoke(main, ["--stack", "lab", "status", run_id, "--json"])
    assert answer.exit_code == 3, answer.output
    data = json.loads(answer.output)
    assert (data["inputs"], data["remaining"], data["status"]) == (3, 3, "UNKNOWN")


def program(*words, **environment):
    """A command in a process of its own, as a shell runs it."""
    return subprocess.run(
        [sys.executable, "-m", "cli", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )


def test_an_unknown_stack_is_one_sentence_and_a_code(tmp_path):
    answer = program("--embedded", str(tmp_path), "status", "0123456789abcdef")
    assert answer.returncode == 4
    assert answer.stdout == ""
    assert answer.stderr.startswith("drydock: no embedded AWS runs in ")


def test_wrong_usage_has_its_own_code():
    answer = program("status")
    assert answer.returncode == 2
    assert "Missing argument 'RUN'" in answer.stderr


def test_shells_can_complete_it():
    answer = program(_DRYDOCK_COMPLETE="bash_source")
    assert "_drydock_completion" in answer.stdout
