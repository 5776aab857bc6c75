"""The embedded Batch's API: what it refuses as AWS does, and what it tells."""

import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from tests.embedded.batch_support import IMAGE, bench

TOO_MANY_VCPUS = {"resourceRequirements": [{"type": "VCPU", "value": "1000"}]}
RULE = {"onExitCode": "1", "action": "RETRY"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with bench(tmp_path_factory.mktemp("batch")) as running:
        yield running


def refused(call, **request):
    """The message of the ClientException that the call gets."""
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    assert error["Code"] == "ClientException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return error["Message"]


SECRET = {
    "name": "A",
    "valueFrom": "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab/license-AbCdEf",
}
ROLE = {"executionRoleArn": "arn:aws:iam::123456789012:role/execution"}
TMP = {"containerPath": "/tmp", "size": 64}
MOUNT = {"sourceVolume": "data", "containerPath": "/data"}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"arrayProperties": {"size": 1}}, "Array size must be between 2 and 10000, got 1"),
        ({"arrayProperties": {"size": 10_001}}, "got 10001"),
        ({"jobName": "-a"}, "Job name should match valid pattern"),
        ({"jobName": "a.b"}, "Job name should match valid pattern"),
        ({"jobName": "a" * 129}, "Job name should match valid pattern"),
        ({"jobQueue": "nowhere"}, "JobQueue nowhere not found"),
        ({"jobDefinition": "nothing"}, "Job definition nothing does not exist"),
        ({"jobDefinition": "job:99"}, "Job definition job:99 does not exist"),
        ({"retryStrategy": {"attempts": 11}}, "between 1 and 10, got 11"),
        ({"retryStrategy": {"attempts": 0}}, "between 1 and 10, got 0"),
        ({"retryStrategy": {"evaluateOnExit": [RULE]}}, "attempts must be specified"),
        (
            {"retryStrategy": {"attempts": 2, "evaluateOnExit": [RULE] * 6}},
            "at most 5 conditions, got 6",
        ),
        ({"timeout": {"attemptDurationSeconds": 59}}, "at least 60 seconds, got 59"),
        ({"containerOverrides": {"command": ["a", ""]}}, "Command field cannot have empty strings"),
        (
            {"containerOverrides": {"environment": [{"name": "AWS_BATCH_X", "value": "1"}]}},
            "AWS_BATCH",
        ),
        ({"dependsOn": [{"jobId": "x"}]}, "dependsOn"),
        ({"parameters": {"p": "x" * 31_000}}, "Job size must be less than 30 KiB, got 30 KiB"),
    ],
)
def test_submissions_that_aws_refuses(aws, request_, said):
    request = {"jobName": "a", "jobQueue": "spot", "jobDefinition": "job"} | request_
    before = aws.batch.counts()
    assert said in refused(aws.client.submit_job, **request)
    assert sum(aws.batch.counts().values()) == sum(before.values())


