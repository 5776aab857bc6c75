"""What a run's containers are, from the request to Batch: image, secrets, shared memory, GPUs."""

import hashlib
import json
import shutil
import sys

import pytest

from local.deploy import STACK_IMAGE
from local.embedded import EmbeddedAws
from local.images import digest_of, push
from tests.embedded.run_support import World

ECR = STACK_IMAGE.partition("/")[0]
VALUE, FIELD, CODE = "hunter2-of-the-lab", "hunter2-in-a-field", "hunter2-as-a-parameter"
# Tells that it was given the secrets, and not which they are.
PROGRAM = """
import hashlib, os, pathlib
names = ("LICENSE", "FIELD", "CODE")
digests = [hashlib.sha256(os.environ[name].encode()).hexdigest() for name in names]
pathlib.Path(os.environ["OUTPUT_DIR"], "digests").write_text(" ".join(digests))
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    directory = tmp_path_factory.mktemp("containers")
    with EmbeddedAws(directory, machines=2, vcpus=1, stack_image=STACK_IMAGE) as aws:
        manager = aws.client("secretsmanager")
        fields = json.dumps({"key": FIELD, "other": "x"})
        arns = [
            manager.create_secret(Name="lab/license", SecretString=VALUE)["ARN"],
            manager.create_secret(Name="lab/fields", SecretString=fields)["ARN"],
            f"arn:aws:ssm:{aws.region}:{aws.account}:parameter/lab/code",
        ]
        aws.client("ssm").put_parameter(Name="/lab/code", Value=CODE, Type="SecureString")
        made = World(
            aws,
            AllowedImages=f"{ECR}/lab/",
            SecretArns=",".join(arns),
            GpuMaxVcpus="4",
        )
        made.arns = arns
        yield made
    shutil.rmtree(directory, ignore_errors=True)


def request(stack, name, **fields):
    """A run of one small program."""
    stack.put(f"{name}/in/a.txt", b"x")
    options = {"command": [sys.executable, "-c", PROGRAM]}
    return stack.request(name) | {"tool": "command", "options": options, "assets": {}} | fields


def secrets(stack):
    license_, fields, code = stack.arns
    return {"LICENSE": license_, "FIELD": f"{fields}:key::", "CODE": code}


def everything(stack):
    """All that the embedded AWS has on disk: buckets and logs."""
    files = (path for path in stack.aws.directory.rglob("*") if path.is_file())
    return b"".join(path.read_bytes() for path in files)


def hashed(value):
    return hashlib.sha256(value.encode()).hexdigest()


def job_of(stack, outcome):
    (child,) = outcome.children
    return stack.batch.describe_jobs(jobs=[child.job_id])["jobs"][0]


def test_what_runs_is_what_the_tag_named_with_the_secrets_that_were_asked_for(stack):
    push(stack.aws.client("ecr"), f"{ECR}/lab/worker:2", STACK_IMAGE)
    asked = request(
        stack,
        "whole",
        image=f"{ECR}/lab/worker:2",
        secrets=secrets(stack),
        resources={"shm_mib": 128},
    )
    outcome = stack.finish(stack.upload("whole.json", asked))
    assert outcome.status == "SUCCEEDED", outcome.described
    image = f"{ECR}/lab/worker@{digest_of(STACK_IMAGE)}"
    assert json.loads(outcome.described["output"])["image"] == image
    provenance = json.loads(stack.get("whole/out/results/run.json"))
    (epoch,) = provenance["epochs"]
    assert (epoch["image"], epoch["request"]["image"]) == (image, f"{ECR}/lab/worker:2")
    job = job_of(stack, outcome)
    assert job["jobDefinition"] == epoch["job_definition_arn"]
    container = job["container"]
    assert (container["image"], container["readonlyRootFilesystem"]) == (image, True)
    assert container["linuxParameters"]["sharedMemorySize"] == 128
    given = {secret["name"]: secret["valueFrom"] for secret in container["secrets"]}
    assert given == secrets(stack)


def test_a_definition_of_a_past_month_goes_when_a_new_one_comes(stack):
    def arns(status):
        found = stack.batch.describe_job_definitions(status=status)["jobDefinitions"]
        return {each["jobDefinitionArn"] for each in found}

    (own,) = (arn for arn in arns("ACTIVE") if arn.endswith("/drydock-worker:1"))
    described = stack.batch.describe_job_definitions(jobDefinitions=[own])["jobDefinitions"][0]
    past = stack.batch.register_job_definition(
        jobDefinitionName="drydock-worker-00001-0123456789abcdef",
        type="container",
        containerProperties=described["containerProperties"],
    )["jobDefinitionArn"]
    before = arns("ACTIVE")
    asked = request(stack, "month", resources={"shm_mib": 70}, options={"command": ["true"]})
    stack.finish(stack.upload("month.json", asked))
    assert past in arns("INACTIVE")
    (made,) = arns("ACTIVE") - before
    assert arns("ACTIVE") == before - {past} | {made}


def test_the_tool_alone_sees_its_secrets(stack):
    asked = request(stack, "seen", secrets=secrets(stack))
    outcome = stack.finish(stack.upload("seen.json", asked))
    assert outcome.status == "SUCCEEDED", outcome.described
    (summaries,) = stack.summaries(outcome.execution).values()
    outputs = {each.name: each.key for part in summaries[0].chain for each in part.outputs}
    found = stack.get(outputs["output/digests"]).decode().split()
    assert found == [hashed(value) for value in (VALUE, FIELD, CODE)]
    kept = everything(stack) + json.dumps(job_of(stack, outcome), default=str).encode()
    events = stack.states.get_execution_history(executionArn=outcome.execution.arn)
    kept += json.dumps(events, default=str).encode()
    assert stack.arns[0].encode() in kept
    for value in (VALUE, FIELD, CODE):
        assert value.encode() not in kept


def test_the_execution_role_reads_the_secrets_and_nobody_else(stack):
    asked = request(stack, "roles", secrets=secrets(stack))
    assert stack.finish(stack.upload("roles.json", asked)).status == "SUCCEEDED"
    callers = {
        call.access_key
        for call in stack.aws.gateway.calls
        if call.operation in ("GetSecretValue", "GetParameters")
    }
    assert callers == {"drydock-execution-role"}


def test_a_secret_that_is_gone_stops_the_run_with_a_sentence(stack):
    manager = stack.aws.client("secretsmanager")
    gone = stack.arns[1]
    manager.update_secret(SecretId=gone, SecretString='{"other": "x"}')
    asked = request(stack, "gone", secrets={"FIELD": f"{gone}:key::"})
    outcome = stack.finish(stack.upload("gone.json", asked))
    assert outcome.described["error"] == "RunMisconfigured"
    assert outcome.described["cause"].startswith("A secret cannot be read")
    manager.update_secret(SecretId=gone, SecretString=json.dumps({"key": FIELD}))


def test_a_request_with_gpus_waits_in_a_queue_of_machines_that_have_some(stack):
    """There are none here: Batch says so, and the run stops instead of waiting for ever."""
    asked = request(stack, "gpu", resources={"gpus": 1})
    outcome = stack.finish(stack.upload("gpu.json", asked))
    assert outcome.described["error"] == "RunMisconfigured", outcome.described
    assert "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT" in outcome.described["cause"]
    assert job_of(stack, outcome)["jobQueue"].endswith("/drydock-gpu-spot")


def test_what_the_stack_was_not_given_is_refused_all_at_once(stack):
    foreign = "arn:aws:secretsmanager:us-east-1:123456789012:secret:other-AbCdEf"
    asked = request(stack, "bad", image="quay.io/lab/vina:1", secrets={"A": foreign})
    outcome = stack.finish(stack.upload("bad.json", asked))
    assert outcome.described["error"] == "RequestRejected"
    image, secret = stack.rejection("bad.json")
    assert image.startswith("image: 'quay.io/lab/vina:1' was given: this stack may run")
    assert secret.startswith(f"secrets.A: '{foreign}' was given: this stack may read arn:aws:")


def test_a_tag_that_nothing_was_pushed_to_is_refused(stack):
    asked = request(stack, "untagged", image=f"{ECR}/lab/worker:none")
    stack.finish(stack.upload("untagged.json", asked))
    assert stack.rejection("untagged.json") == [
        f"image: '{ECR}/lab/worker:none' was given: repository lab/worker has no image none"
    ]
