"""Jobs by hand, from what `make jobdef` prints, and buckets that take encrypted objects alone."""

import json
import os
import subprocess
import sys

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner

from cli.__main__ import main as cli
from cli.jobdef import derived, job_definition
from cli.stack import embedded_stack
from cli.stop import stop_run
from local.principals import credentials
from tests.embedded.run_support import ROOT, until, world
from tests.least_privilege.asked import questions
from tests.least_privilege.evaluate import is_allowed
from tests.least_privilege.recording import Recording
from tests.least_privilege.roles import resolved
from worker.agent import main

SCRIPT = """#!/bin/sh
echo "$GREETING" > "$OUTPUT_DIR/greeting"
"""
ENDED = ("SUCCEEDED", "FAILED")


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with world(tmp_path_factory.mktemp("by-hand")) as made:
        made.script = made.put("jobs/greet.sh", SCRIPT.encode())
        yield made


def make_jobdef(stack, *words):
    """`make --silent jobdef` as it is typed, without the environment's installation."""
    silent = ["make", "--silent", "--old-file", "environment"]
    return subprocess.run(
        [*silent, f"python={sys.executable}", "jobdef", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "DRYDOCK_EMBEDDED": str(stack.aws.directory)},
    )


@pytest.fixture(scope="module")
def definition(stack):
    answer = make_jobdef(stack, "GROUP=doe-j")
    assert answer.returncode == 0, answer.stderr
    assert "aws batch register-job-definition" in answer.stderr
    return json.loads(answer.stdout)


def environment(stack, folder):
    """What a script that is fetched and run is told, with its results kept below a folder."""
    return {
        "BATCH_FILE_TYPE": "script",
        "BATCH_FILE_S3_URL": stack.script,
        "S3_OUTPUT_LOCATION": f"s3://{stack.data}/{folder}",
        "GREETING": "hello",
    }


def run_job(stack, definition, variables):
    """Register what was edited, submit a job of it by hand, and wait for its end."""
    container = definition["containerProperties"]
    container["environment"] += [{"name": k, "value": v} for k, v in variables.items()]
    registered = stack.batch.register_job_definition(**definition)
    job = stack.batch.submit_job(
        jobName="by-hand",
        jobQueue=stack.stack.outputs["SpotQueueArn"],
        jobDefinition=registered["jobDefinitionArn"],
    )["jobId"]

    def ended():
        (found,) = stack.batch.describe_jobs(jobs=[job])["jobs"]
        return found if found["status"] in ENDED else None

    return until(ended, "the job's end")


def test_a_job_of_the_definition_runs(stack, definition):
    job = run_job(stack, definition, environment(stack, "by-hand"))
    assert job["status"] == "SUCCEEDED", job
    found = [each.key for each in stack.store.list(stack.data, "by-hand/")]
    (greeting,) = [key for key in found if key.endswith("/greeting")]
    assert stack.get(greeting) == b"hello\n"


def test_the_definition_has_what_is_the_stacks_and_what_is_to_edit(stack, definition):
    (own,) = stack.batch.describe_job_definitions(
        jobDefinitions=[stack.stack.outputs["JobDefinitionArn"]]
    )["jobDefinitions"]
    assert definition["jobDefinitionName"] == "drydock_job"
    fresh, worker = derived(own)["containerProperties"], own["containerProperties"]
    for name in ("jobRoleArn", "executionRoleArn", "volumes", "mountPoints", "logConfiguration"):
        assert fresh[name] == worker[name] != [], name
    assert fresh["mountPoints"][0]["containerPath"] == "/scratch"
    assert fresh["resourceRequirements"] == [
        {"type": "VCPU", "value": "1"},
        {"type": "MEMORY", "value": "2000"},
    ]
    assert {"command", "environment", "image"} <= fresh.keys()
    assert definition["retryStrategy"]["evaluateOnExit"][-1] == {"onReason": "*", "action": "EXIT"}
    assert definition["timeout"]["attemptDurationSeconds"] >= 60


def test_a_group_that_is_none_is_refused_and_prints_nothing(stack):
    answer = make_jobdef(stack, "GROUP=doe")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "NAME: 'doe' was given; allowed are two words" in answer.stderr


# ---- What members ask AWS for ----


