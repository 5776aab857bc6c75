"""What the tests of the embedded Batch share: one that runs, behind a server, driven by boto3."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from local.batch import Batch

IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/drydock:1"
ENDED = {"SUCCEEDED", "FAILED"}


class Bench:
    """An embedded Batch, its boto3 client and all events that it has emitted."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.events: list[dict[str, Any]] = []
        self.endpoint = ""
        self.batch = Batch(
            directory=directory,
            emit=self.events.append,
            endpoint_url=lambda: self.endpoint,
            region="us-west-2",
            account="123456789012",
            stack_image=IMAGE,
            **{"vcpus": 2, "machines": 2, **options},
        )
        self._server = make_server(
            "127.0.0.1",
            0,
            DispatcherMiddleware(self.batch, {"/imds": self.batch.imds}),
            threaded=True,
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        self.client = self.connect()
        self.client.create_compute_environment(
            computeEnvironmentName="spot", type="MANAGED", computeResources=COMPUTE_RESOURCES
        )
        for name, priority in (("spot", 1), ("urgent", 10)):
            self.client.create_job_queue(
                jobQueueName=name,
                priority=priority,
                computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "spot"}],
            )
        self.define("job")

    def connect(self, **config: Any) -> Any:
        """A boto3 client that tries once."""
        return boto3.client(
            "batch",
            endpoint_url=self.endpoint,
            region_name="us-west-2",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def close(self) -> None:
        self.batch.close()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def define(self, name: str, **properties: Any) -> str:
        """Registers a job definition; the ARN of its revision."""
        container = {
            "image": IMAGE,
            "command": ["true"],
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": "512"},
            ],
            **properties,
        }
        answer = self.client.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container
        )
        return answer["jobDefinitionArn"]

    def submit(self, command: list[str], *, size: int | None = None, **request: Any) -> str:
        """Submits a job that runs this command; its id."""
        overrides = {"command": command, **request.pop("containerOverrides", {})}
        if size is not None:
            request["arrayProperties"] = {"size": size}
        answer = self.client.submit_job(
            **{"jobName": "test", "jobQueue": "spot", "jobDefinition": "job", **request},
            containerOverrides=overrides,
        )
        return answer["jobId"]

    def sh(self, script: str, **request: Any) -> str:
        """Submits a job that runs a shell script."""
        return self.submit(["sh", "-c", script], **request)

    def describe(self, job_id: str) -> dict[str, Any]:
        return self.client.describe_jobs(jobs=[job_id])["jobs"][0]

    def wait(self, job_id: str, *statuses: str) -> dict[str, Any]:
        """The job once it has one of these statuses (by default an end)."""
        return until(
            lambda: job if (job := self.describe(job_id))["status"] in (statuses or ENDED) else None
        )

    def log(self, job_id: str, attempt: int = 1) -> str:
        return (self.directory / "logs" / f"{job_id.replace(':', '-')}-{attempt}.log").read_text()

    def statuses(self, job_id: str) -> list[str]:
        """The statuses that the job's events told, in order."""
        return [e["detail"]["status"] for e in self.events if e["detail"]["jobId"] == job_id]


COMPUTE_RESOURCES = {
    "type": "SPOT",
    "maxvCpus": 4,
    "subnets": ["subnet-1"],
    "instanceTypes": ["optimal"],
    "instanceRole": "ecsInstanceRole",
}


def lives(pid: int) -> bool:
    """Whether it runs; one that has ended and is not yet waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def until(probe: Callable[[], Any], limit_s: float = 30.0) -> Any:
    """What the probe says once it says something; a test that waits in vain fails."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.01)
    raise AssertionError("it never came")


@contextlib.contextmanager
def bench(directory: Path, **options: Any) -> Iterator[Bench]:
    running = Bench(directory, **options)
    try:
        yield running
    finally:
        running.close()
