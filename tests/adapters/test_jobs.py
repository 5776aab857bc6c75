"""The door to AWS Batch, against the embedded one."""

import contextlib
import io
import json
import socket

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from urllib3.response import HTTPResponse

from drydock.definitions import Container
from drydock.errors import RunMisconfigured, ServiceUnavailable
from drydock.failures import classify
from drydock.job_views import FailedChild, JobView
from drydock.jobs import REFUSED, JobRequest, Jobs
from tests.embedded.batch_support import IMAGE, bench

LAB = "123456789012.dkr.ecr.us-west-2.amazonaws.com/lab/vina:2"
SECRET = "arn:aws:secretsmanager:us-west-2:123456789012:secret:lab/license-AbCdEf"


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """One embedded Batch of one vCPU: what does not fit waits."""
    with bench(tmp_path_factory.mktemp("batch"), machines=1, vcpus=1) as running:
        running.define(
            "stack",
            command=["sh", "-c", 'echo $TASK; eval "exit ${CODE:-0}"'],
            jobRoleArn="arn:aws:iam::1:role/job",
            executionRoleArn="arn:aws:iam::1:role/execution",
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
    assert jobs.view(job_id).state == "active"
    jobs.terminate(job_id, "drydock: aborted")
    batch.wait(job_id)
    ended = JobView("ended", "drydock: aborted", has_failed=True, is_terminated=True)
    assert jobs.view(job_id) == ended
    jobs.terminate(job_id, "drydock: superseded")


def test_a_plain_job_tells_how_its_last_attempt_ended(batch, jobs, request_):
    job_id = jobs.submit(request_("ends", environment={"CODE": "75", "TASK": "t"}))
    batch.wait(job_id)
    found = jobs.view(job_id)
    assert (found.has_failed, found.is_terminated) == (True, False)
    assert found.last.exit_code == 75
    assert found.last.status_reason == "Essential container in task exited"
    assert jobs.attempts([job_id, "unknown"]) == {job_id: [found.last]}
    assert 0 < found.last.started_at <= found.last.stopped_at < 10_000_000_000


def test_the_children_that_failed_are_told_with_their_reasons(batch, jobs, request_):
    script = {"TASK": "t", "CODE": "$((AWS_BATCH_JOB_ARRAY_INDEX * 7))"}
    job_id = jobs.submit(request_("some", jobs=3, environment=script))
    batch.wait(job_id)
    assert jobs.view(job_id).reason == "Array Child Job failed"
    exited = "Essential container in task exited"
    assert sorted(jobs.failed_children(job_id), key=lambda child: child.index) == [
        FailedChild(1, exited, None, 7, is_terminated=False),
        FailedChild(2, exited, None, 14, is_terminated=False),
    ]
    assert sorted(jobs.attempts([f"{job_id}:0", f"{job_id}:2"])) == [f"{job_id}:0", f"{job_id}:2"]


def test_a_child_that_somebody_terminated_says_so(batch, jobs, request_):
    job_id = jobs.submit(request_("taken", jobs=2, vcpus=1000))
    jobs.terminate(f"{job_id}:1", "operator cancelled it")
    batch.wait(f"{job_id}:1")
    assert list(jobs.failed_children(job_id)) == [
        FailedChild(1, "operator cancelled it", None, None, is_terminated=True)
    ]
    jobs.terminate(job_id, "drydock: aborted")


def test_children_that_failed_are_listed_a_thousand_a_page(batch, jobs, request_):
    calls = []
    batch.client.meta.events.register(
        "before-call.batch.ListJobs", lambda **call: calls.append(call), unique_id="counted"
    )
    job_id = jobs.submit(request_("wide", jobs=2001, vcpus=1000))
    jobs.terminate(job_id, "drydock: aborted")
    batch.wait(job_id)
    assert {child.index for child in jobs.failed_children(job_id)} == set(range(2001))
    assert len(calls) == 3
    batch.client.meta.events.unregister("before-call.batch.ListJobs", unique_id="counted")


def test_what_runs_is_counted_by_job(batch, jobs, request_):
    plain = jobs.submit(request_("runs", environment={"CODE": "$(sleep 60)", "TASK": "t"}))
    batch.wait(plain, "RUNNING")
    array = jobs.submit(request_("waits", jobs=3))
    assert jobs.running([plain, array, "unknown"]) == {plain: 1, array: 0}
    jobs.terminate_all([plain], "drydock: aborted")
    batch.wait(plain)
    jobs.terminate(array, "drydock: aborted")
    batch.wait(array)
    assert jobs.running([plain, array]) == {plain: 0, array: 0}


def test_running_children_are_counted_by_their_array(batch, jobs, request_):
    array = jobs.submit(request_("run", jobs=2, environment={"CODE": "$(sleep 60)", "TASK": "t"}))
    batch.wait(f"{array}:0", "RUNNING")
    assert jobs.running([array]) == {array: 1}
    jobs.cancel(array, "drydock: stopped")
    batch.wait(f"{array}:1")
    assert jobs.view(array).state == "active"
    assert jobs.running([array]) == {array: 1}
    jobs.terminate(array, "drydock: stopped")
    batch.wait(array)


def test_more_jobs_than_one_call_takes_are_described_and_terminated(batch, jobs, request_):
    ids = [jobs.submit(request_(f"one-{number}", vcpus=1000)) for number in range(101)]
    assert len(jobs.running(ids)) == 101
    assert jobs.terminate_all(ids, "drydock: aborted") == 101
    for job_id in ids:
        assert batch.wait(job_id)["statusReason"] == "drydock: aborted"
    assert jobs.terminate_all([], "drydock: aborted") == 0


def test_a_job_that_could_not_be_terminated_with_others_is_by_itself(batch, jobs, request_):
    """TerminateJobs answers 200 and names those that it could not end."""
    ids = [jobs.submit(request_(f"odd-{number}", vcpus=1000)) for number in range(2)]

    def spare(params, **_):
        params["body"] = params["body"].replace(f', "{ids[1]}"'.encode(), b"")

    asked = []
    events = batch.client.meta.events
    events.register("before-call.batch.TerminateJobs", spare, unique_id="spare")
    events.register(
        "after-call.batch.TerminateJobs",
        lambda parsed, **_: parsed.update(
            successful=ids[:1], errors=[{"job": ids[1], "code": "ServerException", "message": "y"}]
        ),
        unique_id="refuse",
    )
    events.register("before-call.batch.TerminateJob", lambda **call: asked.append(call), "asked")
    try:
        jobs.terminate_all(ids, "drydock: aborted")
        assert len(asked) == 1
        for job_id in ids:
            assert batch.wait(job_id)["statusReason"] == "drydock: aborted"
    finally:
        events.unregister("before-call.batch.TerminateJobs", unique_id="spare")
        events.unregister("after-call.batch.TerminateJobs", unique_id="refuse")
        events.unregister("before-call.batch.TerminateJob", unique_id="asked")


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


def answer(status, code, message):
    """An answer of AWS Batch's own, in place of the embedded one's."""

    def send(request, **_):
        raw = HTTPResponse(
            io.BytesIO(json.dumps({"message": message}).encode()), preload_content=False
        )
        return AWSResponse(request.url, status, {"x-amzn-errortype": code}, raw)

    return send


@contextlib.contextmanager
def answering(client, operation, *told):
    event = f"before-send.batch.{operation}"
    client.meta.events.register(event, handler := answer(*told))
    try:
        yield
    finally:
        client.meta.events.unregister(event, handler)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "TooManyRequestsException"),
        (500, "ServerException"),
        (503, "ServiceUnavailable"),
        (500, "AWSBatchException"),
    ],
)
def test_a_submission_that_is_throttled_or_met_a_fault_may_be_tried_again(
    batch, jobs, request_, status, code
):
    told = answering(batch.client, "SubmitJob", status, code, "Too Many Requests")
    with told, pytest.raises(ServiceUnavailable, match=code):
        jobs.submit(request_("throttled"))
    assert jobs.find("spot", "throttled") is None


