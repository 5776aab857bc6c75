"""Jobs of the embedded Batch in Docker: what a job definition says, and how containers end."""

import json
import time

import pytest

from drydock.failures import classify
from local.batch.docker_containers import DockerLauncher
from tests.containers.engine import BASE, WORKER, docker

FACTS = """
import json, os
def said(path): return open(path).read().strip()
def writable(folder):
    try: open(folder + "/x", "w").close()
    except OSError: return False
    return True
memory = ["/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"]
mounts = [line.split() for line in open("/proc/mounts")]
print(json.dumps({
    "environment": dict(os.environ),
    "memory": int(said(next(path for path in memory if os.path.exists(path)))),
    "shm": os.statvfs("/dev/shm").f_blocks * os.statvfs("/dev/shm").f_frsize,
    "writable": [folder for folder in ("/", "/scratch", "/work", "/opt") if writable(folder)],
    "noexec": "noexec" in next(m[3] for m in mounts if m[1] == "/work").split(","),
    "files": os.sysconf("SC_OPEN_MAX"),
    "user": os.getuid(),
}))
"""
PATIENT = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("told to stop", flush=True), sys.exit(9)))
print("begun", flush=True)
time.sleep(600)
"""
NOTICE = """
import os, time, urllib.request as web
base = os.environ["AWS_EC2_METADATA_SERVICE_ENDPOINT"] + "/latest/"
ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
token = web.urlopen(web.Request(base + "api/token", method="PUT", headers=ttl)).read().decode()
header = {"X-aws-ec2-metadata-token": token}
ask = web.Request(base + "meta-data/spot/instance-action", headers=header)
while True:
    try: print(web.urlopen(ask).read().decode(), flush=True)
    except web.HTTPError as error: print(error.code, flush=True)
    time.sleep(0.2)
"""
CREDENTIALS = """
import json, os, urllib.request as web
names = sorted(n for n in os.environ if n.startswith(("AWS_ACCESS", "AWS_SECRET", "AWS_CONTAINER")))
asked = json.load(web.urlopen(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]))
print(json.dumps({"names": names, "role": asked["RoleArn"]}))
import boto3
print(boto3.client("s3").list_buckets()["ResponseMetadata"]["HTTPStatusCode"])
"""


class Jobs:
    """Definitions, jobs and their logs."""

    def __init__(self, aws):
        self.aws = aws
        self.client = aws.client("batch")
        self.client.create_compute_environment(
            computeEnvironmentName="docker",
            type="MANAGED",
            computeResources={"type": "SPOT", "maxvCpus": 4, "subnets": ["subnet-1"]},
        )
        self.client.create_job_queue(
            jobQueueName="docker",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "docker"}],
        )

    def submit(self, *command, memory=256, image=WORKER, **properties):
        """The id of a new job."""
        needs = {"VCPU": "1", "MEMORY": str(memory)}
        container = {
            "image": image,
            "command": list(command),
            "resourceRequirements": [{"type": t, "value": v} for t, v in needs.items()],
            "volumes": [{"name": "scratch", "host": {"sourcePath": "/scratch"}}],
            "mountPoints": [{"sourceVolume": "scratch", "containerPath": "/scratch"}],
            **properties,
        }
        definition = self.client.register_job_definition(
            jobDefinitionName="docker", type="container", containerProperties=container
        )
        return self.client.submit_job(
            jobName="job", jobQueue="docker", jobDefinition=definition["jobDefinitionArn"]
        )["jobId"]

    def job(self, job_id):
        return self.client.describe_jobs(jobs=[job_id])["jobs"][0]

    def ended(self, job_id):
        """The job, once it has."""
        return _until(lambda: self._if_in(job_id, "SUCCEEDED", "FAILED"))

    def runs(self, job_id, word="begun"):
        """The machine on which it is, once it has said so."""
        _until(lambda: word in self.log(job_id))
        arn = self.job(job_id)["container"]["containerInstanceArn"]
        return arn.rpartition("/")[2]

    def log(self, job_id):
        path = self.aws.directory / "logs" / f"{job_id}-1.log"
        return path.read_text() if path.exists() else ""

    def _if_in(self, job_id, *statuses):
        job = self.job(job_id)
        return job if job["status"] in statuses else None


def _until(ask):
    end = time.monotonic() + 120
    while not (answer := ask()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def jobs(aws):
    return Jobs(aws)


def verdict(job):
    """What drydock makes of the job's last attempt."""
    attempt = job["attempts"][-1]
    container = attempt["container"]
    found = classify(attempt["statusReason"], container.get("reason"), container.get("exitCode"))
    return found.failure_class