def member_does(stack, monkeypatch, tmp_path):
    """A member's first run, looked at and stopped by all commands, and a job by hand."""
    s3, batch, states, logs = (
        stack.aws.client(name, "somebody") for name in ("s3", "batch", "stepfunctions", "logs")
    )
    for key, value in credentials("somebody").items():
        monkeypatch.setenv(key, value)
    # It keeps the keys that it found first, those of another test maybe.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    s3.put_object(Bucket=stack.data, Key="first/in/a.txt", Body=b"a", ServerSideEncryption="AES256")
    s3.list_objects_v2(Bucket=stack.data, Prefix="first/")
    machine = stack.stack.state_machine_arn
    body = json.dumps(request(stack, "first"))
    arn = states.start_execution(stateMachineArn=machine, input=body)["executionArn"]
    s3.put_object(Bucket=stack.stack.intake_bucket, Key="bad.json", Body=b"{}")
    (execution,) = [each for each in stack.executions() if each.arn == arn]
    run = stack.finish(execution).execution.run()
    states.list_executions(stateMachineArn=machine)
    states.describe_execution(executionArn=arn)
    until(lambda: kept(stack, "bad.json.rejected.json"), "the refusal")
    s3.get_object(Bucket=stack.stack.intake_bucket, Key="bad.json.rejected.json")
    for words in (
        *(["status", run.run_id], ["status", f"s3://{stack.data}/first/out"]),
        *(["explain", run.run_id, "0"], ["logs", run.run_id, "0"], ["top", run.run_id]),
        *(["results", run.run_id, "--to", str(tmp_path)], ["stop", run.run_id], ["jobdef"]),
    ):
        answer = CliRunner().invoke(cli, ["--embedded", str(stack.aws.directory), *words])
        assert answer.exit_code in (0, 3), (words, answer.output, answer.exception)
    stop_run(embedded_stack(stack.aws.directory), run.run_id, now=False)
    definition = job_definition(embedded_stack(stack.aws.directory))
    registered = batch.register_job_definition(**definition)["jobDefinitionArn"]
    queue = stack.stack.outputs["SpotQueueArn"]
    batch.submit_job(jobName="mine", jobQueue=queue, jobDefinition=registered)
    batch.list_jobs(jobQueue=queue)
    batch.describe_job_queues(jobQueues=[queue])
    logs.filter_log_events(logGroupName=stack.stack.outputs["WorkerLogGroup"])
    batch.deregister_job_definition(jobDefinition=registered)


def kept(stack, key):
    """Whether the intake bucket has a key."""
    return list(stack.store.list(stack.stack.intake_bucket, key))


def test_the_members_policy_allows_every_request_of_a_first_run(stack, monkeypatch, tmp_path):
    recording = Recording("a member")
    recording.begin(stack.aws.gateway)
    member_does(stack, monkeypatch, tmp_path)
    found = resolved(stack.stack, stack.parameters, stack.aws.region)
    policy = found.of("AWS::IAM::ManagedPolicy")["SubmitterPolicy"]["PolicyDocument"]
    key = credentials("somebody")["AWS_ACCESS_KEY_ID"]
    asked = {
        question
        for each in recording.seen
        if each.access_key == key
        for question in questions(each, stack.aws.region)
    }
    refused = [
        (each.action, each.resource)
        for each in asked
        if not is_allowed({"member": policy}, each.action, each.resource, dict(each.context))
    ]
    assert refused == []
    assert len({each.action for each in asked}) > 15


# ---- Buckets that take encrypted objects alone ----


def deny(resource, operator, value):
    """A statement as such buckets have them."""
    return {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": resource,
        "Condition": {operator: {"s3:x-amz-server-side-encryption": value}},
    }


@pytest.fixture
def demands(stack):
    """Puts a policy on the data bucket for the time of a test."""
    s3 = stack.aws.client("s3")

    def demand(encryption):
        everything = f"arn:aws:s3:::{stack.data}/*"
        statements = [
            deny(everything, "StringNotEquals", encryption),
            deny(everything, "Null", "true"),
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        s3.put_bucket_policy(Bucket=stack.data, Policy=policy)
        return s3

    yield demand
    s3.delete_bucket_policy(Bucket=stack.data)


def request(stack, name):
    stack.store.put(stack.data, f"{name}/in/a.txt", b"a")
    return stack.request(name, tool="script", assets={"script": stack.script}) | {"options": {}}


def test_a_bucket_that_demands_encryption_takes_all_that_a_run_writes(stack, demands):
    s3 = demands("AES256")
    body = request(stack, "encrypted")
    with pytest.raises(ClientError, match="explicit deny in a resource-based policy"):
        s3.put_object(Bucket=stack.data, Key="plain", Body=b"")
    s3.put_object(Bucket=stack.data, Key="coded", Body=b"", ServerSideEncryption="AES256")
    outcome = stack.finish(stack.upload("encrypted.json", body))
    assert outcome.status == "SUCCEEDED", outcome.described
    assert outcome.counts() == (1, 0, 0, 0)


def test_a_bucket_that_demands_another_encryption_is_said_beside_the_request(stack, demands):
    body = request(stack, "refused")
    demands("aws:kms")
    outcome = stack.finish(stack.upload("refused.json", body))
    assert (outcome.status, outcome.described["error"]) == ("FAILED", "RequestRejected")
    (problem,) = stack.rejection("refused.json")
    where = f"s3://{stack.data}/refused/out/run.json"
    assert problem.startswith(f"output: 's3://{stack.data}/refused/out' was given: S3 refused")
    assert f"to write {where}, which was sent with the encryption AES256" in problem
    assert "The bucket's own policy denies it: if it demands aws:kms, set" in problem
    assert "KmsKeyId" in problem


def test_the_worker_by_hand_says_it_too(stack, demands, tmp_path, capfd):
    demands("aws:kms")
    told = {"SHRTCACHE": str(tmp_path), "NO_ACCESS_KEY": "T", "AWS_EC2_METADATA_DISABLED": "true"}
    code = main({**environment(stack, "refused-by-hand"), **told}, stack.store)
    assert code == 78
    said = capfd.readouterr().err
    assert f"S3 refused to write s3://{stack.data}/refused-by-hand/" in said
    assert "The bucket's own policy denies it" in said
