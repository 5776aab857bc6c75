"""The commands as a person types them: what they print and how they end."""

import json
import os
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber
from click.testing import CliRunner

from cli import stack
from cli.__main__ import main, run
from cli.stack import StackNotFound, embedded_stack, stack_on_aws
from drydock.errors import ServiceUnavailable
from tests.steps.merged import settle
from tests.steps.world import DATA

OUTPUTS = {
    "ControlBucket": "drydock-control",
    "IntakeBucket": "drydock-intake",
    "StateMachineArn": "arn:aws:states:us-east-1:1:stateMachine:drydock-run",
    "StopRunFunction": "drydock-stop",
    "VcpuHourUsd": "0.05",
    "WorkerLogGroup": "/lab/worker",
    "JobDefinitionArn": "arn:aws:batch:us-east-1:1:job-definition/drydock-worker:1",
}


@pytest.fixture
def cloudformation(monkeypatch):
    """CloudFormation with the stacks `lab` and `other`, of which the latter is none of ours."""
    client = boto3.client("cloudformation", region_name="us-east-1")
    with Stubber(client) as stubber:
        monkeypatch.setattr(stack, "_cloudformation", lambda: client)

        def has(name, outputs):
            described = {
                "StackName": name,
                "CreationTime": "2026-11-21T00:00:00Z",
                "StackStatus": "CREATE_COMPLETE",
                "Outputs": [
                    {"OutputKey": key, "OutputValue": value} for key, value in outputs.items()
                ],
            }
            stubber.add_response("describe_stacks", {"Stacks": [described]}, {"StackName": name})

        yield has, stubber


@pytest.fixture(autouse=True)
def _region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def test_a_stack_is_found_by_its_name(cloudformation):
    has, _ = cloudformation
    has("lab", OUTPUTS)
    found = stack_on_aws("lab")
    assert (found.control_bucket, found.vcpu_hour_usd) == ("drydock-control", 0.05)


def test_a_stack_that_is_none_of_ours_is_refused(cloudformation):
    has, _ = cloudformation
    has("other", {"Bucket": "b"})
    with pytest.raises(StackNotFound, match="'other' is none of drydock's"):
        stack_on_aws("other")


def test_what_cloudformation_says_of_no_stack_is_told(cloudformation):
    _, stubber = cloudformation
    message = "Stack with id lab does not exist"
    stubber.add_client_error("describe_stacks", "ValidationError", message)
    with pytest.raises(StackNotFound, match=r"'lab': .*Stack with id lab does not exist"):
        stack_on_aws("lab")


@pytest.mark.parametrize("code", ["AccessDenied", "ExpiredToken", "Throttling"])
def test_a_stack_that_aws_does_not_tell_of_may_be_there(cloudformation, code):
    _, stubber = cloudformation
    stubber.add_client_error("describe_stacks", code, "no")
    with pytest.raises(ServiceUnavailable, match=r"AWS cannot be asked .*'lab'"):
        stack_on_aws("lab")


def test_without_credentials_aws_cannot_be_asked(monkeypatch):
    def no_client():
        raise NoCredentialsError

    monkeypatch.setattr(stack, "_cloudformation", no_client)
    with pytest.raises(ServiceUnavailable, match="Unable to locate credentials"):
        stack_on_aws("lab")


def test_no_embedded_aws_is_said_with_what_starts_one(tmp_path):
    with pytest.raises(StackNotFound, match="make run and make local-aws start one"):
        embedded_stack(tmp_path)


def test_status_of_a_run_whose_execution_is_gone(world, cloudformation):
    has, _ = cloudformation
    has("lab", OUTPUTS)
    world.inputs(3)
    run_id = world.start()
    answer = CliRunner().invoke(main, ["--stack", "lab", "status", run_id, "--json"])
    assert answer.exit_code == 3, answer.output
    data = json.loads(answer.output)
    assert (data["inputs"], data["remaining"], data["status"]) == (3, 3, "UNKNOWN")


@pytest.fixture
def status(world, cloudformation, monkeypatch):
    """``drydock status --watch`` of a run whose execution has the status that is given."""
    has, _ = cloudformation
    has("lab", OUTPUTS)
    monkeypatch.setattr("cli.__main__.Executions", lambda: world.executions)

    def watch(run_id, execution_status):
        monkeypatch.setattr(world.executions, "status", lambda _arn: execution_status)
        return CliRunner().invoke(main, ["--stack", "lab", "status", run_id, "--watch"])

    return watch