def test_a_container_is_what_its_definition_says(jobs, aws):
    secret = aws.client("secretsmanager").create_secret(Name="lab", SecretString="told to nobody")
    job_id = jobs.submit(
        *("python3", "-c", FACTS),
        environment=[{"name": "MADE", "value": "by\nhand"}],
        secrets=[{"name": "KEY", "valueFrom": secret["ARN"]}],
        executionRoleArn="arn:aws:iam::123456789012:role/execution",
        readonlyRootFilesystem=True,
        user="10002",
        ulimits=[{"name": "nofile", "softLimit": 123, "hardLimit": 456}],
        linuxParameters={
            "sharedMemorySize": 96,
            "tmpfs": [{"containerPath": "/work", "size": 8, "mountOptions": ["noexec"]}],
        },
    )
    job = jobs.ended(job_id)
    assert (job["status"], job["container"]["exitCode"]) == ("SUCCEEDED", 0), jobs.log(job_id)
    facts = json.loads(jobs.log(job_id))
    assert facts["memory"] == 256 * 2**20
    assert facts["shm"] == 96 * 2**20
    assert facts["writable"] == ["/scratch", "/work"]
    assert facts["noexec"] is True
    assert (facts["files"], facts["user"]) == (123, 10002)
    environment = facts["environment"]
    assert environment["MADE"] == "by\nhand"
    assert environment["KEY"] == "told to nobody"
    assert "told to nobody" not in json.dumps(job)
    assert environment["AWS_BATCH_JOB_ID"] == job_id
    assert environment["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert environment["AWS_ENDPOINT_URL"] == f"http://169.254.170.2:{jobs.aws.gateway.port}"


def test_scratch_is_the_machines_until_it_is_taken_away(jobs):
    write = jobs.submit("sh", "-c", "echo kept > /scratch/file; umask 077; mkdir /scratch/mine")
    assert jobs.ended(write)["status"] == "SUCCEEDED"
    read = jobs.submit("sh", "-c", "cat /scratch/file; echo begun; sleep 600")
    machine = jobs.runs(read)
    assert jobs.log(read) == "kept\nbegun\n"
    jobs.aws.batch.reclaim(machine, notice_s=0)
    lost = jobs.ended(read)
    assert lost["attempts"][-1]["statusReason"] == f"Host EC2 (instance {machine}) terminated."
    assert docker("volume", "ls", "--quiet", "--filter", f"name=drydock-{machine}") == ""


def test_a_spot_notice_reaches_the_container(jobs):
    job_id = jobs.submit("python3", "-c", NOTICE)
    machine = jobs.runs(job_id, "404\n")
    jobs.aws.batch.reclaim(machine, notice_s=3)
    jobs.ended(job_id)
    assert json.loads(jobs.log(job_id).splitlines()[-1])["action"] == "terminate"


def test_a_job_that_is_terminated_is_told_first(jobs):
    job_id = jobs.submit("python3", "-c", PATIENT)
    jobs.runs(job_id)
    jobs.client.terminate_job(jobId=job_id, reason="enough")
    job = jobs.ended(job_id)
    assert (job["statusReason"], job["container"]["exitCode"]) == ("enough", 9)
    assert jobs.log(job_id) == "begun\ntold to stop\n"


def test_a_container_that_is_killed_for_memory_is_what_ecs_calls_so(jobs):
    job = jobs.ended(jobs.submit("python3", "-c", "x = bytearray(200_000_000)", memory=32))
    assert job["container"]["exitCode"] == 137
    assert job["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"
    assert verdict(job) == "out_of_memory"


def test_an_image_that_cannot_be_pulled_is_what_ecs_calls_so(jobs):
    job = jobs.ended(jobs.submit("true", image="registry.invalid/lab/none:1"))
    assert job["attempts"][-1]["statusReason"] == "Task failed to start"
    assert job["container"]["reason"].startswith("CannotPullContainerError: Error response from ")
    assert "exitCode" not in job["container"]


def test_a_program_that_the_image_lacks_is_what_ecs_calls_so(jobs):
    job = jobs.ended(jobs.submit("drydock-worker", image=BASE))
    assert job["container"]["reason"].startswith("CannotStartContainerError: Error response from ")
    assert verdict(job) == "command"


def test_what_a_crash_left_behind_is_removed(aws, tmp_path, worker_image):
    label = ("--label", f"drydock.directory={tmp_path}")
    left = docker("run", "--detach", *label, worker_image, "sleep", "600").strip()
    docker("volume", "create", *label, f"drydock-{left[:12]}")
    launcher = DockerLauncher(
        directory=tmp_path,
        endpoint_url=lambda: aws.endpoint_url,
        region=aws.region,
        stack_image=lambda: "",
        worker_image=worker_image,
    )
    launcher.clean_all()
    mine = ("--quiet", "--filter", f"label=drydock.directory={tmp_path}")
    assert docker("ps", "--all", *mine) + docker("volume", "ls", *mine) == ""


def test_a_container_asks_the_agent_for_the_keys_of_its_role(jobs):
    role = "arn:aws:iam::123456789012:role/of-the-lab"
    since = len(jobs.aws.gateway.calls)
    job_id = jobs.submit("/opt/drydock/bin/python", "-c", CREDENTIALS, jobRoleArn=role)
    assert jobs.ended(job_id)["status"] == "SUCCEEDED", jobs.log(job_id)
    facts, status = jobs.log(job_id).splitlines()
    assert json.loads(facts) == {"names": ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], "role": role}
    assert status == "200"
    called = [call for call in list(jobs.aws.gateway.calls)[since:] if call.service == "s3"]
    assert {call.access_key for call in called} == {"of-the-lab"}


def test_what_is_privileged_runs_without_it_and_that_is_said(jobs, caplog):
    job_id = jobs.submit("sh", "-c", "grep CapEff /proc/self/status", privileged=True)
    assert jobs.ended(job_id)["status"] == "SUCCEEDED", jobs.log(job_id)
    [held] = jobs.log(job_id).splitlines()
    assert int(held.split()[1], 16) < 2**30
    name = jobs.job(job_id)["jobDefinition"].rpartition("/")[2]
    assert [each.getMessage() for each in caplog.records] == [
        f"job definition {name} asks for privileged: its jobs run without it"
    ]


def test_a_file_system_that_is_not_here_is_said(jobs):
    volume = {"name": "shared", "efsVolumeConfiguration": {"fileSystemId": "fs-1"}}
    mount = {"sourceVolume": "shared", "containerPath": "/shared"}
    job = jobs.ended(jobs.submit("true", volumes=[volume], mountPoints=[mount]))
    assert job["container"]["reason"] == "CannotCreateContainerError: no EFS here for shared"
