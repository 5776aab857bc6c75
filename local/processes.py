"""Warm processes: a job's interpreter is forked from one that has its libraries already imported.

The `multiprocessing` fork server imports the preloaded modules once. `WarmProcesses` puts one
*nursery* under it, which forks a process for each job, reports how each ended, and kills all of
them when the embedded AWS is gone, however it went: the kernel closes its end of the pipe.
"""

import atexit
import contextlib
import ctypes
import gc
import itertools
import multiprocessing
import multiprocessing.forkserver
import multiprocessing.resource_tracker
import os
import runpy
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_preload: list[str] = []
_preload_lock = threading.Lock()


def prepare_forkserver(preload: Sequence[str]) -> None:
    """Adds modules to what the one fork server of this process imports at its start.

    Call it with everything before the first process is started: a server that runs imports no
    more, and what it lacks each process then imports for itself.
    """
    with _preload_lock:
        _preload.extend(name for name in preload if name not in _preload)
        forkserver_context().set_forkserver_preload(_preload)


def forkserver_context() -> ForkServerContext:
    """The `multiprocessing` context whose processes are forked from the preloaded server."""
    return multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class _Start:
    """What the nursery must know to start one process."""

    ticket: int
    module: str | None
    argv: tuple[str, ...]
    env: dict[str, str]
    cwd: str
    log: str


@dataclass
class Handle:
    """One process, the leader of its own session and group; all methods are thread-safe."""

    pid: int = 0
    code: int | None = None
    started: threading.Event = field(default_factory=threading.Event, repr=False)
    ended: threading.Event = field(default_factory=threading.Event, repr=False)

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code (-n for a death by signal n), or None when it still runs after that."""
        self.ended.wait(timeout_s)
        return self.code

    def terminate(self) -> None:
        """SIGTERM to the leader alone, as `docker stop` does: it is the container's process 1."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        if not self.ended.is_set():
            _kill_group(self.pid)

    def note_start(self, pid: int) -> None:
        """The nursery says that the process exists."""
        self.pid = pid
        self.started.set()

    def note_end(self, code: int) -> None:
        """The nursery says that the process has ended, or is itself gone."""
        self.code = code
        self.started.set()
        self.ended.set()


class WarmProcesses:
    """Starts processes in sessions of their own, with nothing inherited but the imports."""

    def __init__(self, preload: Sequence[str]) -> None:
        prepare_forkserver([__name__, "local.warm_botocore", *preload])
        self._tickets = itertools.count(1)
        self._handles: dict[int, tuple[Handle, Callable[[int], None] | None]] = {}
        self._lock = threading.Lock()
        self._pipe, self._theirs = forkserver_context().Pipe()
        # Importing the preloaded modules takes a while: the caller goes on meanwhile.
        self._opening = threading.Thread(target=self._open, name="warm-processes", daemon=True)
        self._opening.start()
        # multiprocessing waits for its children at exit; this one ends when its pipe is closed.
        atexit.register(self.close)

    def start(
        self,
        *,
        argv: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        module: str | None = None,
        on_exit: Callable[[int], None] | None = None,
    ) -> Handle:
        """Runs `python -m module *argv`, or without a module the program `argv[0]`.

        `env` is the whole environment; stdout and stderr are appended to `log`. `on_exit` gets
        the exit code on the reporting thread: it must return at once. Raises OSError once closed.
        """
        self._opening.join()
        handle, ticket = Handle(), next(self._tickets)
        request = _Start(ticket, module, tuple(argv), dict(env), str(cwd), str(log))
        with self._lock:
            if self._pipe.closed:
                raise OSError("these processes are closed")
            self._handles[ticket] = (handle, on_exit)
            self._pipe.send(request)
        handle.started.wait()
        return handle

    def close(self) -> None:
        """Kills every process group that still lives, and the nursery; waits for both."""
        self._opening.join()
        with self._lock:
            if not self._pipe.closed:
                with contextlib.suppress(OSError):
                    self._pipe.send(None)
        self._reports.join()
        self._process.join()
        atexit.unregister(self.close)

    def _open(self) -> None:
        self._process = forkserver_context().Process(target=_nurse, args=(self._theirs,))
        self._process.start()
        self._theirs.close()
        self._reports = threading.Thread(target=self._report, name="process-ends", daemon=True)
        self._reports.start()

    def _report(self) -> None:
        """Hands each news of the nursery to the handle concerned, until the nursery is gone."""
        with contextlib.suppress(EOFError, OSError):
            while True:
                ticket, pid, code = self._pipe.recv()
                if code is None:
                    self._handles[ticket][0].note_start(pid)
                else:
                    self._end(ticket, code)
        with self._lock:
            self._pipe.close()
        for ticket, (handle, _) in list(self._handles.items()):
            if handle.pid:
                _kill_group(handle.pid)
            self._end(ticket, -signal.SIGKILL)

    def _end(self, ticket: int, code: int) -> None:
        handle, on_exit = self._handles.pop(ticket)
        handle.note_end(code)
        if on_exit is not None:
            on_exit(code)


