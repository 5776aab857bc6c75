"""What the scheduler wants of whatever runs containers, and what it is told by it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local.batch.machines import Machine
from local.batch.model import Job
from local.principals import credentials


class StartError(Exception):
    """The container could not be started; the message is what ECS gives as its reason."""


@dataclass(frozen=True)
class Ended:
    """How a container ended.

    `code` is its exit code (-n for a death by signal n), None for one that never ran; `reason` is
    ECS's, where it gives one.
    """

    code: int | None
    reason: str | None = None


@dataclass(frozen=True)
class Reports:
    """To be called from any thread, each once: when the container runs, and when it has ended."""

    started: Callable[[], None]
    ended: Callable[[Ended], None]


class Handle(Protocol):
    """A container that was asked for; what has ended is let be."""

    def terminate(self) -> None:
        """SIGTERM to its process 1."""

    def kill(self) -> None:
        """SIGKILL to all of it."""


class Launcher(Protocol):
    """Starts the attempts of jobs."""

    def start(self, job: Job, attempt: int, machine: Machine, reports: Reports) -> Handle:
        """Starts attempt number `attempt` (from 1) of a job. Raises StartError, OSError."""

    def clean(self, job: Job, attempt: int) -> None:
        """Removes the container's own files; logs and volumes stay."""

    def wipe(self, machine: Machine) -> None:
        """The machine's disk is gone with it."""

    def clean_all(self) -> None:
        """Removes what containers and machines of an earlier time left behind; logs stay."""

    def close(self) -> None:
        """Ends all that runs, and waits for it."""


def file_stem(job: Job, attempt: int) -> str:
    """The name of an attempt's files."""
    return f"{job.id.replace(':', '-')}-{attempt}"


def log_file(directory: Path, job: Job, attempt: int) -> Path:
    """The file that an attempt writes its log to."""
    return directory / "logs" / f"{file_stem(job, attempt)}.log"


def given_variables(job: Job) -> dict[str, str]:
    """What the job itself sets."""
    return {v["name"]: v.get("value", "") for v in job.spec.container.get("environment", [])}


def way_to_aws(machine: Machine, endpoint_url: str, region: str) -> dict[str, str]:
    """Where AWS is, and where the metadata of its machine are."""
    return {
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"{endpoint_url}/imds/{machine.id}",
    }


def role_keys(job: Job) -> dict[str, str]:
    """The keys of the job's role, for where there is no agent to ask for them."""
    return credentials(job.spec.container.get("jobRoleArn", ""))


def batch_variables(job: Job, attempt: int) -> dict[str, str]:
    """Source: the Batch user guide, "Job environment variables"; the index is for arrays alone."""
    variables = {
        "AWS_BATCH_JOB_ID": job.id,
        "AWS_BATCH_JOB_ATTEMPT": str(attempt),
        "AWS_BATCH_JQ_NAME": job.spec.queue.name,
        "AWS_BATCH_CE_NAME": job.spec.queue.environment_name,
    }
    if job.parent is not None:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.index)
        variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(len(job.parent.children))
    return variables
