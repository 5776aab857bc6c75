"""Running a tool's program so that it never outlives the worker, and nothing of it the program."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from worker.confinement import before_exec, hand_over, kill_all, out_of_reach, tool_user
from worker.journal import Journal
from worker.relay import Relay

_TERM_S = 5.0
_KILL_S = 5.0
_LAST_WORDS_S = 2.0
# Leaders of the programs that run. The lock keeps one that starts from being taken for left behind.
_running: set[int] = set()
_starting = threading.Lock()
_told: set[str] = set()


class Program:
    """A child process in a session of its own, started in ``folder``.

    Its standard input is a pipe, or the file ``stdin_from``; its output goes to the journal in
    bounds, or stdout to the file ``stdout_to``. Where the worker is root the program runs as
    another user, who is given ``folder`` and ``writable`` with all in them.

    At its end, or when it is killed, all processes that it has started end too. On Linux it dies
    with the thread that made it; elsewhere the end of the pipe tells it of the worker's.

    Raises:
        OSError: it cannot be started, or a file cannot be opened.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        writable: Sequence[Path] = (),
        stdin_from: Path | None = None,
        stdout_to: Path | None = None,
        journal: Journal | None = None,
    ) -> None:
        journal = journal or Journal()
        user = _user_for(command[0], folder, environment, journal)
        if user is not None:
            for each in (folder, *writable):
                hand_over(each, user)
        self._code: int | None = None
        with _starting, contextlib.ExitStack() as files:
            source: int | IO[bytes] = subprocess.PIPE
            target: int | IO[bytes] = subprocess.PIPE
            if stdin_from is not None:
                source = files.enter_context(stdin_from.open("rb"))
            if stdout_to is not None:
                target = files.enter_context(stdout_to.open("wb"))
            self._process = subprocess.Popen(  # noqa: S603 - running the tool is the purpose
                command,
                cwd=folder,
                env=dict(environment),
                stdin=source,
                stdout=target,
                stderr=subprocess.PIPE,
                start_new_session=True,
                user=user,
                group=user,
                extra_groups=None if user is None else (),
                preexec_fn=before_exec(user),  # noqa: PLW1509 - see there
            )
            _running.add(self._process.pid)
        self._relay = Relay(journal, self._process.stdout, self._process.stderr)
        self._relay.start()

    @property
    def pid(self) -> int:
        """The leader's process id, which is that of its group too."""
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code (-n for a death by signal n), or None while it runs."""
        if self._code is None:
            self._code = self._process.poll()
            if self._code is not None:
                self._end()
        return self._code

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input, for the one who feeds it."""
        if self._process.stdin is None:
            raise ValueError("the program was started without a pipe")
        return self._process.stdin

    def wait(self, seconds: float) -> int | None:
        """Like :meth:`poll`, after at most that many seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.poll()

    def send(self, number: signal.Signals) -> None:
        """A signal to the leader alone."""
        self._process.send_signal(number)

    def terminate(self, seconds: float = _TERM_S, number: signal.Signals = signal.SIGTERM) -> None:
        """A signal to the group, then SIGKILL to what is left after that many seconds."""
        if self._code is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            self.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to all that is left of it; waits for the end."""
        if self._code is None:
            self._process.kill()
            if self.wait(_KILL_S) is None:  # it hangs in the kernel, where no signal reaches it
                self._code = -signal.SIGKILL
                self._end()
        if self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def said(self) -> str:
        """What it wrote to stdout: the beginning and the end."""
        self._listen_to_the_end()
        return self._relay.stdout.text()

    def complained(self) -> str:
        """The end of what it wrote to stderr."""
        self._listen_to_the_end()
        return self._relay.stderr.end()

    def _listen_to_the_end(self) -> None:
        if self._code is not None:
            self._relay.join(_LAST_WORDS_S)

    def _end(self) -> None:
        """The leader is gone: so is what it has left behind."""
        with _starting:
            _running.discard(self._process.pid)
            kill_all(self._process.pid, _running)
        self._relay.join(_LAST_WORDS_S)


def clean_environment(
    folder: Path, variables: Sequence[str] = (), *, allow_aws: bool = False
) -> dict[str, str]:
    """What a tool may see: ``variables``, which its user set for it; no credentials, nothing of S3.

    With ``allow_aws`` it sees all that SDKs of AWS read, the credentials of ECS included. Home and
    temporary files lie in scratch.
    """
    kept = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
    devices = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")
    names = [*kept, *devices, *variables]
    if allow_aws:
        names += [name for name in os.environ if name.startswith("AWS_")]
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return environment | {"HOME": str(folder), "TMPDIR": str(folder)}


def import_environment() -> dict[str, str]:
    """What a Python program of ours needs to import the worker as this process does."""
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _user_for(
    name: str, folder: Path, environment: Mapping[str, str], journal: Journal
) -> int | None:
    """The other user to run a program as; None when there is none or it could not be run so."""
    user = tool_user()
    if user is None:
        return None
    program = shutil.which(name, path=environment.get("PATH"))
    closed = out_of_reach(folder.parent, user)
    # What lies in the folder itself will be the user's own.
    elsewhere = program and not Path(program).resolve().is_relative_to(folder.resolve())
    if program is not None and elsewhere and closed is None:
        closed = out_of_reach(Path(program), user)
    if closed is None:
        return user
    why = f"{closed} is closed to user {user}"
    if why not in _told:
        _told.add(why)
        journal.say("tool_runs_as_root", why=why)
    return None
