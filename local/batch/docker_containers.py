"""Containers in Docker: one attempt of a job as its job definition asks for it."""

import contextlib
import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from local.batch.agent import Agent, new_word
from local.batch.launching import (
    Ended,
    Reports,
    StartError,
    batch_variables,
    file_stem,
    given_variables,
    log_file,
    role_keys,
    way_to_aws,
)
from local.batch.machines import Machine
from local.batch.model import Job, Spec
from local.batch.secrets import secret_variables
from local.docker import ADD_HOST, HOST, DockerError, container_url, docker
from local.images import digest_of

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"
_LABEL = "drydock.directory"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DockerLauncher:
    """Starts attempts; their logs are below `directory`, which also marks all that is theirs.

    `stack_image` is what the stack calls the image that Docker here has as `worker_image`; others
    are pulled. The worker's has a folder for scratch that anybody may write to. Containers have
    their keys from the `agent`, at `agent_address`; where they reach none, from their environment.
    """

    directory: Path
    endpoint_url: Callable[[], str]
    region: str
    stack_image: Callable[[], str]
    worker_image: str
    agent: Agent = field(default_factory=Agent)
    agent_address: str | None = None
    _threads: list[threading.Thread] = field(default_factory=list)
    _making_volumes: threading.Lock = field(default_factory=threading.Lock)

    def start(self, job: Job, attempt: int, machine: Machine, reports: Reports) -> "_Container":
        """Starts attempt number `attempt` (from 1) of a job; what goes wrong is reported."""
        container = _Container()
        thread = threading.Thread(
            target=self._run,
            args=(container, job, attempt, machine, reports),
            name=f"container-{file_stem(job, attempt)}",
            daemon=True,
        )
        self._threads.append(thread)
        thread.start()
        return container

    def clean(self, job: Job, attempt: int) -> None:
        """Nothing is left: a container is removed when it has ended."""

    def wipe(self, machine: Machine) -> None:
        """Remove its volumes, once nothing that ends with it uses them."""
        for volume in _lines("volume", "ls", "--quiet", "--filter", f"name=drydock-{machine.id}-"):
            with contextlib.suppress(DockerError):
                docker("volume", "rm", volume)

    def clean_all(self) -> None:
        """Remove what an earlier time left behind; logs stay."""
        mine = ("--quiet", "--filter", f"label={_LABEL}={self.directory}")
        if containers := _lines("ps", "--all", *mine):
            docker("rm", "--force", "--volumes", *containers)
        if volumes := _lines("volume", "ls", *mine):
            with contextlib.suppress(DockerError):
                docker("volume", "rm", *volumes)

    def close(self) -> None:
        """Remove every container, running or not."""
        self.clean_all()
        for thread in self._threads:
            thread.join()

    def _run(
        self, container: "_Container", job: Job, attempt: int, machine: Machine, reports: Reports
    ) -> None:
        try:
            ended = self._ended(container, job, attempt, machine, reports.started)
        except StartError as error:
            ended = Ended(None, str(error))
        except (DockerError, OSError) as error:
            ended = Ended(None, f"CannotCreateContainerError: {error}")
        # First, so that its machine's volumes are nobody's any more.
        container.remove()
        self.agent.forget(container.word)
        reports.ended(ended)

    def _ended(
        self,
        container: "_Container",
        job: Job,
        attempt: int,
        machine: Machine,
        started: Callable[[], None],
    ) -> Ended:
        image = self._local_name(job.spec.container["image"])
        try:
            _have(image)
        except DockerError as error:
            return Ended(None, f"CannotPullContainerError: {error}")
        mounts = list(self._mounts(job, machine))
        container.create(
            *("--name", f"drydock-{file_stem(job, attempt)}"),
            *("--label", f"{_LABEL}={self.directory}"),
            *("--add-host", ADD_HOST, "--log-driver", "json-file"),
            *mounts,
            *_limits(job),
            *_linux(job.spec),
            *self._variables(container.word, job, attempt, machine),
            image,
            *job.spec.container["command"],
        )
        self.agent.created(container.word, *container.identity())
        try:
            has_begun = container.start()
        except DockerError as error:
            return Ended(None, f"CannotStartContainerError: {error}")
        if not has_begun:
            return Ended(None)
        started()
        return container.follow(self._log(job, attempt))

    def _local_name(self, image: str) -> str:
        own = self.stack_image()
        is_own = image == own or image.endswith(f"@{digest_of(own)}")
        return self.worker_image if is_own else image

    def _mounts(self, job: Job, machine: Machine) -> Iterator[str]:
        for volume in job.spec.container["volumes"]:
            if "efsVolumeConfiguration" in volume:
                raise StartError(f"CannotCreateContainerError: no EFS here for {volume['name']}")
        for mount in job.spec.container["mountPoints"]:
            path, name = mount["containerPath"], f"drydock-{machine.id}-{mount['sourceVolume']}"
            with self._making_volumes:
                if not _lines("volume", "ls", "--quiet", "--filter", f"name={name}"):
                    self._make_volume(name)
            yield from ("--volume", f"{name}:{path}" + (":ro" if mount.get("readOnly") else ""))

    def _make_volume(self, name: str) -> None:
        """Docker fills a new volume from the first image it is used with, modes included."""
        docker("volume", "create", "--label", f"{_LABEL}={self.directory}", name)
        docker("rm", docker("create", "--volume", f"{name}:/scratch", self.worker_image).strip())

    def _variables(self, word: str, job: Job, attempt: int, machine: Machine) -> Iterator[str]:
        url = container_url(self.endpoint_url(), self.agent_address or HOST)
        keys = self.agent.variables(word, job, url)
        variables = {
            **way_to_aws(machine, url, self.region),
            **(keys if self.agent_address else role_keys(job)),
            **given_variables(job),
            **secret_variables(job.spec.container, self.endpoint_url(), self.region),
            **batch_variables(job, attempt),
        }
        for name, value in variables.items():
            yield from ("--env", f"{name}={value}")

    def _log(self, job: Job, attempt: int) -> Path:
        log = log_file(self.directory, job, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        return log


class _Container:
    """One container of Docker's; it may be told to end before it is there."""

    def __init__(self) -> None:
        self.word = new_word()
        self._id = ""
        self._runs = False
        self._is_unwanted = False
        self._lock = threading.Lock()

    def terminate(self) -> None:
        """SIGTERM to its process 1."""
        self._signal("TERM")

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._signal("KILL")

    def create(self, *words: str) -> None:
        """Raises DockerError."""
        self._id = docker("create", *words).strip()

    def identity(self) -> tuple[str, str]:
        """Its id, and that of its image. Raises DockerError."""
        return self._id, docker("inspect", "--format", "{{.Image}}", self._id).strip()

    def start(self) -> bool:
        """Start it, unless it was told to end meanwhile. Raises DockerError."""
        with self._lock:
            if not self._is_unwanted:
                docker("start", self._id)
                self._runs = True
            return self._runs

    def follow(self, log: Path) -> Ended:
        """Write its log until it ends. Raises DockerError."""
        with log.open("ab") as file:
            subprocess.run(
                ["docker", "logs", "--follow", self._id], stdout=file, stderr=file, check=False
            )
        code = int(docker("wait", self._id))
        killed = docker("inspect", "--format", "{{.State.OOMKilled}}", self._id).strip()
        return Ended(code, OUT_OF_MEMORY if killed == "true" else None)

    def remove(self) -> None:
        """It is gone, if it ever was there."""
        if self._id:
            with contextlib.suppress(DockerError):
                docker("rm", "--force", "--volumes", self._id)

    def _signal(self, name: str) -> None:
        with self._lock:
            self._is_unwanted = True
            if self._runs:
                # It may have ended by itself.
                with contextlib.suppress(DockerError):
                    docker("kill", "--signal", name, self._id)


def _limits(job: Job) -> Iterator[str]:
    """Memory is a bound, vCPUs are shares of what is free: as ECS has it.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters_ec2.html
    """
    needs = {each["type"]: each["value"] for each in job.spec.container["resourceRequirements"]}
    memory = f"{needs['MEMORY']}m"
    yield from ("--memory", memory, "--memory-swap", memory)
    yield from ("--cpu-shares", str(1024 * int(needs["VCPU"])))


def _linux(spec: Spec) -> Iterator[str]:
    """What else a job definition may say of its container (Batch API: ContainerProperties).

    On AWS `privileged` gives a job its machine; here that is somebody's own.
    """
    container = spec.container
    parameters = container.get("linuxParameters", {})
    if container.get("readonlyRootFilesystem"):
        yield "--read-only"
    if container.get("privileged"):
        definition = spec.definition_arn.rpartition("/")[2]
        _log.warning("job definition %s asks for privileged: its jobs run without it", definition)
    if container.get("user"):
        yield from ("--user", container["user"])
    if parameters.get("initProcessEnabled"):
        yield "--init"
    if parameters.get("sharedMemorySize"):
        yield from ("--shm-size", f"{parameters['sharedMemorySize']}m")
    for each in parameters.get("tmpfs", []):
        options = ",".join([*each.get("mountOptions", []), f"size={each['size']}m"])
        yield from ("--tmpfs", f"{each['containerPath']}:{options}")
    for each in container["ulimits"]:
        yield from ("--ulimit", f"{each['name']}={each['softLimit']}:{each['hardLimit']}")


def _have(image: str) -> None:
    """Pull it unless it is here. Raises DockerError."""
    try:
        docker("image", "inspect", "--format", "{{.Id}}", image)
    except DockerError:
        docker("pull", "--quiet", image)


def _lines(*words: str) -> list[str]:
    return docker(*words).split()
