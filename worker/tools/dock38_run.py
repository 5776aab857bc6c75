"""One start of dock64: fed with a bundle, watched by its OUTDOCK, stopped by SIGUSR1.

What was observed of the program decides: SIGUSR1 lets it finish the ligand at hand and write
``restart``, but kills it before its tables are read (OUTDOCK shows the ``mol#`` header then), and
waits for the pipe when that is empty. Its exit code is 0 for whatever it noticed itself.
"""

import contextlib
import io
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

from worker.archives import ArchiveError
from worker.program import Program
from worker.tools.db2 import hierarchies, split
from worker.tools.dock38_poses import Repacker
from worker.tools.dock38_restart import LeftOut, finished_of
from worker.tools.growing_file import GrowingFile
from worker.tools.outdock import Docked, Ending, OutdockReader

OUTDOCK, MOL2, RESTART = "OUTDOCK", "test.mol2.gz", "restart"
# Ours: the poses as members, where each lies, and the names of all hierarchies that were fed.
POSES, INDEX, NAMES = "repacked.mol2.gz", "members", "names"
# ECS kills 30 s after its SIGTERM, and the outputs have still to go up.
CLOSE_AFTER_S = 2.0
KILL_AFTER_S = 12.0


class Feeder(threading.Thread):
    """Writes a bundle's hierarchies to a pipe, and closes it at the end of one.

    ``offered`` were written or are being so, ``sent`` are through; the name of each goes to a file.
    ``problem`` is the bundle's, ``trouble`` the disk's.
    """

    def __init__(self, bundle: Path, pipe: IO[bytes], names: Path, left_out: LeftOut) -> None:
        super().__init__(name="feeder", daemon=True)
        self._bundle = bundle
        self._pipe = pipe
        self._names = names
        self._left_out = left_out
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self.offered = self.sent = 0
        self.done = False
        self.problem: str | None = None
        self.trouble: OSError | None = None

    def run(self) -> None:
        """Feed until the bundle ends, the program does, or :meth:`stop`."""
        try:
            with self._names.open("w", encoding="latin-1", newline="\n") as noted:
                for piece, names in self._wanted():
                    noted.writelines(f"{name}\n" for name in names)
                    noted.flush()
                    if not self._write(piece, len(names)):
                        return
            with self._writing, contextlib.suppress(OSError):
                self._pipe.close()
            self.done = True
        except ArchiveError as error:
            self.problem = str(error)
        except OSError as error:
            self.trouble = error

    def _wanted(self) -> Iterator[tuple[bytes, list[str]]]:
        """The bundle without the hierarchies that are left out."""
        if not self._left_out:
            yield from hierarchies(self._bundle)
            return
        number = 0
        for piece, names in hierarchies(self._bundle):
            kept = [place for place in range(len(names)) if number + place not in self._left_out]
            number += len(names)
            if kept:
                texts = split(piece)
                yield b"".join(texts[place] for place in kept), [names[place] for place in kept]

    def _write(self, piece: bytes, count: int) -> bool:
        """Whether a piece went through; it does not when the program is gone."""
        with self._writing:
            if self._stopped.is_set():
                return False
            self.offered += count
            try:
                self._pipe.write(piece)
                self._pipe.flush()
            except (OSError, ValueError):  # and with the program, the pipe
                return False
        self.sent += count
        return True

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
        self,
        command: list[str],
        folder: Path,
        environment: Mapping[str, str],
        bundle: Path,
        left_out: LeftOut,
    ) -> None:
        self.folder = folder
        # What the worker writes is not the program's.
        self.notes = folder.with_name(f"{folder.name}-notes")
        self.notes.mkdir()
        self.rows = self.docked = 0
        self._outdock = GrowingFile(folder / OUTDOCK)
        self._reader = OutdockReader()
        self._program = Program(command, folder, environment)
        self._poses = Repacker(folder / MOL2, self.notes / POSES, self.notes / INDEX)
        self.feeder = Feeder(bundle, self._program.stdin, self.notes / NAMES, left_out)
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
        self._poses.finish()
        return self._program.poll() or 0

    def complained(self) -> str:
        """The end of what it wrote to stderr, in one line."""
        return " ".join(self._program.complained().split())[-500:]

    def problem_of_poses(self) -> str | None:
        """Why the poses' file cannot be read to its end, as ``gzip -t`` does; None if it can.

        A DOCK that found no pose need not have made the file.
        """
        if not (self.folder / MOL2).exists():
            return "they are missing" if self.docked else None
        return self._poses.problem

    def restart(self) -> int | None:
        """How many of the hierarchies that were fed are behind the program, by its ``restart``."""
        try:
            finished = finished_of((self.folder / RESTART).read_text("latin-1"))
        except OSError:
            return None
        return finished if finished is not None and finished <= self.feeder.offered else None

    def _read_on(self) -> None:
        """Take note of the lines that came since the last time."""
        lines = io.StringIO(self._outdock.new_lines().decode("latin-1"), newline="\n")
        for row in self._reader.rows(lines):
            self.rows += 1
            self.docked += isinstance(row, Docked)
        self._poses.read_on()