@pytest.mark.parametrize(
    "rule",
    [
        {"onStatusReason": "*Spot*", "action": "RETRY"},
        {"onReason": "Cannot*Error", "action": "RETRY"},
        {"onReason": "a-b", "action": "RETRY"},
        {"onExitCode": "1?", "action": "RETRY"},
        {"onExitCode": "a", "action": "RETRY"},
        {"onReason": "x" * 513, "action": "EXIT"},
    ],
)
def test_patterns_that_aws_refuses(aws, rule):
    said = refused(
        aws.client.submit_job,
        jobName="a",
        jobQueue="spot",
        jobDefinition="job",
        retryStrategy={"attempts": 2, "evaluateOnExit": [rule]},
    )
    assert "restricted characters" in said


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"resourceRequirements": [{"type": "VCPU", "value": "1"}]}, "specify MEMORY"),
        ({"resourceRequirements": [{"type": "MEMORY", "value": "9"}]}, "specify VCPU"),
        ({"resourceRequirements": [{"type": "VCPU", "value": "0.5"}]}, "VCPU must be a whole"),
        ({"resourceRequirements": [{"type": "MEMORY", "value": "3"}]}, "at least 4, got '3'"),
        ({"resourceRequirements": [{"type": "DISK", "value": "3"}]}, "none of VCPU, MEMORY, GPU"),
        ({"environment": [{"name": "AWS_BATCH_JOB_ID", "value": "x"}]}, "AWS_BATCH"),
        ({"command": [""]}, "empty strings"),
        ({"image": ""}, "without image"),
        ({"secrets": [SECRET]}, "executionRoleArn must be specified"),
        ({"secrets": [SECRET, SECRET], **ROLE}, "must be unique and not shared"),
        ({"secrets": [SECRET], "environment": [{"name": "A", "value": "x"}], **ROLE}, "shared"),
        ({"secrets": [{"name": "A", "valueFrom": "arn:x"}], **ROLE}, "Invalid valueFrom"),
        ({"linuxParameters": {"sharedMemorySize": 0}}, "sharedMemorySize must be positive"),
        ({"linuxParameters": {"tmpfs": [TMP | {"containerPath": "tmp"}]}}, "must be absolute"),
        ({"linuxParameters": {"tmpfs": [TMP | {"size": 0}]}}, "size of /tmp must be positive"),
        ({"linuxParameters": {"tmpfs": [TMP | {"mountOptions": ["size=1"]}]}}, "are invalid"),
        ({"mountPoints": [MOUNT]}, "Unknown volume 'data'."),
        ({"mountPoints": [MOUNT], "volumes": [{"name": "other"}]}, "Unknown volume 'data'."),
    ],
)
def test_definitions_that_aws_refuses(aws, properties, said):
    container = {
        "image": IMAGE,
        "resourceRequirements": [
            {"type": "VCPU", "value": "1"},
            {"type": "MEMORY", "value": "512"},
        ],
        **properties,
    }
    assert said in refused(
        aws.client.register_job_definition,
        jobDefinitionName="bad",
        type="container",
        containerProperties=container,
    )


@pytest.mark.parametrize(
    "properties",
    [
        {"privileged": True, "user": "nobody"},
        {"image": "docker://lab/align:1"},  # what cannot be pulled is not looked at
        {"mountPoints": [MOUNT], "volumes": [{"name": "data", "host": {"sourcePath": "/data"}}]},
        {"resourceRequirements": [], "vcpus": 2, "memory": 2000},
        {"logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "lab"}}},
    ],
)
def test_definitions_of_others_that_aws_takes(aws, properties):
    arn = aws.define("theirs", **properties)
    found = aws.client.describe_job_definitions(jobDefinitions=[arn])["jobDefinitions"][0]
    assert found["containerProperties"] | properties == found["containerProperties"]


def test_a_definition_for_fargate_is_taken_and_its_jobs_are_not(aws):
    needs = [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}]
    definition = aws.client.register_job_definition(
        jobDefinitionName="fargate",
        type="container",
        platformCapabilities=["FARGATE"],
        containerProperties={"image": IMAGE, "resourceRequirements": needs, **ROLE},
    )["jobDefinitionArn"]
    said = refused(aws.client.submit_job, jobName="a", jobQueue="spot", jobDefinition=definition)
    assert "can not run Jobs with capability FARGATE" in said


def test_queues_and_environments_that_aws_refuses(aws):
    order = [{"order": 1, "computeEnvironment": "nowhere"}]
    said = refused(
        aws.client.create_job_queue, jobQueueName="q", priority=1, computeEnvironmentOrder=order
    )
    assert "nowhere does not exist" in said
    said = refused(
        aws.client.create_job_queue, jobQueueName="spot", priority=1, computeEnvironmentOrder=order
    )
    assert "already exists" in said
    said = refused(
        aws.client.create_compute_environment, computeEnvironmentName="spot", type="MANAGED"
    )
    assert "already exists" in said


LIMIT = {
    "state": "RUNNABLE",
    "action": "CANCEL",
    "maxTimeSeconds": 600,
    "reason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
}


