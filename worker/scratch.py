"""A private folder for one attempt, removed on every way out; and whether there is room in it."""

import contextlib
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from worker.confinement import let_tool_enter
from worker.endings import Misconfigured, ScratchFull
from worker.leftovers import claim, given_up

_FULL = (errno.ENOSPC, errno.EDQUOT)
# Where else there may be room, the quickest first.
_OTHERS = ("/dev/shm", "/scratch", "/tmp", "/var/tmp")  # noqa: S108 - places to look at, not ours
_REMOVALS = 5
_PREFIX = "drydock-"


class Scratch:
    """Makes one folder below a base, readable by this user alone, and removes it at the end.

    Nothing else in the base is touched, which may be shared with other jobs of the machine, but
    what attempts of this user left that were killed.
    """

    def __init__(self, base: Path) -> None:
        self._base = base.absolute()
        self.path = self._base
        self._claim: int | None = None

    def __enter__(self) -> Path:
        """Make the folder.

        Raises:
            Misconfigured: the base is no folder that can be written to.
            ScratchFull: there is no room for a folder.
        """
        for folder in given_up(self._base, _PREFIX):
            remove(folder)
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._base))
            self._claim = claim(self.path)
        except OSError as error:
            if self.path != self._base:
                remove(self.path)
            if tells_of_full_disk(error):
                raise _full(self._base, "scratch needs", None, 0, never=False) from error
            raise Misconfigured(
                f"SHRTCACHE={self._base} cannot hold scratch: {error.strerror}"
            ) from error
        let_tool_enter(self.path)
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder, also what a tool has made unreadable in it."""
        remove(self.path)
        if self._claim is not None:
            os.close(self._claim)


def remove(folder: Path) -> None:
    """Remove a folder of ours with all in it, as far as this user may.

    What a tool that is just ending still writes is removed as well.
    """
    for _ in range(_REMOVALS):
        for parent, names, _files in os.walk(folder):
            for name in names:
                inner = Path(parent, name)
                if not inner.is_symlink():  # what a link points to is not ours
                    with contextlib.suppress(OSError):
                        inner.chmod(stat.S_IRWXU)
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written below a folder."""
    return shutil.disk_usage(folder).free


def require_room(folder: Path, needed_bytes: int, what: str) -> None:
    """See whether ``needed_bytes`` may still be written below a folder.

    Raises:
        ScratchFull: they may not; the sentence begins with ``what``, which ends with its verb.
    """
    usage = shutil.disk_usage(folder)
    if needed_bytes > usage.free:
        raise _full(folder, what, needed_bytes, usage.free, never=needed_bytes > usage.total)


@contextlib.contextmanager
def full_named(folder: Path) -> Iterator[None]:
    """Name a full disk, where something is written below ``folder``.

    Raises:
        ScratchFull: instead of the OSError that tells of it.
    """
    try:
        yield
    except OSError as error:
        if not tells_of_full_disk(error):
            raise
        free = shutil.disk_usage(folder).free
        raise _full(folder, "writing needs", None, free, never=False) from error


def tells_of_full_disk(error: OSError) -> bool:
    """Whether an error of the system means that the disk, or the user's share of it, is full."""
    return error.errno in _FULL


def tells_of_no_room(text: str) -> bool:
    """Whether what a program said before it ended blames a full disk (its C library's words)."""
    return any(os.strerror(number) in text for number in _FULL)


def _full(folder: Path, what: str, needed: int | None, free: int, *, never: bool) -> ScratchFull:
    place = _mount_point(folder)
    needs = "more room" if needed is None else _size(needed)
    has = f"{_size(free)} free on {place}"
    return ScratchFull(
        f"{what} {needs}, {has}: {_advice(place, needed or free)}", needed, free, never=never
    )


def _advice(place: Path, needed: int) -> str:
    for name in _OTHERS:
        other = Path(name)
        if not os.access(other, os.W_OK) or _mount_point(other) == place:
            continue
        if shutil.disk_usage(other).free > needed:
            return f"use SHRTCACHE={name}"
    return "give the machine more disk, or SHRTCACHE a folder with more room"


def _mount_point(folder: Path) -> Path:
    folder = folder.absolute()
    return next(
        path for path in (folder, *folder.parents) if path.is_mount() or path.parent == path
    )


def _size(count: int) -> str:
    """Bytes as people say them: ``312 MB``, ``4 bytes``."""
    return f"{count} bytes" if count < 1_000_000 else f"{count / 1_000_000:.0f} MB"
