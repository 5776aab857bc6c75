"""Running a tool's program so that it never outlives the worker."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1
_TERM_S = 5.0
TAIL_BYTES = 4096


class Program:
    """A child process in its own process group, its output in files of ``folder``.

    On Linux the kernel kills it when the worker dies; everywhere its standard input ends then,
    which programs of ours take as the same.
    """

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> None:
        self._stdout = folder / "stdout"
        self._stderr = folder / "stderr"
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self._process = subprocess.Popen(  # noqa: S603 - running the tool is the purpose
                command,
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                # No import and no lock is taken in it, so that the other threads do not matter.
                preexec_fn=_die_with_parent(),  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        """The leader's process id, which is that of its group too."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code (-n for a death by signal n), or None while it runs."""
        return self._process.poll()

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input, for the one who feeds it."""
        if self._process.stdin is None:
            raise ValueError("the program was started without a pipe")
        return self._process.stdin

    def wait(self, seconds: float) -> int | None:
        """Like :meth:`poll`, after at most that many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(seconds)
        return None

    def send(self, number: signal.Signals) -> None:
        """A signal to the leader alone."""
        self._process.send_signal(number)

    def terminate(self) -> None:
        """SIGTERM to the group, then SIGKILL to what is left after a few seconds."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TERM_S)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the whole group; waits for the program's end."""
        self._signal(signal.SIGKILL)
        self._process.wait()
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def said(self) -> str:
        """The end of what it wrote to stdout."""
        return _tail(self._stdout)

    def complained(self) -> str:
        """The end of what it wrote to stderr."""
        return _tail(self._stderr)

    def _signal(self, number: signal.Signals) -> None:
        # The group may hold processes when its leader is gone already.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def clean_environment(folder: Path, variables: Sequence[str] = ()) -> dict[str, str]:
    """What a tool may see: ``variables``, which its user set for it; no credentials, nothing of S3.

    Home and temporary files lie in scratch.
    """
    kept = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    environment |= {"HOME": str(folder), "TMPDIR": str(folder)}
    return environment | {name: os.environ[name] for name in variables if name in os.environ}


def import_environment() -> dict[str, str]:
    """What a Python program of ours needs to import the worker as this process does."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _die_with_parent() -> Callable[[], None] | None:
    """What the child does first: ask the kernel to be killed when this process dies.

    https://man7.org/linux/man-pages/man2/PR_SET_PDEATHSIG.2const.html
    """
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    parent = os.getpid()

    def ask() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        return file.read().decode(errors="replace")
