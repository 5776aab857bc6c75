"""A process to which something odd is done before it becomes what it is: `python -m` with a twist.

    tests.chaos.strange <twists as JSON> <module> <its arguments>

Twists: `clock_s` (the wall clock jumps by up to so many seconds, again and again), `free_bytes`
and `disk` (a folder becomes a disk with so much room), `lease_s` (claims are silent sooner).

The clock is `time.time` and `time.time_ns`, which is all that drydock asks; the monotonic clock
does not jump on real machines either. The disk is a tmpfs in a mount namespace of the process's
own; where the kernel lets nobody mount, opening files to write fails as on a full disk.
"""

import builtins
import ctypes
import errno
import io
import json
import os
import random
import runpy
import sys
import time
from pathlib import Path

from tests.chaos.story import Story

_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_JUMPS_S = (1.0, 6.0)
_FILES_BEFORE_FULL = 6
_DISK_BYTES = 16 * 1024 * 1024


def main() -> None:
    twists, module = json.loads(sys.argv[1]), sys.argv[2]
    sys.argv = [module, *sys.argv[3:]]
    story = Story(Path(twists["story"]))
    if twists.get("clock_s"):
        _let_clock_jump(random.Random(twists["seed"]), twists["clock_s"])
        story.tell("clock", "jumping clock", pid=os.getpid(), process=twists["name"])
    if twists.get("free_bytes"):
        how = _fill_disk(twists["disk"], twists["free_bytes"])
        story.tell("disk", f"full disk ({how})", free=twists["free_bytes"], process=twists["name"])
    if twists.get("lease_s"):
        _shorten_leases(twists["lease_s"])
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _let_clock_jump(rng: random.Random, most_s: float) -> None:
    """Move the wall clock back or forth by up to `most_s`, and again every few seconds."""
    real, real_ns, steady = time.time, time.time_ns, time.monotonic
    offset_s, until = rng.uniform(-most_s, most_s), 0.0

    def offset() -> float:
        nonlocal offset_s, until
        if steady() >= until:
            until = steady() + rng.uniform(*_JUMPS_S)
            offset_s = rng.choice((0.0, rng.uniform(-most_s, most_s)))
        return offset_s

    time.time = lambda: real() + offset()
    time.time_ns = lambda: real_ns() + int(offset() * 1e9)


def _fill_disk(folder: str, free_bytes: int) -> str:
    """Make a folder a disk that others have filled but for so much; how it was done."""
    try:
        _mount_disk(folder)
    except OSError:
        _pretend_full(folder)
        return "pretended"
    with Path(folder, "of-others").open("wb") as others:
        os.posix_fallocate(others.fileno(), 0, _DISK_BYTES - free_bytes)
    return "tmpfs"


def _mount_disk(folder: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWNS):
        check(libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    check(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None))
    check(libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=%d" % _DISK_BYTES))


def _pretend_full(folder: str) -> None:
    """Let this process open a few files to write in a folder, and then no more."""
    opened, plain = 0, builtins.open

    def limited(file, mode="r", *args, **kwargs):
        nonlocal opened
        if isinstance(file, str | os.PathLike) and set(mode) & set("wax+"):
            opened += os.fspath(file).startswith(folder)
            if opened > _FILES_BEFORE_FULL and os.fspath(file).startswith(folder):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(file))
        return plain(file, mode, *args, **kwargs)

    builtins.open = io.open = limited


def _shorten_leases(lease_s: float) -> None:
    from drydock import advancing

    if not hasattr(advancing, "LEASE_S"):
        raise AttributeError("drydock.advancing has no LEASE_S any more: shorten leases anew")
    advancing.LEASE_S = lease_s


if __name__ == "__main__":
    main()
