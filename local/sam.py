"""`sam local` and the embedded AWS: what it is told, and the functions that it runs for us."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from local.docker import container_url
from local.lambda_calls import Reply
from local.lambda_process import DiedError, TimedOutError

if TYPE_CHECKING:
    from local.embedded import EmbeddedAws
    from local.specs import FunctionSpec

ROOT = Path(__file__).resolve().parent.parent
SAM = ROOT / ".venv-sam" / "bin" / "sam"
BUILT = ROOT / ".aws-sam" / "build" / "template.yaml"
VARIABLES = "env.json"
_READY_S = 120.0
_END_S = 30.0
# A container is made, and where it is the first of its kind its image: beyond the function's time.
_MAKE_S = 120.0


class SamError(Exception):
    """`sam local` cannot be had, or does not come up; the text says why."""


def write_variables(aws: EmbeddedAws, path: Path) -> None:
    """Write what `sam local --env-vars` reads: the names that a deployment gave, for each function.

    `sam local` resolves a Ref to the logical id, and has no names of its own.
    """
    ours, theirs = aws.endpoint_url, container_url(aws.endpoint_url)
    document = {
        function.logical_id: {
            name: value.replace(ours, theirs)
            for name, value in {**function.environment, "AWS_ENDPOINT_URL": theirs}.items()
        }
        for function in aws.lambdas.functions()
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def sam_environment() -> dict[str, str]:
    """This process's, without any account: then sam asks nobody whose credentials they are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {**kept, "SAM_CLI_TELEMETRY": "0"}


class StartLambda:
    """`sam local start-lambda`: the built functions, each in a container that stays warm."""

    def __init__(self, variables: Path, region: str, log: Path) -> None:
        """Start it, with the flags of samconfig.toml; its log is appended to. Raises SamError."""
        if not SAM.exists() or not BUILT.exists():
            raise SamError("the functions are not built: make build")
        self._port = _free_port()
        self._log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [
                    *(SAM, "local", "start-lambda", "--port", str(self._port)),
                    *("--env-vars", variables.resolve(), "--region", region),
                ],
                cwd=ROOT,
                env=sam_environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def call(self, function: FunctionSpec, payload: bytes) -> Reply:
        """Run one call.

        Raises:
            TimedOutError: sam ended it, as Lambda does, and answered with nothing.
            DiedError: it could not be called.
        """
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=function.timeout_s + _MAKE_S
        )
        with contextlib.closing(connection):
            try:
                path = f"/2015-03-31/functions/{function.logical_id}/invocations"
                connection.request("POST", path, payload)
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise DiedError(f"sam local start-lambda: {error}") from error
        if answer.status != http.client.OK:
            raise DiedError(f"sam local start-lambda: {answer.status} {body.decode()}")
        if not body:
            raise TimedOutError
        return Reply(body, failed=_is_error(body))

    def close(self) -> None:
        """End it; it removes its containers."""
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", self._port), timeout=1),
            ):
                return
            time.sleep(0.1)
        raise SamError(f"sam local start-lambda did not come up; {self._log} says why")


def _is_error(body: bytes) -> bool:
    """Whether it is an error's document: for a Python exception sam sets no header.

    Its own check takes three keys, and the runtime's documents have four.
    """
    try:
        document = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and "errorType" in document and "errorMessage" in document


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