@pytest.mark.parametrize(
    "message",
    [
        "Job Queue is attached to Compute Environment that can not run Jobs with capability EC2",
        "JobQueue spot not found",
        "Job definition drydock:1 does not exist",
        "Command field cannot have empty strings",
        "Container Overrides length must be at most 8192",
    ],
)
def test_a_submission_that_is_refused_keeps_the_words(batch, jobs, request_, message):
    words = f"Error executing request, Exception : {message}, RequestId: 1"
    told = answering(batch.client, "SubmitJob", 400, "ClientException", words)
    with told, pytest.raises(RunMisconfigured) as caught:
        jobs.submit(request_("refused"))
    said = str(caught.value)
    assert said == REFUSED + words
    assert classify(said.removeprefix(REFUSED), None, None).failure_class == "configuration"


def test_an_array_that_batch_has_forgotten_has_no_children(batch, jobs):
    unknown = "00000000-0000-0000-0000-000000000000"
    assert list(jobs.failed_children(unknown)) == []
    with answering(batch.client, "ListJobs", 400, "ClientException", "Array job not found"):
        assert list(jobs.failed_children(unknown)) == []
    told = answering(batch.client, "ListJobs", 500, "ServerException", "out of order")
    with told, pytest.raises(ServiceUnavailable):
        list(jobs.failed_children(unknown))