def _nurse(requests: Connection) -> None:
    """The nursery: forks what is asked for, reports ends; an end of the pipe is the end of all."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_multiprocessing()
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    gc.collect()
    gc.freeze()
    alive: dict[int, int] = {}
    try:
        while True:
            ready = wait([requests, woken])
            if requests in ready:
                start = requests.recv()
                if start is None:
                    return
                alive[pid := _fork(start)] = start.ticket
                requests.send((start.ticket, pid, None))
            if woken in ready:
                os.read(woken, 4096)
                for pid, code in _reap(alive):
                    requests.send((alive.pop(pid), pid, code))
    except (EOFError, OSError):
        return
    finally:
        for pid in alive:
            _kill_group(pid)


def _leave_multiprocessing() -> None:
    """Closes what keeps the fork server alive, so that it too sees the embedded AWS die.

    Jobs that use multiprocessing themselves then start a server and a tracker of their own.
    """
    for owner, attribute in (
        (getattr(multiprocessing.forkserver, "_forkserver", None), "_forkserver_alive_fd"),
        (getattr(multiprocessing.resource_tracker, "_resource_tracker", None), "_fd"),
    ):
        if isinstance(fd := getattr(owner, attribute, None), int):
            os.close(fd)
            setattr(owner, attribute, None)


def _reap(alive: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """Who has ended, with the exit code; what is left of its group ends with it, as a container."""
    for pid in list(alive):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            _kill_group(pid)
            yield pid, os.waitstatus_to_exitcode(status)


def _kill_group(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # a process just forked has no group of its own yet
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)
            return


def _fork(start: _Start) -> int:
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(start, nursery)
    return pid


def _become(start: _Start, nursery: int) -> NoReturn:
    """Turns the fork into the process asked for; never returns into the nursery's code."""
    code = 1
    try:
        os.setsid()
        _die_with(nursery)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _take_over_streams(start.log)
        os.environ.clear()
        os.environ.update(start.env)
        tempfile.tempdir = None
        os.chdir(start.cwd)
        if start.module is None:
            os.execvpe(start.argv[0], start.argv, start.env)  # noqa: S606 - without a shell, as Docker
        code = _run_module(start.module, start.argv)
    except BaseException:  # noqa: BLE001 - whatever it is, this fork ends here
        traceback.print_exc()
    finally:
        os._exit(code)


def _die_with(nursery: int) -> None:
    """On Linux the kernel kills this process with the nursery (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != nursery:
            os._exit(1)


def _take_over_streams(log: str) -> None:
    """Standard streams of its own and no other descriptor, as in a container."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))


def _run_module(module: str, argv: Sequence[str]) -> int:
    """`python -m module *argv` in this process: the exit code that the interpreter would give."""
    sys.argv = [module, *argv]
    for stream, fd in (("stdin", 0), ("stdout", 1), ("stderr", 2)):
        opened = os.fdopen(fd, "w" if fd else "r", buffering=1, encoding="utf-8", closefd=False)
        setattr(sys, stream, opened)
        setattr(sys, f"__{stream}__", opened)
    code = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = _exit_code(end.code)
    except BaseException as error:  # noqa: BLE001 - the interpreter reports every one of them
        sys.excepthook(type(error), error, error.__traceback__)
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    # What the interpreter does at its end: threads that are no daemons, then exit handlers.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _exit_code(code: object) -> int:
    """What `sys.exit(code)` makes of its argument: None is 0, a text is printed and is 1."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1
