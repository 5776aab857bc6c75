"""Machines of the embedded Batch: instance metadata as IMDSv2 serves it, and Spot reclaims."""

import json
import urllib.error
import urllib.request

import pytest

from tests.embedded.batch_support import bench, until

HANG = "echo ready; while :; do sleep 0.05; done"
RETRY_RECLAIM = {
    "attempts": 2,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ],
}


@pytest.fixture
def aws(tmp_path):
    with bench(tmp_path, vcpus=1, machines=2) as running:
        yield running


def ask(url, method="GET", **headers):
    """Status and text of an answer."""
    named = {f"X-aws-ec2-metadata-{key.replace('_', '-')}": v for key, v in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


class Metadata:
    """What a program on a machine sees of it."""

    def __init__(self, aws, machine_id):
        self.base = f"{aws.endpoint}/imds/{machine_id}/latest"
        _, self.token = ask(f"{self.base}/api/token", "PUT", token_ttl_seconds="60")

    def get(self, path):
        return ask(f"{self.base}/meta-data/{path}", token=self.token)


def running_machine(aws, job_id):
    aws.wait(job_id, "RUNNING")
    until(lambda: "ready" in aws.log(job_id))
    return next(machine for machine in aws.batch.machines() if machine.used)


def test_metadata_needs_a_token_and_tokens_a_lifetime(aws):
    machine = aws.batch.machines()[0]
    metadata = Metadata(aws, machine.id)
    assert metadata.get("instance-id") == (200, machine.id)
    assert metadata.get("instance-life-cycle") == (200, "spot")
    assert ask(f"{metadata.base}/meta-data/instance-id")[0] == 401
    assert ask(f"{metadata.base}/meta-data/instance-id", token="made up")[0] == 401
    assert ask(f"{metadata.base}/api/token", "PUT")[0] == 400
    assert ask(f"{metadata.base}/api/token", "PUT", token_ttl_seconds="0")[0] == 400
    assert ask(f"{metadata.base}/api/token", token_ttl_seconds="60")[0] == 405
    assert metadata.get("public-keys")[0] == 404
    assert metadata.get("spot/instance-action")[0] == 404
    other = aws.batch.machines()[1]
    assert (
        ask(f"{aws.endpoint}/imds/{other.id}/latest/meta-data/instance-id", token=metadata.token)[0]
        == 401
    )


def test_a_job_reaches_the_metadata_of_its_own_machine(aws):
    job_id = aws.sh("echo $AWS_EC2_METADATA_SERVICE_ENDPOINT; " + HANG)
    machine = running_machine(aws, job_id)
    assert aws.log(job_id).splitlines()[0] == f"{aws.endpoint}/imds/{machine.id}"


def test_a_kill_without_notice_leaves_no_exit_code(aws):
    job_id = aws.sh(HANG)
    machine = running_machine(aws, job_id)
    aws.batch.reclaim(machine.id, 0)
    job = aws.wait(job_id)
    assert job["status"] == "FAILED"
    assert job["statusReason"] == f"Host EC2 (instance {machine.id}) terminated."
    assert "exitCode" not in job["container"]
    assert "exitCode" not in job["attempts"][0]["container"]
    assert job["attempts"][0]["statusReason"] == job["statusReason"]
    machines = aws.batch.machines()
    assert len(machines) == 2
    assert machine.id not in {each.id for each in machines}


def test_a_reclaimed_child_is_retried_elsewhere(aws):
    job_id = aws.sh(HANG, size=2, retryStrategy=RETRY_RECLAIM)
    until(lambda: aws.batch.running() == 2)
    machine = aws.batch.machines()[0]
    child = next(iter(machine.used))
    aws.batch.reclaim(machine.id, 0)
    again = until(lambda: job if len((job := aws.describe(child))["attempts"]) == 1 else None)
    assert again["attempts"][0]["statusReason"].startswith("Host EC2 (instance i-")
    aws.wait(child, "RUNNING")
    assert child in aws.batch.machines()[0].used
    assert aws.describe(job_id)["status"] == "PENDING"


def test_a_notice_is_seen_before_the_end_and_nothing_new_is_placed_there(aws):
    job_id = aws.sh(f'trap "exit 1" USR1; {HANG}')
    machine = running_machine(aws, job_id)
    metadata = Metadata(aws, machine.id)
    aws.batch.reclaim(machine.id, 60)
    status, text = metadata.get("spot/instance-action")
    assert status == 200
    assert json.loads(text)["action"] == "terminate"
    assert json.loads(text)["time"].endswith("Z")
    assert aws.describe(job_id)["status"] == "RUNNING"
    others = aws.submit(["true"], size=3)
    assert aws.wait(others)["status"] == "SUCCEEDED"
    assert {
        machine.id in aws.describe(f"{others}:{n}")["container"]["containerInstanceArn"]
        for n in range(3)
    } == {False}


def test_who_leaves_after_the_notice_keeps_the_own_exit_code(aws, tmp_path):
    job_id = aws.sh(f"echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; exit 1")
    machine = running_machine(aws, job_id)
    aws.batch.reclaim(machine.id, 0.7)
    (tmp_path / "go").touch()
    job = aws.wait(job_id)
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 1
    until(lambda: machine.id not in {each.id for each in aws.batch.machines()})
    assert len(aws.batch.machines()) == 2


def test_the_disk_goes_with_the_machine(aws):
    definition = aws.define(
        "disk",
        volumes=[{"name": "scratch", "host": {"sourcePath": "/scratch"}}],
        mountPoints=[{"sourceVolume": "scratch", "containerPath": "/scratch"}],
        environment=[{"name": "SHRTCACHE", "value": "/scratch"}],
    )
    job_id = aws.sh(f"touch $SHRTCACHE/kept; {HANG}", jobDefinition=definition)
    machine = running_machine(aws, job_id)
    kept = machine.volume("scratch") / "kept"
    assert kept.exists()
    aws.batch.reclaim(machine.id, 0)
    aws.wait(job_id)
    until(lambda: not kept.exists())


def test_a_machine_may_be_gone_before_its_notice_is_over(aws, caplog):
    job_id = aws.sh(HANG)
    machine = running_machine(aws, job_id)
    aws.batch.reclaim(machine.id, 0.5)
    aws.batch.reclaim(machine.id, 0)
    assert aws.wait(job_id)["statusReason"].startswith("Host EC2")
    until(lambda: not aws.batch._scheduler._timers)
    assert len(aws.batch.machines()) == 2
    assert aws.wait(aws.submit(["true"]))["status"] == "SUCCEEDED"
    assert "failed" not in caplog.text


def test_an_unknown_machine_cannot_be_reclaimed(aws):
    with pytest.raises(KeyError, match="i-nowhere"):
        aws.batch.reclaim("i-nowhere", 0)