@pytest.mark.parametrize("execution_status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_run_whose_manifest_was_never_finished_is_not_done(world, status, execution_status):
    world.inputs(9)
    run_id = world.enumerate(world.request(), remaining_s=lambda: 0.0)["run_id"]
    answer = status(run_id, execution_status)
    assert answer.exit_code == 3, answer.output
    assert "the manifest was never finished" in answer.output


@pytest.mark.parametrize(
    ("execution_status", "code"),
    [("SUCCEEDED", 0), ("FAILED", 3), ("TIMED_OUT", 3), ("ABORTED", 3)],
)
def test_a_run_that_was_settled_is_done_when_its_execution_says_so(
    world, status, execution_status, code
):
    world.inputs(2)
    run_id = world.start()
    settle(world, run_id, 0)
    assert status(run_id, execution_status).exit_code == code


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


def test_what_others_wrote_is_printed_as_text(world, cloudformation, monkeypatch):
    has, _ = cloudformation
    monkeypatch.setattr("cli.__main__.Jobs", lambda: world.batch)
    world.inputs(1)
    run_id = world.start()
    world.submit(run_id)
    world.work(world.batch.live()[0], fail={0: "bad_input"})
    (marker,) = (key for key in world.keys(DATA) if key.endswith(".failed"))
    hostile = b"\\u001b[2Jit cannot\\u0007 be read"
    world.put(DATA, marker, world.get(DATA, marker).replace(b"it cannot be read", hostile))
    has("lab", OUTPUTS)
    answer = CliRunner().invoke(main, ["--stack", "lab", "explain", run_id, "0"])
    assert "failed (bad_input): it cannot\\x07 be read" in answer.output
    assert "see docs/failures.md#bad_input" in answer.output
    assert "\x1b" not in answer.output


@pytest.mark.parametrize("command", ["status", "explain", "logs", "top", "results", "stop"])
def test_each_commands_help_stands_alone(command):
    answer = CliRunner().invoke(main, [command, "--help"])
    assert answer.exit_code == 0
    said = " ".join(answer.output.split())
    for text in ("RUN is a run's id (16 hex digits)", "--stack NAME", "4 there is no such stack"):
        assert text in said


def test_a_folder_of_another_run_is_wrong_usage(world, cloudformation, tmp_path, monkeypatch):
    has, _ = cloudformation
    has("lab", OUTPUTS)
    world.inputs(1)
    run_id = world.start()
    world.put(DATA, "out/results/top.csv", b"rank\n")
    (tmp_path / "run.json").write_text('{"run_id": "0123456789abcdef"}')
    words = ["drydock", "--stack", "lab", "results", run_id, "--to", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        run()
    assert ended.value.code == 2


def test_more_of_the_best_than_the_run_keeps_is_told_apart(world, cloudformation):
    has, _ = cloudformation
    world.inputs(8)
    run_id = world.start(keep_top=3)
    for shard in (0, 1):
        settle(world, run_id, shard)
    has("lab", OUTPUTS)
    answer = CliRunner().invoke(main, ["--stack", "lab", "top", run_id, "--count", "5"])
    assert [line.split()[2] for line in answer.stdout.splitlines()] == ["m7", "m6", "m5"]
    assert answer.stderr == (
        "drydock: only the best 3 are sure: the run keeps so many of a shard (its keep_top)\n"
    )


def test_logs_of_an_input_that_nothing_ran_for_have_their_own_code(world, cloudformation):
    has, _ = cloudformation
    world.inputs(1)
    run_id = world.start()
    has("lab", OUTPUTS)
    answer = CliRunner().invoke(main, ["--stack", "lab", "logs", run_id, "0"])
    assert answer.exit_code == 4
    assert answer.stdout == ""
    assert answer.stderr == "input 0 is in no round yet: no container has worked on it\n"


def test_who_has_read_enough_is_no_error():
    command = f"{sys.executable} -m cli --help | head -1"
    answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert answer.stdout.startswith("Usage: drydock")
    assert answer.stderr == ""


def test_shells_can_complete_it():
    answer = program(_DRYDOCK_COMPLETE="bash_source")
    assert "_drydock_completion" in answer.stdout


def test_a_word_that_was_begun_is_completed():
    answer = program(_DRYDOCK_COMPLETE="bash_complete", COMP_WORDS="drydock st", COMP_CWORD="1")
    assert answer.stdout.split() == ["plain,status", "plain,stop"]