def limited(name, **changed):
    return {
        "jobQueueName": name,
        "priority": 1,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "spot"}],
        "jobStateTimeLimitActions": [LIMIT | changed],
    }


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"maxTimeSeconds": 599}, "between 600 and 86400, got 599"),
        ({"maxTimeSeconds": 86_401}, "between 600 and 86400, got 86401"),
        ({"reason": "MISCONFIGURATION:SERVICE_ROLE_PERMISSIONS"}, "reason must be one of CAPACITY"),
        ({"state": "RUNNING"}, "CANCEL what is RUNNABLE"),
        ({"action": "TERMINATE"}, "CANCEL what is RUNNABLE"),
    ],
)
def test_time_limits_that_aws_refuses(aws, changed, said):
    assert said in refused(aws.client.create_job_queue, **limited("limited", **changed))


def test_a_queue_tells_of_its_time_limits(aws):
    aws.client.create_job_queue(**limited("limits"))
    [queue] = aws.client.describe_job_queues(jobQueues=["limits"])["jobQueues"]
    assert queue["jobStateTimeLimitActions"] == [LIMIT]


def test_a_disabled_queue_takes_no_jobs(aws):
    aws.client.create_job_queue(
        jobQueueName="closed",
        state="DISABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "spot"}],
    )
    said = refused(aws.client.submit_job, jobName="a", jobQueue="closed", jobDefinition="job")
    assert "ENABLED" in said


def test_describe_takes_a_hundred_ids_and_leaves_unknown_ones_out(aws):
    job_id = aws.submit(["true"], size=2)
    answer = aws.client.describe_jobs(jobs=[f"{job_id}:1", "unknown", job_id])
    assert [job["jobId"] for job in answer["jobs"]] == [f"{job_id}:1", job_id]
    assert "at most 100" in refused(aws.client.describe_jobs, jobs=["x"] * 101)


def test_what_is_no_operation_or_no_request_is_refused(aws):
    unchecked = aws.connect(parameter_validation=False)
    assert "Missing required parameter" in refused(unchecked.submit_job, jobName="a")
    assert "has no POST /v1/deletejobqueue" in refused(aws.client.delete_job_queue, jobQueue="x")
    request = urllib.request.Request(f"{aws.endpoint}/v1/submitjob", data=b"{", method="POST")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code == 400
    assert b"no JSON" in caught.value.read()


@pytest.mark.parametrize("call", ["terminate_jobs", "cancel_jobs"])
def test_ends_that_aws_refuses(aws, call):
    job_id = aws.submit(["true"], size=2, containerOverrides=TOO_MANY_VCPUS)
    many = [job_id, *["x"] * 50]
    assert "1 to 50 items, got 51" in refused(getattr(aws.client, call), jobs=many, reason="x")
    assert "1 to 50 items, got 0" in refused(getattr(aws.client, call), jobs=[], reason="x")
    long = "x" * 1025
    assert "1024" in refused(getattr(aws.client, call), jobs=[job_id], reason=long)
    assert "1024" in refused(getattr(aws.client, call[:-1]), jobId=job_id, reason=long)
    unchecked = aws.connect(parameter_validation=False)
    assert "Missing required parameter" in refused(getattr(unchecked, call), jobs=[job_id])
    assert aws.describe(job_id)["status"] not in ("SUCCEEDED", "FAILED")
    aws.client.terminate_job(jobId=job_id, reason="x" * 1024)


def test_definitions_are_found_by_arn_revision_and_name(aws):
    first = aws.define("revised", command=["false"])
    second = aws.define("revised", command=["true"])
    assert second.endswith(":job-definition/revised:2")
    for reference, used in (
        ("revised", second),
        ("revised:1", first),
        (first, first),
        (second.rpartition(":")[0], second),
    ):
        job_id = aws.client.submit_job(jobName="a", jobQueue="spot", jobDefinition=reference)[
            "jobId"
        ]
        assert aws.describe(job_id)["jobDefinition"] == used


def test_a_deregistered_definition_is_described_and_not_used(aws):
    first, second = aws.define("retired"), aws.define("retired")
    aws.client.deregister_job_definition(jobDefinition=second)
    job_id = aws.client.submit_job(jobName="a", jobQueue="spot", jobDefinition="retired")["jobId"]
    assert aws.describe(job_id)["jobDefinition"] == first
    said = refused(aws.client.submit_job, jobName="a", jobQueue="spot", jobDefinition=second)
    assert "ACTIVE" in said
    by_name = aws.client.describe_job_definitions(jobDefinitionName="retired")["jobDefinitions"]
    assert [each["status"] for each in by_name] == ["ACTIVE", "INACTIVE"]
    active = aws.client.describe_job_definitions(jobDefinitions=["retired"], status="ACTIVE")
    assert [each["jobDefinitionArn"] for each in active["jobDefinitions"]] == [first]
    assert active["jobDefinitions"][0]["containerProperties"]["image"] == IMAGE


