"""Scratch folders of attempts that were killed: known by a lock that nobody holds any more.

The kernel gives a lock back when its process is gone, however it went
(https://man7.org/linux/man-pages/man2/flock.2.html). A folder without one is not looked at.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_LOCK = ".owner"
_UNFINISHED = ".owner-to-be"


def claim(folder: Path) -> int:
    """Lock a folder of ours; returns the descriptor that holds the lock while it is open."""
    held = os.open(folder / _UNFINISHED, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with contextlib.suppress(OSError):  # a file system without locks has no leftovers to tell
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now can others see it: nobody takes it for given up in between.
        (folder / _UNFINISHED).rename(folder / _LOCK)
    return held


def given_up(base: Path, prefix: str) -> Iterator[Path]:
    """This user's own folders in ``base`` whose owners are gone; each is locked while it is had."""
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        for entry in entries:
            if not (entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False)):
                continue
            if entry.stat(follow_symlinks=False).st_uid == os.geteuid():
                yield from _if_given_up(Path(entry.path))


def _if_given_up(folder: Path) -> Iterator[Path]:
    try:
        held = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        if os.fstat(held).st_uid == os.geteuid():
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield folder
    except OSError:  # somebody works in it
        return
    finally:
        os.close(held)
