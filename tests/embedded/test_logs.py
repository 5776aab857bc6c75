"""What containers write is in CloudWatch Logs, under the names that Batch gives it."""

import time

import pytest

from tests.embedded.batch_support import COMPUTE_RESOURCES, until

IMAGE = "lab:1"
OWN = {
    "logDriver": "awslogs",
    "options": {"awslogs-group": "/lab/worker", "awslogs-stream-prefix": "worker"},
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    from local.embedded import EmbeddedAws

    with EmbeddedAws(tmp_path_factory.mktemp("embedded"), stack_image=IMAGE) as embedded:
        batch = embedded.client("batch")
        batch.create_compute_environment(
            computeEnvironmentName="spot", type="MANAGED", computeResources=COMPUTE_RESOURCES
        )
        batch.create_job_queue(
            jobQueueName="spot",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "spot"}],
        )
        yield embedded


def run(aws, script, *, name="lab", definition=None, **request):
    """A job that runs a shell script, once it has ended or does what `until` waits for."""
    batch = aws.client("batch")
    properties = {
        "image": IMAGE,
        "command": ["sh", "-c", script],
        "resourceRequirements": [
            {"type": "VCPU", "value": "1"},
            {"type": "MEMORY", "value": "100"},
        ],
        **(definition or {}),
    }
    batch.register_job_definition(
        jobDefinitionName=name, type="container", containerProperties=properties
    )
    job = batch.submit_job(jobName="lab", jobQueue="spot", jobDefinition=name, **request)["jobId"]
    return job, lambda: batch.describe_jobs(jobs=[job])["jobs"][0]


def ended(described):
    return until(lambda: job if (job := described())["status"] in ("SUCCEEDED", "FAILED") else None)


def messages(aws, group, **request):
    events = aws.client("logs").get_log_events(logGroupName=group, startFromHead=True, **request)
    return [event["message"] for event in events["events"]]


def test_lines_are_where_the_job_definition_sends_them(aws):
    _, described = run(aws, "printf 'one\\n\\ntwo'; echo >&2", definition={"logConfiguration": OWN})
    (attempt,) = ended(described)["attempts"]
    stream = attempt["container"]["logStreamName"]
    assert stream.startswith("worker/default/")
    # The last line is whole once the container has ended; empty ones are no events.
    assert messages(aws, "/lab/worker", logStreamName=stream) == ["one", "two"]
    assert messages(aws, "/lab/worker", logStreamName=stream) == ["one", "two"]


def test_without_a_log_configuration_they_are_in_batchs_own_group(aws):
    _, described = run(aws, "echo here", name="plain")
    stream = ended(described)["attempts"][0]["container"]["logStreamName"]
    assert stream.startswith("plain/default/")
    assert messages(aws, "/aws/batch/job", logStreamName=stream) == ["here"]
    names = [each["logGroupName"] for each in aws.client("logs").describe_log_groups()["logGroups"]]
    assert "/aws/batch/job" in names


def test_each_attempt_has_a_stream_of_its_own(aws):
    script = "echo attempt $AWS_BATCH_JOB_ATTEMPT; exit 1"
    _, described = run(aws, script, retryStrategy={"attempts": 2})
    streams = [each["container"]["logStreamName"] for each in ended(described)["attempts"]]
    said = [messages(aws, "/aws/batch/job", logStreamName=stream) for stream in streams]
    assert said == [["attempt 1"], ["attempt 2"]]


def test_what_runs_can_be_read_and_goes_on(aws, tmp_path):
    go_on = tmp_path / "go-on"
    script = f"echo first; printf half; while [ ! -e {go_on} ]; do sleep 0.1; done; echo ' line'"
    _, described = run(aws, script)
    running = until(lambda: job if (job := described())["status"] == "RUNNING" else None)
    stream = running["container"]["logStreamName"]
    logs, where = aws.client("logs"), {"logGroupName": "/aws/batch/job", "logStreamName": stream}
    prefix = {"logGroupName": "/aws/batch/job", "logStreamNamePrefix": stream}
    until(lambda: logs.describe_log_streams(**prefix)["logStreams"])
    read = logs.get_log_events(**where, startFromHead=True)
    assert [event["message"] for event in read["events"]] == ["first"]
    go_on.touch()
    ended(described)
    rest = logs.get_log_events(**where, nextToken=read["nextForwardToken"])["events"]
    assert [event["message"] for event in rest] == ["half line"]
    assert rest[0]["timestamp"] >= read["events"][0]["timestamp"]


def test_a_group_can_be_searched_and_listed(aws):
    before = int(time.time() * 1000) - 1000
    job, described = run(aws, "echo needle $AWS_BATCH_JOB_ID", name="hay")
    ended(described)
    logs = aws.client("logs")
    found = logs.filter_log_events(logGroupName="/aws/batch/job", filterPattern=f'"{job}"')[
        "events"
    ]
    assert [event["message"] for event in found] == [f"needle {job}"]
    arn = f"arn:aws:logs:{aws.region}:{aws.account}:log-group:/aws/batch/job:*"
    by_arn = logs.filter_log_events(logGroupIdentifier=arn, filterPattern=f'"{job}"')["events"]
    assert by_arn == found
    assert before <= found[0]["timestamp"] <= time.time() * 1000 + 1000
    streams = logs.describe_log_streams(
        logGroupName="/aws/batch/job", logStreamNamePrefix=f"hay/default/{job}"
    )["logStreams"]
    assert [each["logStreamName"] for each in streams] == [f"hay/default/{job}-1"]


def test_nothing_is_kept_in_memory_before_somebody_asks(aws):
    from moto.logs.models import logs_backends

    _, described = run(aws, "echo unread", name="unread")
    stream = ended(described)["attempts"][0]["container"]["logStreamName"]
    groups = logs_backends[aws.account][aws.region].groups
    assert all(stream not in group.streams for group in groups.values())
    assert messages(aws, "/aws/batch/job", logStreamName=stream) == ["unread"]
    assert any(stream in group.streams for group in groups.values())