def test_queues_and_environments_are_described_by_name_and_arn(aws):
    queue = aws.client.describe_job_queues(jobQueues=["spot"])["jobQueues"][0]
    assert (queue["state"], queue["status"], queue["priority"]) == ("ENABLED", "VALID", 1)
    again = aws.client.describe_job_queues(jobQueues=[queue["jobQueueArn"]])["jobQueues"]
    assert again == [queue]
    assert aws.client.describe_job_queues(jobQueues=["nowhere"])["jobQueues"] == []
    found = aws.client.describe_compute_environments(computeEnvironments=["spot"])
    assert found["computeEnvironments"][0]["computeResources"]["type"] == "SPOT"
    job_id = aws.submit(["true"], jobQueue=queue["jobQueueArn"])
    assert aws.describe(job_id)["jobQueue"] == queue["jobQueueArn"]


def test_children_are_listed_by_status_in_pages(aws):
    job_id = aws.sh("exit $((AWS_BATCH_JOB_ARRAY_INDEX % 2))", size=11)
    aws.wait(job_id)
    pages = list(
        aws.client.get_paginator("list_jobs").paginate(
            arrayJobId=job_id, jobStatus="FAILED", PaginationConfig={"PageSize": 2}
        )
    )
    assert [len(page["jobSummaryList"]) for page in pages] == [2, 2, 1]
    found = [each for page in pages for each in page["jobSummaryList"]]
    assert [each["arrayProperties"]["index"] for each in found] == [1, 3, 5, 7, 9]
    assert {each["container"]["exitCode"] for each in found} == {1}
    assert {each["statusReason"] for each in found} == {"Essential container in task exited"}
    assert aws.client.list_jobs(arrayJobId=job_id)["jobSummaryList"] == []


def test_jobs_are_found_by_name_newest_first_whatever_their_status(aws):
    ids = [aws.submit(["true"], jobName=f"Named-{n}") for n in range(3)]
    array = aws.submit(["true"], jobName="named-array", size=2)
    aws.wait(array)

    def names(value, **request):
        answer = aws.client.list_jobs(
            jobQueue="spot", filters=[{"name": "JOB_NAME", "values": [value]}], **request
        )
        return [each["jobName"] for each in answer["jobSummaryList"]], answer.get("nextToken")

    assert names("named-*") == (["named-array", "Named-2", "Named-1", "Named-0"], None)
    assert names("NAMED-1") == (["Named-1"], None)
    assert names("named") == ([], None)
    first, token = names("named-*", maxResults=3)
    second, end = names("named-*", maxResults=3, nextToken=token)
    assert (first + second, end) == (["named-array", "Named-2", "Named-1", "Named-0"], None)
    assert len(ids) == 3


def test_a_queue_lists_its_jobs_and_not_their_children(aws):
    job_id = aws.submit(["true"], size=2, jobQueue="urgent")
    aws.wait(job_id)
    answer = aws.client.list_jobs(jobQueue="urgent", jobStatus="SUCCEEDED")
    assert [each["jobId"] for each in answer["jobSummaryList"]] == [job_id]
    assert answer["jobSummaryList"][0]["arrayProperties"]["size"] == 2


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "Exactly one of"),
        ({"jobQueue": "spot", "arrayJobId": "x"}, "Exactly one of"),
        ({"jobQueue": "spot", "jobStatus": "LOST"}, "'LOST' is none of"),
        ({"jobQueue": "spot", "nextToken": "!"}, "Invalid nextToken"),
        ({"arrayJobId": "x", "filters": [{"name": "JOB_NAME", "values": ["a"]}]}, "queues only"),
    ],
)
def test_lists_that_aws_refuses(aws, request_, said):
    assert said in refused(aws.client.list_jobs, **request_)
