"""The embedded Batch runs jobs: states, environment, attempts and their texts."""

import pytest

from tests.embedded.batch_support import Bench, bench, until

RETRY_RECLAIM_AND_1 = {
    "attempts": 3,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onExitCode": "1", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ],
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with bench(tmp_path_factory.mktemp("batch")) as running:
        yield running


def variables(aws: Bench, job_id: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in aws.log(job_id).splitlines())


def test_a_plain_job_goes_through_the_states_and_succeeds(aws):
    job_id = aws.submit(["true"])
    job = aws.wait(job_id)
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert "arrayProperties" not in job
    until(lambda: aws.statuses(job_id)[-1:] == ["SUCCEEDED"])
    assert aws.statuses(job_id) == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]


def test_an_array_runs_each_child_once_and_its_parent_follows(aws):
    job_id = aws.submit(["env"], size=5)
    parent = aws.wait(job_id)
    assert parent["status"] == "SUCCEEDED"
    assert parent["attempts"] == []
    assert parent["arrayProperties"]["size"] == 5
    assert parent["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 5
    until(lambda: aws.statuses(job_id)[-1:] == ["SUCCEEDED"])
    assert aws.statuses(job_id) == ["PENDING", "SUCCEEDED"]
    given = [variables(aws, f"{job_id}:{n}") for n in range(5)]
    assert [env["AWS_BATCH_JOB_ARRAY_INDEX"] for env in given] == list("01234")
    assert [env["AWS_BATCH_JOB_ID"] for env in given] == [f"{job_id}:{n}" for n in range(5)]
    assert {env["AWS_BATCH_JOB_ARRAY_SIZE"] for env in given} == {"5"}
