"""Snakemake and its executor for AWS Batch, as PyPI has them, on a stack's queue and role."""

import json
import logging
import os
import shutil
import subprocess
from collections import Counter

import pytest

from cli.jobdef import derived
from local.deploy import EMBEDDED_PARAMETERS, deploy
from local.principals import credentials
from tests.containers.engine import ROOT, docker, inspect
from tests.containers.registry import PASSWORD, USER

EXAMPLE = ROOT / "examples" / "snakemake"
GENOMICS = ROOT / "examples" / "genomics"
SNAKEMAKE = ROOT / ".venv-snakemake" / "bin" / "snakemake"
BAKED = "the one that was pushed"
SUBMITTER = "somebody-with-a-workflow"
# Of 400, 200 and 600 reads: what bwa itself says when nobody is between.
ALIGNED = "normal\t400\nsaliva\t200\ntumor\t600\n"
JOBS = 4


@pytest.fixture(scope="module")
def stack(aws):
    # Nothing that a schedule starts while others are tested.
    parameters = {**EMBEDDED_PARAMETERS, "ReconcileSeconds": "3600"}
    made = deploy(aws, ROOT / "template.yaml", parameters, stack_name="lab")
    s3, bucket = aws.client("s3"), made.data_buckets[0]
    for folder, name in (("genome", "genome"), ("inputs", "reads")):
        for path in (GENOMICS / folder).iterdir():
            for prefix in ("flow", "basic"):
                key = f"{prefix}/{name}/{path.name}"
                s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())
    return made


@pytest.fixture(scope="module")
def pushed(registry, tmp_path_factory):
    """The example's image with one file changed, which only the registry has; its name and id."""
    file, tag = str(EXAMPLE / "Dockerfile"), "drydock-example-align:test"
    docker("build", "--quiet", "--file", file, "--tag", tag, str(ROOT))
    folder = tmp_path_factory.mktemp("image")
    (folder / "version").write_text(BAKED + "\n")
    (folder / "Dockerfile").write_text(f"FROM {tag}\nCOPY version /etc/align-version\n")
    reference = f"{registry}/lab/align:1"
    docker("build", "--quiet", "--tag", reference, str(folder))
    image_id = inspect(reference)["Id"]
    login = {"DOCKER_CONFIG": str(tmp_path_factory.mktemp("pusher"))}
    docker("login", "--username", USER, "--password", PASSWORD, registry, **login)
    docker("push", "--quiet", reference, **login)
    docker("rmi", reference)
    yield reference, image_id
    subprocess.run(["docker", "rmi", reference], capture_output=True, check=False)


