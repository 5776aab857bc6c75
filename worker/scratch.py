"""A private folder for one attempt, removed on every way out."""

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from types import TracebackType

from worker.endings import Misconfigured


class Scratch:
    """Makes one folder below a base, readable by this user alone, and removes it at the end.

    Nothing else in the base is touched: it may be shared with other jobs of the machine.
    """

    def __init__(self, base: Path) -> None:
        self._base = base.absolute()
        self.path = self._base

    def __enter__(self) -> Path:
        """Make the folder.

        Raises:
            Misconfigured: the base is no folder that can be written to.
        """
        try:
            self.path = Path(tempfile.mkdtemp(prefix="drydock-", dir=self._base))
        except OSError as error:
            raise Misconfigured(
                f"SHRTCACHE={self._base} cannot hold scratch: {error.strerror}"
            ) from error
        return self.path

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder, also what a tool has made unreadable in it."""
        for folder, names, _ in os.walk(self.path):
            for name in names:
                inner = Path(folder, name)
                if not inner.is_symlink():  # what a link points to is not ours
                    with contextlib.suppress(OSError):
                        inner.chmod(stat.S_IRWXU)
        shutil.rmtree(self.path, ignore_errors=True)


def free_bytes(folder: Path) -> int:
    """Bytes that may still be written below a folder."""
    return shutil.disk_usage(folder).free
