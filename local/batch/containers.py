"""Containers without containers: one attempt of a job as a local process."""

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
from local.batch.model import Job
from local.batch.secrets import secret_variables
from local.images import digest_of
from local.processes import Handle, WarmProcesses

# What the stack's image has on its PATH, as modules of this interpreter.
PROGRAMS = {"drydock-worker": "worker"}


@dataclass(frozen=True)
class ProcessLauncher:
    """Starts attempts; everything that they leave behind is below `directory`.

    `stack_image` is the one image that can be run: the stack's own, by this interpreter.
    """

    directory: Path
    processes: WarmProcesses
    endpoint_url: Callable[[], str]
    region: str
    stack_image: Callable[[], str]

    def start(self, job: Job, attempt: int, machine: Machine, reports: Reports) -> Handle:
        """Starts attempt number `attempt` (from 1) of a job. Raises StartError."""
        container = job.spec.container
        self._check_image(container["image"])
        root = self._root(job, attempt)
        (root / "tmp").mkdir(parents=True, exist_ok=True)
        env = self._environment(job, attempt, machine, root)
        program, *arguments = container["command"] or [""]
        module = PROGRAMS.get(program)
        if module is None and program == "python" and len(arguments) > 1 and arguments[0] == "-m":
            module, arguments = arguments[1], arguments[2:]
        elif module is None:
            arguments = [_find(program, env["PATH"]), *arguments]
        handle = self.processes.start(
            module=module,
            argv=arguments,
            env=env,
            cwd=root,
            log=self._log(job, attempt),
            on_exit=lambda code: reports.ended(Ended(code)),
        )
        reports.started()
        return handle

    def clean(self, job: Job, attempt: int) -> None:
        """Removes the container's own files; logs and volumes stay."""
        shutil.rmtree(self._root(job, attempt), ignore_errors=True)

    def wipe(self, machine: Machine) -> None:
        """The machine's disk is gone with it."""
        machine.wipe()

    def close(self) -> None:
        """Kills all that runs."""
        self.processes.close()

    def clean_all(self) -> None:
        """Removes what containers and machines of an earlier time left behind; logs stay."""
        for name in ("containers", "machines"):
            shutil.rmtree(self.directory / name, ignore_errors=True)

    def _root(self, job: Job, attempt: int) -> Path:
        return self.directory / "containers" / file_stem(job, attempt)

    def _log(self, job: Job, attempt: int) -> Path:
        log = log_file(self.directory, job, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
        return log

    def _check_image(self, image: str) -> None:
        own = self.stack_image()
        if image != own and not image.endswith(f"@{digest_of(own)}"):
            raise StartError(
                f"CannotPullContainerError: Error response from daemon: manifest for {image} not "
                f"found: manifest unknown: Requested image not found (the embedded AWS runs only "
                f"the stack's own image, {own}, as local processes)"
            )

    def _environment(self, job: Job, attempt: int, machine: Machine, root: Path) -> dict[str, str]:
        """The whole environment: the image's, the job's, Batch's, and the way to this AWS."""
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "HOME": str(root),
            "LANG": "C.UTF-8",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if Path(path).is_dir()),
            "TMPDIR": str(root / "tmp"),
            **way_to_aws(machine, self.endpoint_url(), self.region),
            **role_keys(job),
            **_with_mounts(given_variables(job), _mounts(job, machine)),
            **secret_variables(job.spec.container, self.endpoint_url(), self.region),
            **batch_variables(job, attempt),
        }


def _mounts(job: Job, machine: Machine) -> dict[str, str]:
    """Container paths of the job's mounts, and the directories of the machine behind them."""
    return {
        mount["containerPath"].rstrip("/"): str(machine.volume(mount["sourceVolume"]))
        for mount in job.spec.container.get("mountPoints", [])
    }


def _with_mounts(environment: Mapping[str, str], mounts: Mapping[str, str]) -> dict[str, str]:
    """A process has no mounts: values that are paths on one are moved to where it really lies."""
    moved = dict(environment)
    for name, value in environment.items():
        for path, directory in mounts.items():
            if value == path or value.startswith(f"{path}/"):
                moved[name] = directory + value[len(path) :]
    return moved


def _find(program: str, path: str) -> str:
    """The program's file. Raises StartError in runc's words."""
    if program in {"python", "python3"}:
        return sys.executable
    found = shutil.which(program, path=path)
    if found is None:
        raise StartError(
            "CannotStartContainerError: Error response from daemon: failed to create task for "
            "container: failed to create shim task: OCI runtime create failed: runc create failed: "
            f'unable to start container process: exec: "{program}": executable file not found in '
            "$PATH: unknown"
        )
    return found
