"""Vina at work on one input: batches of ligands, what is finished of them, and what went wrong."""

import re
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from worker.endings import InputFailed, Misconfigured
from worker.program import Program
from worker.tools import Contribution, Death, FetchedInput, Resume
from worker.tools.pdbqt import Ligand, parse_poses, split_ligands
from worker.tools.tally import Tally
from worker.tools.vina_table import PartTable

if TYPE_CHECKING:
    from worker.tools.vina import Vina

# Ligands of one start of the program: bounds scratch and the command line. A grid takes about a
# second, so that making it anew for each batch costs little.
BATCH = 2000
# How vina speaks of a ligand that it cannot read; anything else it ends with 1 for is its own.
_REFUSED = re.compile(r"parsing error|Cannot read ligand|Ligand string is empty", re.IGNORECASE)
_NO_MEMORY = re.compile(r"insufficient memory|bad_alloc|MemoryError", re.IGNORECASE)
_GRID_MADE = "Computing Vina grid ... done"
_NO_POSE = "vina found no pose inside the box"


class VinaSession:
    """See :class:`worker.tools.Session`. Progress is a number of ligands, docked or failed."""

    def __init__(
        self,
        vina: "Vina",
        fetched: FetchedInput,
        folder: Path,
        resume: Resume,
        ligand_seconds: int | None,
    ) -> None:
        self.death: Death | None = None
        self._vina = vina
        self._fetched = fetched
        self._folder = folder
        self._troubles = resume.troubles
        self._limit_s = ligand_seconds
        self._progress = resume.progress
        self._tally = Tally(resume)
        self._ligands = self._read(resume.progress)
        self._batch: deque[Ligand] = deque()
        self._program: Program | None = None
        self._batches = 0
        self._since = 0.0
        self._first_reason: str | None = None
        self._died_of_it = False
        self._parts = 0
        self._table = self._next_table()

    @property
    def unsealed(self) -> int:
        """Ligands that are finished and in no part yet."""
        return self._table.rows

    def poll(self) -> bool:
        """See :class:`worker.tools.Session`."""
        if self._program is None:
            return not self._start() and self._end()
        code = self._program.poll()
        self._collect(code)
        if code is None and self.death is None:
            self._enforce_limit()
            return False
        program = self._stopped()
        if program is not None and code and self.death is None:
            self._judge(program, code)
        shutil.rmtree(self._folder / f"batch-{self._batches}", ignore_errors=True)
        return self.death is not None

    def interrupt(self) -> None:
        """Keep the ligands that are finished; the one at hand is lost."""
        if self._program is not None:
            self._collect(self._program.poll())
            self._program.terminate()
            self._collect(None)
            self._stopped()

    def contribute(self) -> Contribution:
        """What was finished since the last time."""
        table, self._table = self._table, self._next_table()
        return Contribution(
            outputs=table.outputs(),
            fresh=table.rows,
            progress=self._progress,
            counts=self._tally.counts(),
            best_id=self._tally.best_id,
            best_score=self._tally.best_score,
        )

    def close(self) -> None:
        """Kill the program if it still runs; the folder goes with the scratch."""
        self._stopped()

    def _stopped(self) -> Program | None:
        """Whatever the program does, it does it no more; returns it, to read what it said."""
        program, self._program = self._program, None
        if program is not None:
            program.kill()
        return program

    def _read(self, after: int) -> Iterator[Ligand]:
        stem = self._fetched.path.name.removesuffix(".pdbqt")
        with self._fetched.path.open("rb") as lines:
            yield from islice(split_ligands(lines, stem), after, None)

    def _next_table(self) -> PartTable:
        self._parts += 1
        return PartTable(self._folder / f"part-{self._parts}", self._fetched)

    def _start(self) -> bool:
        """Start vina over the next ligands; false when there are none."""
        self._fail_hopeless()
        while not self._batch:
            chunk = list(islice(self._ligands, BATCH))
            if not chunk:
                return False
            # Failed ligands settle in their turn, so that progress stays a number of ligands.
            self._batch = deque(chunk)
            self._fail_hopeless()
        self._batches += 1
        work = self._folder / f"batch-{self._batches}"
        (work / "out").mkdir(parents=True)
        names = []
        for ligand in self._batch:
            if ligand.problem is None:
                names.append(f"{ligand.ordinal}.pdbqt")
                (work / names[-1]).write_bytes(ligand.text)
        self._program = self._vina.start(names, "out", work)
        self._since = time.monotonic()
        return True

    def _fail_hopeless(self) -> None:
        """Settle the ligands at the front of the batch that vina need not be asked about."""
        while self._batch and self._batch[0].problem is not None:
            self._fail(self._batch[0].problem)

    def _collect(self, code: int | None) -> None:
        """Settle the ligands whose outputs are whole, in order."""
        out = self._folder / f"batch-{self._batches}" / "out"
        written = {int(path.name.split("_")[0]) for path in out.glob("*_out.pdbqt")}
        latest = max(written, default=-1)
        while self._batch:
            ligand = self._batch[0]
            moved_on = ligand.ordinal < latest or code == 0
            path = out / f"{ligand.ordinal}_out.pdbqt"
            if ligand.ordinal in written:
                if not (moved_on or self._is_closed(path, code)):
                    return
                if not self._dock(ligand, path):
                    return
            elif moved_on:
                self._fail(_NO_POSE)
            else:
                return
            self._fail_hopeless()

    def _is_closed(self, path: Path, code: int | None) -> bool:
        """Whether the program has finished to write a file that is its newest."""
        if self._vina.writes_whole_files or (code is not None and code > 0):
            return True
        folder = Path(f"/proc/{self._program.pid}/fd") if self._program else None
        if folder is None or not folder.is_dir():
            return False
        try:
            return not any(path.samefile(held) for held in folder.iterdir())
        except OSError:  # a descriptor went away while we looked, or the program did
            return False

    def _dock(self, ligand: Ligand, path: Path) -> bool:
        """Settle the ligand at the front by its output; false when that is not what it must be."""
        text = path.read_bytes()
        path.unlink()
        try:
            poses = parse_poses(text.decode(errors="replace"))
        except ValueError as error:  # a full disk cuts files, and vina does not notice
            self._blame_ligand(f"vina's output for {ligand.id} cannot be read: {error}", None)
            return self.death is None
        self._table.add_docked(ligand, text, poses)
        self._tally.docked(ligand.id, poses[0].affinity)
        self._advance()
        return True

    def _fail(self, reason: str | None) -> None:
        """Settle the ligand at the front as failed."""
        ligand = self._batch[0]
        self._table.add_failed(ligand, reason or "unknown")
        self._tally.failed()
        self._first_reason = self._first_reason or f"{ligand.id}: {reason}"
        self._advance()

    def _advance(self) -> None:
        self._batch.popleft()
        self._progress += 1
        self._since = time.monotonic()

    def _enforce_limit(self) -> None:
        if self._limit_s is None or time.monotonic() - self._since < self._limit_s:
            return
        if self._program is None or not self._batch:
            return
        late = self._batch[0]
        self._program.terminate()
        self._collect(None)
        self._stopped()
        if self._batch and self._batch[0] is late:
            self._fail(f"took longer than ligand_seconds = {self._limit_s}")

    def _judge(self, program: Program, code: int) -> None:
        """Vina ended with an error: at a ligand, before any, or by dying."""
        text = program.complained().strip()
        reason = " ".join(text.split())[-500:] or "vina said nothing"
        if code > 0 and _GRID_MADE not in program.said():
            raise Misconfigured(f"vina cannot start docking: {reason}")
        if not self._batch:
            return
        if code > 0 and _REFUSED.search(text):
            self._fail(reason)
            return
        said = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        reason = f"vina died at ligand {self._batch[0].id} ({said}): {reason}"
        if code == -signal.SIGKILL or _NO_MEMORY.search(text):
            self.death = Death(reason, None, code, out_of_memory=True)
        elif code in (-signal.SIGTERM, -signal.SIGINT):
            self.death = Death(reason, None, code)
        else:
            self._blame_ligand(reason, code)

    def _blame_ligand(self, reason: str, code: int | None) -> None:
        """Vina went wrong at the ligand at the front: the first time it is tried again."""
        place = f"ligand {self._batch[0].ordinal}"
        if place in self._troubles:
            self._died_of_it = True
            self._fail(f"{reason}; it happened here before")
        else:
            self.death = Death(reason, place, code)

    def _end(self) -> bool:
        """All ligands are settled: an input that gave nothing has failed."""
        if self._tally.molecules == 0:
            raise InputFailed("bad_input", "the file holds no ligand")
        if self._tally.molecules == self._tally.failed_molecules:
            failure_class = "tool_failed" if self._died_of_it else "bad_input"
            many = f"none of its {self._tally.molecules} ligands could be docked; "
            told = many if self._tally.molecules > 1 else ""
            reason = self._first_reason or "the scores of its parts say why"
            raise InputFailed(failure_class, told + reason)
        return True
