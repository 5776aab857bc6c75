"""What keeps a tool's processes apart from the worker, and ends them all.

On Linux the worker cannot be looked into by processes of its own user (PR_SET_DUMPABLE 0), and
whatever a tool leaves behind becomes a child of the worker (PR_SET_CHILD_SUBREAPER), however it
had detached itself. As root the worker lets tools run as another user.

https://man7.org/linux/man-pages/man2/prctl.2.html
"""

import contextlib
import ctypes
import os
import resource
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LINUX = sys.platform.startswith("linux")
# "nobody" and its group, in every distribution that images are made of.
TOOL_ID = 65_534
_PDEATHSIG, _DUMPABLE, _CHILD_SUBREAPER, _NO_NEW_PRIVS = 1, 4, 36, 38
# CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID: what it takes to run a program as another user
# and to handle what that leaves. https://man7.org/linux/man-pages/man7/capabilities.7.html
_NEEDED_CAPABILITIES = sum(1 << number for number in (0, 1, 3, 5, 6, 7))
_SWEEP_S = 5.0
_SWEEP_POLL_S = 0.005
_ALL_READ, _ALL_ENTER = 0o444, 0o111


class _State:
    """What this process has become."""

    def __init__(self) -> None:
        self.adopts = False
        self.user: int | None = None


_STATE = _State()


def confine_worker() -> None:
    """Prepare the process that is the worker and nothing else; call it before anything starts."""
    if not LINUX:
        return
    prctl = ctypes.CDLL(None).prctl
    prctl(_DUMPABLE, 0, 0, 0, 0)
    _STATE.adopts = prctl(_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    if os.geteuid() == 0 and _has_capabilities():
        _STATE.user = TOOL_ID
        # Tools read what lies in scratch; the scratch itself is closed to all others.
        os.umask(0o022)


def tool_user() -> int | None:
    """The id of the user and of the group that tools run as; None: as the worker does."""
    return _STATE.user


def hand_over(folder: Path, user: int) -> None:
    """Give a folder with all in it to the tool's user. Links are not followed."""
    os.lchown(folder, user, user)
    for inner, folders, files in os.walk(folder):
        for name in (*folders, *files):
            os.lchown(f"{inner}/{name}", user, user)  # a path's object would take as long


def let_tool_enter(folder: Path) -> None:
    """Let the tool's group, and nobody else, pass through a private folder."""
    if _STATE.user is not None:
        os.chown(folder, -1, _STATE.user)
        folder.chmod(0o710)


def let_tool_read(path: Path) -> None:
    """Let the tool's user read a file, or a folder with all in it."""
    if _STATE.user is None:
        return
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        mode = each.lstat().st_mode
        if stat.S_ISDIR(mode) or mode & stat.S_IXUSR:
            each.chmod(stat.S_IMODE(mode) | _ALL_READ | _ALL_ENTER)
        elif stat.S_ISREG(mode):
            each.chmod(stat.S_IMODE(mode) | _ALL_READ)


def is_foreign(status: os.stat_result, owner: int) -> bool:
    """Whether a file in a tool's folder, ``owner``'s, is one that the tool itself cannot read.

    It may have got there by a hard link, or by a folder that became a link while it was looked at.
    Where the tool runs as the worker does nothing is kept from it.
    """
    return owner != os.geteuid() and status.st_uid != owner


def out_of_reach(path: Path, user: int) -> Path | None:
    """The first of a path and its parents that the user may not enter or run, or None."""
    real = path.resolve()
    for each in (*reversed(real.parents), real):
        status = each.stat()
        if user in (status.st_uid, status.st_gid):
            needed = stat.S_IXUSR if status.st_uid == user else stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return each
    return None


def before_exec(user: int | None) -> Callable[[], None] | None:
    """What a program does between fork and exec, when its user is set already.

    The kernel kills it when the thread that started it dies, and forgets that at a change of user.
    No import and no lock may be in it: other threads hold locks that nobody in the child gives
    back.
    """
    if not LINUX:
        return None
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # it would fill the scratch
        if user is not None:
            prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:  # it died before the kernel was asked
            os.kill(os.getpid(), signal.SIGKILL)

    return ask


def kill_all(group: int, leaders: set[int]) -> None:
    """SIGKILL to a process group and to what left it; returns when they are gone.

    ``leaders`` are programs of ours that go on.
    """
    until = time.monotonic() + _SWEEP_S
    while _kill_group(group) | _kill_orphans(leaders) and time.monotonic() < until:
        time.sleep(_SWEEP_POLL_S)


def _kill_group(group: int) -> bool:
    """Whether there was anything left of it."""
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group that has ended and is not yet gone
        return False
    return _STATE.adopts


def _kill_orphans(leaders: set[int]) -> bool:
    """Kill and bury what became a child of this process; whether there was anything.

    Programs have sessions of their own: what has this process's session is none of theirs.
    """
    if not (_STATE.adopts and _has_children()):
        return False
    ours = os.getsid(0)
    found = False
    for pid, parent, session in _processes():
        if parent == os.getpid() and session != ours and pid not in leaders:
            found = True
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.waitpid(pid, os.WNOHANG)
    return found


def _has_children() -> bool:
    """Asking the kernel takes no time; looking through all processes of a machine does."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _processes() -> Iterator[tuple[int, int, int]]:
    """Number, parent and session of each process that can be seen."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_bytes()
        except OSError:  # it has ended
            continue
        # The name, in parentheses, may hold anything.
        fields = text[text.rindex(b")") + 1 :].split()
        yield int(entry.name), int(fields[1]), int(fields[3])


def _has_capabilities() -> bool:
    for line in Path("/proc/self/status").read_text("latin-1").splitlines():
        if line.startswith("CapEff:"):
            held = int(line.split()[1], 16)
            return held & _NEEDED_CAPABILITIES == _NEEDED_CAPABILITIES
    return False
