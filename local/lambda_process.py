"""The runner's side of one warm Lambda process."""

import socket
import tempfile
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path

from local.lambda_calls import Call, Reply, Setup
from local.processes import Handle, WarmProcesses

_START_S = 30.0
_LOOK_S = 0.2


class TimedOutError(Exception):
    """The function did not answer in time."""


class DiedError(Exception):
    """The process ended before it answered; the text says how."""


class LambdaProcess:
    """A process that runs one function; not to be called by two threads at once."""

    def __init__(self, handle: Handle, calls: Connection) -> None:
        self._handle = handle
        self._calls = calls

    @classmethod
    def start(
        cls,
        warm: WarmProcesses,
        setup: Setup,
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path,
    ) -> "LambdaProcess":
        """Fork a process for the function; it imports the handler with its first call.

        Raises OSError when it does not come up.
        """
        # A folder of its own for a moment: a socket's path has to be short, and a kill of the
        # embedded AWS leaves none behind.
        with (
            tempfile.TemporaryDirectory(prefix="drydock-") as folder,
            socket.socket(socket.AF_UNIX) as listener,
        ):
            address = f"{folder}/calls"
            listener.bind(address)
            listener.listen(1)
            handle = warm.start(
                module="local.lambda_child",
                argv=[address],
                env=environment,
                cwd=directory,
                log=log,
            )
            calls = _accept(listener, handle)
        calls.send(setup)
        return cls(handle, calls)

    @property
    def alive(self) -> bool:
        """Whether the process can take a call."""
        return self._handle.code is None and not self._calls.closed

    def call(self, call: Call, timeout_s: float) -> Reply:
        """Run one call. Raises TimedOutError, DiedError: then the process is of no more use."""
        try:
            self._calls.send(call)
            if not self._calls.poll(timeout_s):
                raise TimedOutError
            reply: Reply = self._calls.recv()
        except (EOFError, OSError) as error:
            raise DiedError(self._how_it_ended()) from error
        return reply

    def close(self) -> None:
        """Kill the process with all that it started."""
        self._handle.kill()
        self._calls.close()

    def _how_it_ended(self) -> str:
        code = self._handle.wait(_LOOK_S)
        if code is not None and code < 0:
            return f"Runtime exited with error: signal: {-code}"
        return (
            "Runtime exited without providing a reason"
            if not code
            else (f"Runtime exited with error: exit status {code}")
        )


def _accept(listener: socket.socket, handle: Handle) -> Connection:
    """The new process's connection; does not wait for one that has died."""
    listener.settimeout(_LOOK_S)
    for _ in range(int(_START_S / _LOOK_S)):
        try:
            accepted, _address = listener.accept()
        except TimeoutError:
            if handle.code is not None:
                break
            continue
        accepted.setblocking(True)
        return Connection(accepted.detach())
    handle.kill()
    raise OSError("the function's process did not start; its log says why")
