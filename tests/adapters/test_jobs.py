"""The door to AWS Batch, against the embedded one."""

import socket

import boto3
import pytest
from botocore.config import Config

from drydock.decision import JobView
from drydock.errors import RunMisconfigured, ServiceUnavailable
from drydock.jobs import JobRequest, Jobs
from tests.embedded.batch_support import IMAGE, bench

LAB = "123456789012.dkr.ecr.us-west-2.amazonaws.com/lab/vina:2"


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """One embedded Batch of one vCPU: what does not fit waits."""
    with bench(tmp_path_factory.mktemp("batch"), machines=1, vcpus=1) as running:
        running.define(
            "stack",
            command=["sh", "-c", "echo $TASK; exit ${CODE:-0}"],
            jobRoleArn="arn:aws:iam::1:role/job",
        )
        yield running


@pytest.fixture
def jobs(batch):
    return Jobs(batch.client)


@pytest.fixture
def queues(batch):
    found = batch.client.describe_job_queues()["jobQueues"]
    return {queue["jobQueueName"]: queue["jobQueueArn"] for queue in found}


@pytest.fixture
def request_(queues):
    def make(name, **changes):
        values = {
            "queue_arn": queues["spot"],
            "definition_arn": "stack:1",
            "jobs": 1,
            "environment": {"TASK": "s3://control/task.json"},
            "vcpus": 1,
            "memory_mib": 512,
            "gpus": 0,
            "timeout_s": 120,
            "tags": {"drydock:run": "abc"},
        }
        return JobRequest(name=name, **(values | changes))

    return make


def test_a_round_of_one_is_a_plain_job_that_is_told_its_task(batch, jobs, request_):
    job_id = jobs.submit(request_("one"))
    job = batch.wait(job_id)
    assert job["status"] == "SUCCEEDED"
    assert "arrayProperties" not in job or "size" not in job["arrayProperties"]
    assert batch.log(job_id) == "s3://control/task.json\n"
    assert job["tags"]["drydock:run"] == "abc"
    assert job["timeout"] == {"attemptDurationSeconds": 120}
    assert jobs.view(job_id).state == "ended"


def test_a_round_of_more_is_an_array(batch, jobs, request_):
    job_id = jobs.submit(request_("many", jobs=2, environment={"CODE": "75", "TASK": "t"}))
    assert batch.wait(job_id)["arrayProperties"]["size"] == 2
    assert jobs.view(job_id).state == "ended"
    children = [batch.wait(f"{job_id}:{index}") for index in range(2)]
    assert [child["container"]["exitCode"] for child in children] == [75, 75]


def test_a_job_is_active_until_it_is_terminated_and_keeps_the_reason(batch, jobs, request_):
    job_id = jobs.submit(request_("waits", vcpus=1000))
    assert jobs.view(job_id) == JobView("active", jobs.view(job_id).reason)
    jobs.terminate(job_id, "drydock: aborted")
    batch.wait(job_id)
    assert jobs.view(job_id) == JobView("ended", "drydock: aborted")
    jobs.terminate(job_id, "drydock: superseded")


def test_a_job_that_batch_does_not_know_is_gone(jobs):
    assert jobs.view("00000000-0000-0000-0000-000000000000") == JobView("gone")


def test_the_job_of_a_round_is_found_by_its_whole_name_in_its_queue(jobs, request_, queues):
    first = jobs.submit(request_("drydock-a-000000-1", vcpus=1000))
    jobs.submit(request_("drydock-a-000000-1", vcpus=1000))
    jobs.submit(request_("drydock-a-000000-10", vcpus=1000))
    assert jobs.find(queues["spot"], "drydock-a-000000-1") == first
    assert jobs.find(queues["urgent"], "drydock-a-000000-1") is None
    assert jobs.find(queues["spot"], "DRYDOCK-a-000000-1") is None
    jobs.terminate(first, "drydock: aborted")
    assert jobs.find(queues["spot"], "drydock-a-000000-1") == first


def test_jobs_that_go_on_are_listed_by_their_beginning(batch, jobs, request_, queues):
    ended = jobs.submit(request_("drydock-b-000000-0", vcpus=1000))
    jobs.terminate(ended, "drydock: aborted")
    batch.wait(ended)
    names = [f"drydock-b-{number:06d}-1" for number in range(3)]
    for name in names:
        jobs.submit(request_(name, jobs=2, vcpus=1000))
    jobs.submit(request_("other", vcpus=1000))
    assert sorted(job.name for job in jobs.active(queues["spot"], "drydock-b-")) == names
    assert list(jobs.active(queues["urgent"], "drydock-b-")) == []


def test_a_job_that_batch_refuses_is_a_misconfiguration(jobs, request_):
    with pytest.raises(RunMisconfigured, match="no-such-queue"):
        jobs.submit(request_("lost", queue_arn="no-such-queue"))
    with pytest.raises(RunMisconfigured, match="between 2 and"):
        jobs.submit(request_("wide", jobs=10_001))


def test_another_image_gets_a_definition_of_its_own_once(batch, jobs):
    first = jobs.register(name="drydock-lab", based_on_arn="stack:1", image=LAB)
    assert jobs.register(name="drydock-lab", based_on_arn="stack:1", image=LAB) == first
    described = batch.client.describe_job_definitions(jobDefinitions=[first])["jobDefinitions"]
    container = described[0]["containerProperties"]
    assert (container["image"], container["jobRoleArn"]) == (LAB, "arn:aws:iam::1:role/job")
    own = batch.client.describe_job_definitions(jobDefinitions=["stack:1"])["jobDefinitions"]
    assert own[0]["containerProperties"]["image"] == IMAGE


def test_a_stack_without_its_definition_is_misconfigured(jobs):
    with pytest.raises(RunMisconfigured, match="no-such:1"):
        jobs.register(name="drydock-none", based_on_arn="no-such:1", image=LAB)


def test_a_batch_that_does_not_answer_is_an_outage_by_name(request_):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    client = boto3.client(
        "batch",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=2),
    )
    jobs = Jobs(client)
    for call in (
        lambda: jobs.submit(request_("x")),
        lambda: jobs.view("x"),
        lambda: jobs.find("queue", "x"),
        lambda: list(jobs.active("queue", "x")),
        lambda: jobs.terminate("x", "y"),
        lambda: jobs.register(name="x", based_on_arn="y", image="z"),
    ):
        with pytest.raises(ServiceUnavailable, match="AWS Batch"):
            call()
