"""One start of dock64: fed with a bundle, watched by its OUTDOCK, stopped by SIGUSR1.

What was observed of the program decides: SIGUSR1 lets it finish the ligand at hand and write
``restart``, but kills it before its tables are read (OUTDOCK shows the ``mol#`` header then), and
waits for the pipe when that is empty. Its exit code is 0 for whatever it noticed itself.
"""

import gzip
import io
import signal
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from worker.program import Program
from worker.tools.db2 import BundleError, hierarchies
from worker.tools.outdock import Ending, OutdockReader

OUTDOCK, MOL2, RESTART = "OUTDOCK", "test.mol2.gz", "restart"
# ECS kills 30 s after its SIGTERM, and the outputs have still to go up.
CLOSE_AFTER_S = 2.0
KILL_AFTER_S = 12.0


class Feeder(threading.Thread):
    """Writes a bundle's hierarchies to a pipe, and closes it at the end of one."""

    def __init__(self, bundle: Path, pipe: IO[bytes]) -> None:
        super().__init__(name="feeder", daemon=True)
        self._bundle = bundle
        self._pipe = pipe
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self.sent = 0
        self.done = False
        self.problem: str | None = None

    def run(self) -> None:
        """Feed until the bundle ends, the program does, or :meth:`stop`."""
        try:
            for piece, count in hierarchies(self._bundle):
                with self._writing:
                    if self._stopped.is_set():
                        return
                    self._pipe.write(piece)
                    self._pipe.flush()
                self.sent += count
            with self._writing:
                self._pipe.close()
            self.done = True
        except BundleError as error:
            self.problem = str(error)
        except (OSError, ValueError):
            return  # the program is gone, and with it the pipe

    def stop(self, seconds: float) -> None:
        """Close the pipe between two hierarchies, unless a write is stuck for that long."""
        self._stopped.set()
        if self._writing.acquire(timeout=seconds):
            try:
                self._pipe.close()
            except OSError:
                return
            finally:
                self._writing.release()


class Run:
    """A dock64 at work in its folder, where INDOCK and perhaps ``restart`` lie."""

    def __init__(
        self, command: list[str], folder: Path, environment: Mapping[str, str], bundle: Path
    ) -> None:
        self.folder = folder
        self.rows = 0
        self._read_bytes = 0
        self._reader = OutdockReader()
        self._program = Program(command, folder, environment)
        self.feeder = Feeder(bundle, self._program.stdin)
        self.feeder.start()

    @property
    def ending(self) -> Ending:
        """What OUTDOCK told so far."""
        return self._reader.ending

    def poll(self) -> int | None:
        """The exit code, or None; OUTDOCK is read on."""
        code = self._program.poll()
        self._read_on()
        return code

    def stop(self) -> int:
        """Let the program end in the way that keeps most; returns its exit code."""
        self._read_on()
        if self._program.poll() is None and self.ending.has_header:
            if not (self.ending.end_of_file or self.ending.interrupted):
                self._program.send(signal.SIGUSR1)
            if self._program.wait(CLOSE_AFTER_S) is None:
                self.feeder.stop(CLOSE_AFTER_S)  # it may be waiting for a ligand
                self._program.wait(KILL_AFTER_S)
        elif self._program.poll() is None:
            self._program.terminate()
        return self.finish()

    def finish(self) -> int:
        """Whatever the program does, it does it no more; returns the exit code."""
        self._program.kill()
        self.feeder.join(CLOSE_AFTER_S)
        self._read_on()
        return self._program.poll() or 0

    def complained(self) -> str:
        """The end of what it wrote to stderr, in one line."""
        return " ".join(self._program.complained().split())[-500:]

    def has_whole_poses(self) -> bool:
        """Whether the poses' file can be read to its end, as ``gzip -t`` does."""
        try:
            with gzip.open(self.folder / MOL2) as poses:
                while poses.read(1 << 20):
                    pass
        except (OSError, EOFError, zlib.error):
            return False
        return True

    def restart(self) -> int | None:
        """How many hierarchies of the bundle are behind the program, by its ``restart``."""
        try:
            fields = (self.folder / RESTART).read_text("latin-1").split()
            files, finished, _ = (int(field) for field in fields)
        except (OSError, ValueError):
            return None
        return finished if files == 0 and finished > 0 else None

    def _read_on(self) -> None:
        """Take note of the lines that came since the last time."""
        path = self.folder / OUTDOCK
        if not path.exists():
            return
        with path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        lines = io.StringIO(whole.decode("latin-1"), newline="\n")
        self.rows += sum(1 for _ in self._reader.rows(lines))


def restart_text(finished: int) -> str:
    """``restart`` as DOCK writes it: files, hierarchies of the file, ligands of the attempt."""
    return f"{0:12d}{finished:12d}{0:12d}\n"