def test_another_image_gets_a_definition_of_its_own_once(batch, jobs):
    wanted = Container(LAB, 128, {"KEY": SECRET})
    assert jobs.definition("stack-lab", wanted) is None
    first = jobs.register(name="stack-lab", based_on_arn="stack:1", container=wanted)
    assert jobs.definition("stack-lab", wanted) == first
    assert first in jobs.definitions()
    described = batch.client.describe_job_definitions(jobDefinitions=[first])["jobDefinitions"]
    container = described[0]["containerProperties"]
    assert (container["image"], container["jobRoleArn"]) == (LAB, "arn:aws:iam::1:role/job")
    assert container["linuxParameters"]["sharedMemorySize"] == 128
    assert container["secrets"] == [{"name": "KEY", "valueFrom": SECRET}]
    own = batch.client.describe_job_definitions(jobDefinitions=["stack:1"])["jobDefinitions"]
    assert own[0]["containerProperties"]["image"] == IMAGE


@pytest.mark.parametrize(
    "other",
    [Container(IMAGE, 64), Container(LAB, 65), Container(LAB, 64, {"KEY": SECRET})],
    ids=["image", "shared memory", "secrets"],
)
def test_a_definition_of_the_name_that_says_something_else_is_not_taken(batch, jobs, other):
    name = f"stack-other-{other.shm_mib}-{len(other.secrets)}"
    wanted = Container(LAB, 64)
    jobs.register(name=name, based_on_arn="stack:1", container=other)
    assert jobs.definition(name, wanted) is None
    found = jobs.register(name=name, based_on_arn="stack:1", container=wanted)
    assert jobs.definition(name, wanted) == found
    assert found.endswith(":2")


def test_a_definition_that_was_deregistered_takes_no_more_jobs(jobs, request_):
    wanted = Container(IMAGE, 64)
    arn = jobs.register(name="stack-past", based_on_arn="stack:1", container=wanted)
    jobs.deregister(arn)
    assert arn not in jobs.definitions()
    assert jobs.definition("stack-past", wanted) is None
    with pytest.raises(RunMisconfigured, match="not ACTIVE"):
        jobs.submit(request_("late", definition_arn=arn))


def test_a_stack_without_its_definition_is_misconfigured(jobs):
    with pytest.raises(RunMisconfigured, match="no-such:1"):
        jobs.register(name="stack-none", based_on_arn="no-such:1", container=Container(LAB, 64))


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
        lambda: jobs.terminate_all(["x"], "y"),
        lambda: jobs.cancel("x", "y"),
        lambda: list(jobs.failed_children("x")),
        lambda: jobs.running(["x"]),
        lambda: jobs.attempts(["x"]),
        lambda: jobs.definition("x", Container("z", 64)),
        lambda: list(jobs.definitions()),
        lambda: jobs.deregister("x"),
        lambda: jobs.register(name="x", based_on_arn="y", container=Container("z", 64)),
    ):
        with pytest.raises(ServiceUnavailable, match="AWS Batch"):
            call()
