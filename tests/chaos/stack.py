"""The other side of `tests.chaos.owner`: starts it, asks it, kills it, and is a client of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import boto3
from botocore.config import Config

from drydock.store import Store
from local.principals import credentials
from tests.chaos.owner import Settings, start_settings

ROOT = Path(__file__).parents[2]
_MARK = "DRYDOCK_CHAOS"
_ENDS_WITHIN_S = 20.0


class StackDied(RuntimeError):
    """The embedded AWS did not come up, or went without being asked to."""


class ChaosStack:
    """An embedded AWS in a process group of its own."""

    def __init__(self, settings: Settings, mark: str) -> None:
        """Start it on its directory and wait until it serves. Raises StackDied."""
        self._directory, self._mark = Path(settings.directory), mark
        log = (self._directory.parent / f"{self._directory.name}.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.owner", start_settings(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env=_environment(mark),
                start_new_session=True,
            )
        hello = self._answer()
        self.intake, self.data, self.control = hello["intake"], hello["data"], hello["control"]
        self.machine_arn = hello["machine"]
        self._endpoint, self._region = hello["endpoint"], hello["region"]
        self.store = Store(self.client("s3"), None)
        self.states = self.client("stepfunctions")

    def ask(self, do: str, **more: object):
        """Have an order carried out; its answer. Raises StackDied."""
        try:
            self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise StackDied(f"the embedded AWS is gone: {error}") from error
        return self._answer()

    def client(self, service: str):
        """A client of nobody whose calls fail by design."""
        keys = credentials("somebody")
        return boto3.client(
            service,
            endpoint_url=self._endpoint,
            region_name=self._region,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 2}),
        )

    def kill(self) -> list[int]:
        """SIGKILL to the embedded AWS itself; processes of it that outlive it, which none may."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()
        return self._left()

    def close(self) -> list[int]:
        """End it as a user does; processes of it that are left, which none may be."""
        if self._process.poll() is None:
            self._process.stdin.close()
            try:
                self._process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()
        return self._left()

    def _answer(self):
        line = self._process.stdout.readline()
        if not line:
            raise StackDied(f"the embedded AWS ended with {self._process.wait()}: see its log")
        return json.loads(line)

    def _left(self) -> list[int]:
        deadline = time.monotonic() + _ENDS_WITHIN_S
        while (found := processes_of(self._mark, self._directory)) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found


def processes_of(mark: str, directory: Path) -> list[int]:
    """Processes of an embedded AWS: by its mark in their environment, or their folder."""
    wanted, found = f"{_MARK}={mark}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            where = str((process / "cwd").readlink())
            marked = wanted in (process / "environ").read_bytes().split(b"\0")
            dead = (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        if not dead and (marked or where.startswith(f"{directory}/")):
            found.append(int(process.name))
    return found


def _environment(mark: str) -> dict[str, str]:
    paths = [str(ROOT / "src"), str(ROOT)]
    return os.environ | {_MARK: mark, "PYTHONPATH": os.pathsep.join(paths)}