@pytest.fixture
def machines_login(registry, tmp_path, monkeypatch):
    """What the machines pull with: on AWS their role, here the login of whoever runs this."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    docker("login", "--username", USER, "--password", PASSWORD, registry)


@pytest.fixture
def snakemake(aws, stack, tmp_path):
    """Runs it as somebody does who has the example and a stack, and nothing else."""
    workflow = shutil.copytree(EXAMPLE, tmp_path / "flow")

    def snakemake(profile, prefix, *more):
        executor = profile.removeprefix("profile-")
        words = [
            *(SNAKEMAKE, "--profile", profile),
            *("--default-storage-prefix", f"s3://{stack.data_buckets[0]}/{prefix}"),
            *("--storage-s3-region", aws.region, f"--{executor}-region", aws.region),
            *(f"--{executor}-job-queue", stack.outputs["OnDemandQueueArn"]),
        ]
        environment = {"AWS_ENDPOINT_URL": aws.endpoint_url, "HOME": str(tmp_path)}
        path = f"{SNAKEMAKE.parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            [*words, *more],
            cwd=workflow,
            env=environment | credentials(SUBMITTER) | {"PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    return snakemake


@pytest.fixture
def aws_batch(snakemake, stack):
    """With the executor that makes a job definition for each job."""

    def aws_batch(image, *more):
        role = stack.outputs["JobRoleArn"]
        words = ("--container-image", image, "--aws-batch-job-role", role)
        return snakemake("profile-aws-batch", "flow", *words, *more)

    return aws_batch


@pytest.fixture
def result(aws, stack):
    def result(key):
        answer = aws.client("s3").get_object(Bucket=stack.data_buckets[0], Key=key)
        return answer["Body"].read().decode()

    return result


def batch_calls(aws, since):
    """How often who called what of Batch."""
    calls = [call for call in list(aws.gateway.calls)[since:] if call.service == "batch"]
    return Counter((call.access_key, call.operation.rpartition("/")[2]) for call in calls)


def s3_methods(aws, since, role):
    calls = [call for call in list(aws.gateway.calls)[since:] if call.access_key == role]
    return {call.operation.partition(" ")[0] for call in calls if call.service == "s3"}


def test_a_workflow_runs_in_an_image_of_a_private_registry(
    aws_batch, pushed, machines_login, aws, stack, result, caplog
):
    reference, image_id = pushed
    since = len(aws.gateway.calls)
    with caplog.at_level(logging.WARNING, "local.batch"):
        done = aws_batch(reference)
    assert done.returncode == 0, done.stdout[-4000:]
    assert result("flow/results/aligned.tsv") == ALIGNED
    of = json.loads(result("flow/results/image.json"))
    assert of == {"Image": reference, "ImageID": image_id, "version": BAKED}
    assert inspect(reference)["Id"] == image_id

    calls = batch_calls(aws, since)
    describes = calls.pop((SUBMITTER, "describejobs"))
    assert describes >= JOBS
    once = ("registerjobdefinition", "submitjob", "terminatejob", "deregisterjobdefinition")
    assert calls == {(SUBMITTER, operation): JOBS for operation in once}

    # The role of the stack's jobs may neither delete nor make buckets, and need not.
    role = credentials(stack.outputs["JobRoleArn"])["AWS_ACCESS_KEY_ID"]
    assert s3_methods(aws, since, role) == {"GET", "HEAD", "PUT"}
    assert s3_methods(aws, since, SUBMITTER) == {"GET", "HEAD", "PUT", "DELETE"}

    found = aws.client("batch").describe_job_definitions()["jobDefinitions"]
    theirs = [each for each in found if each["jobDefinitionName"].startswith("snakejob-def-")]
    assert [each["status"] for each in theirs] == ["INACTIVE"] * JOBS
    assert all(each["containerProperties"]["privileged"] for each in theirs)
    warned = [each.getMessage() for each in caplog.records if "privileged" in each.getMessage()]
    assert sorted(warned) == sorted(
        f"job definition {each['jobDefinitionName']}:1 asks for privileged: its jobs run without it"
        for each in theirs
    )


def test_what_is_there_already_is_not_made_again(aws_batch, pushed, machines_login, aws):
    since = len(aws.gateway.calls)
    done = aws_batch(pushed[0])
    assert done.returncode == 0, done.stdout[-4000:]
    assert "Nothing to be done" in done.stdout
    assert batch_calls(aws, since) == {}


def test_what_is_made_again_is_deleted_first_by_the_job(
    aws_batch, pushed, machines_login, aws, stack
):
    """Which the role of the stack's jobs may not: the page says what to do."""
    since = len(aws.gateway.calls)
    done = aws_batch(pushed[0], "--forcerun", "table")
    assert done.returncode == 0, done.stdout[-4000:]
    role = credentials(stack.outputs["JobRoleArn"])["AWS_ACCESS_KEY_ID"]
    assert "DELETE" in s3_methods(aws, since, role)


def test_a_definition_of_the_group_runs_a_workflow_too(
    snakemake, pushed, machines_login, aws, stack, result, caplog
):
    """With the executor that takes a job definition, and the one that ``make jobdef`` prints."""
    reference, image_id = pushed
    client, since = aws.client("batch"), len(aws.gateway.calls)
    of_worker = [stack.outputs["JobDefinitionArn"]]
    [worker] = client.describe_job_definitions(jobDefinitions=of_worker)["jobDefinitions"]
    definition = derived(worker) | {"jobDefinitionName": "lab_align"}
    definition["containerProperties"] |= {"image": reference}
    client.register_job_definition(**definition)
    words = ("--aws-basic-batch-job-definition", "lab_align", "--config", "samples=[saliva]")
    done = snakemake("profile-aws-basic-batch", "basic", *words)
    assert done.returncode == 0, done.stdout[-4000:]
    assert result("basic/results/aligned.tsv") == "saliva\t200\n"
    assert json.loads(result("basic/results/image.json"))["ImageID"] == image_id
    calls = batch_calls(aws, since)
    assert {operation for key, operation in calls if key == SUBMITTER} == {
        "submitjob",
        "describejobs",
    }
    assert s3_methods(aws, since, SUBMITTER) == {"GET", "HEAD"}
    assert "privileged" not in caplog.text


def test_without_a_login_the_image_cannot_be_pulled(pushed, aws, stack, tmp_path, monkeypatch):
    reference = f"{pushed[0]}0"
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    client = aws.client("batch")
    needs = [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}]
    definition = client.register_job_definition(
        jobDefinitionName="by-hand",
        type="container",
        containerProperties={"image": reference, "resourceRequirements": needs},
    )["jobDefinitionArn"]
    queue = stack.outputs["SpotQueueArn"]
    job_id = client.submit_job(jobName="a", jobQueue=queue, jobDefinition=definition)["jobId"]
    while (job := client.describe_jobs(jobs=[job_id])["jobs"][0])["status"] != "FAILED":
        assert job["status"] != "SUCCEEDED"
    assert job["container"]["reason"].startswith("CannotPullContainerError: Error response from ")
    assert "no basic auth credentials" in job["container"]["reason"]
