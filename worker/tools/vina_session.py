"""Vina at work on one input: what is finished of its ligands, and what went wrong."""

import re
import signal
import time
from pathlib import Path

from worker.endings import InputFailed, Misconfigured
from worker.program import Program
from worker.tools import Contribution, Death, FetchedInput, Resume
from worker.tools.ligand_files import read_ligands
from worker.tools.ligands import Ligand
from worker.tools.pdbqt import parse_poses
from worker.tools.tally import Tally
from worker.tools.vina_batches import EXIT_MISSING, Batches
from worker.tools.vina_program import Programs
from worker.tools.vina_table import PartTable

# How vina speaks of a ligand that it cannot read; anything else it ends with 1 for is its own.
_REFUSED = re.compile(r"parsing error|Cannot read ligand|Ligand string is empty", re.IGNORECASE)
# From 1.2.7 on it goes on with the next one, and quotes the line that it cannot read.
_UNREAD = re.compile(r"(PDBQT parsing error: .*)\n > (.*)")
_NO_MEMORY = re.compile(r"insufficient memory|bad_alloc|MemoryError", re.IGNORECASE)
_GRID_MADE = "Computing Vina grid ... done"
_OUTPUT = "_out.pdbqt"
_NO_POSE = "vina found no pose inside the box"


class VinaSession:
    """See :class:`worker.tools.Session`. Progress is a number of ligands, docked or failed."""

    def __init__(
        self, programs: Programs, fetched: FetchedInput, folder: Path, resume: Resume
    ) -> None:
        self.death: Death | None = None
        self._programs = programs
        self._fetched = fetched
        self._folder = folder
        self._troubles = resume.troubles
        self._progress = resume.progress
        self._tally = Tally(resume)
        self._batches = Batches(read_ligands(fetched, resume.progress), folder)
        self._program: Program | None = None
        self._preparing = False
        self._starts = 0
        # When the ligand at hand began; None while there is no grid yet.
        self._since: float | None = None
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
            return self._go_on()
        code = self._program.poll()
        if self._preparing:
            return self._poll_preparation(code)
        self._collect(code)
        if code is None and self.death is None:
            self._enforce_limit(self._program)
            return False
        program = self._stopped()
        if program is not None and code and self.death is None:
            self._judge(program, code)
        return self.death is not None or self._go_on()

    def interrupt(self) -> None:
        """Keep the ligands that are finished; the one at hand is lost."""
        if self._program is not None and not self._preparing:
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
        self._preparing = False
        if program is not None:
            program.kill()
        return program

    def _next_table(self) -> PartTable:
        self._parts += 1
        return PartTable(self._folder / f"part-{self._parts}", self._fetched)

    def _go_on(self) -> bool:
        """Start what is to be done next; true when all is done."""
        return not self._start() and self._end()

    def _start(self) -> bool:
        """Start what is to be done next; false when all ligands are settled."""
        batches = self._batches
        self._fail_hopeless()
        while not batches.waiting:
            if not batches.begin():
                return False
            if batches.unprepared:
                molecules, prepared = batches.to_prepare
                self._program = self._programs.prepare(
                    molecules, prepared, batches.unprepared, batches.folder
                )
                self._preparing = True
                return True
            # Failed ligands settle in their turn, so that progress stays a number of ligands.
            self._fail_hopeless()
        self._starts += 1
        self._out.mkdir()
        self._program = self._programs.dock(batches.names(), self._out.name, batches.folder)
        self._since = None
        return True

    @property
    def _out(self) -> Path:
        return self._batches.folder / f"out-{self._starts}"

    def _poll_preparation(self, code: int | None) -> bool:
        """Look for the end of a preparation; true when it died."""
        if code is None:
            return False
        program = self._stopped()
        if code == 0:
            self._batches.take_prepared()
            return self._go_on()
        said = " ".join(program.complained().split())[-500:] if program is not None else ""
        if code == EXIT_MISSING:
            raise Misconfigured(f"vina's ligands cannot be prepared: {said}")
        self.death = Death(
            f"the preparation of ligands ended with {_ending(code)}: {said}",
            place=None,
            exit_code=code,
            out_of_memory=code == -signal.SIGKILL,
        )
        return True

    def _fail_hopeless(self) -> None:
        """Settle the ligands at the front of the batch that vina need not be asked about."""
        while self._batches.waiting and self._batches.waiting[0].problem is not None:
            self._fail(self._batches.waiting[0].problem)

    def _collect(self, code: int | None) -> None:
        """Settle the ligands whose outputs are whole, in order."""
        waiting = self._batches.waiting
        # Outputs go as they are taken, so that few are there.
        names = [path.name for path in self._out.iterdir()]
        written = {int(name.partition("_")[0]) for name in names if name.endswith(_OUTPUT)}
        latest = max(written, default=-1)
        while waiting:
            ligand = waiting[0]
            moved_on = ligand.ordinal < latest or code == 0
            path = self._out / f"{ligand.ordinal}{_OUTPUT}"
            if ligand.ordinal in written:
                if not (moved_on or self._is_closed(path, code)):
                    return
                if not self._dock(ligand, path):
                    return
            elif moved_on:
                self._fail(self._why_without_pose(ligand))
            else:
                return
            self._fail_hopeless()

    def _why_without_pose(self, ligand: Ligand) -> str:
        """Vina went on to the next: it could not read this one, or found nothing."""
        text = (self._batches.folder / f"{ligand.ordinal}.pdbqt").read_text(errors="replace")
        said = self._program.complained() if self._program is not None else ""
        for message, line in _UNREAD.findall(said):
            if line.strip() in text:
                return " ".join(f"{message} {line}".split())
        return _NO_POSE

    def _is_closed(self, path: Path, code: int | None) -> bool:
        """Whether the program has finished to write a file that is its newest."""
        if self._programs.writes_whole_files or (code is not None and code > 0):
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
        ligand = self._batches.waiting[0]
        self._table.add_failed(ligand, reason or "unknown")
        self._tally.failed()
        self._first_reason = self._first_reason or f"{ligand.id}: {reason}"
        self._advance()

    def _advance(self) -> None:
        self._batches.settle()
        self._progress += 1
        if self._since is not None:
            self._since = time.monotonic()

    def _enforce_limit(self, program: Program) -> None:
        limit_s = self._programs.ligand_seconds
        waiting = self._batches.waiting
        if limit_s is None or not waiting:
            return
        if self._since is None:
            if _GRID_MADE in program.said():
                self._since = time.monotonic()
            return
        if time.monotonic() - self._since < limit_s:
            return
        late = waiting[0]
        program.terminate()
        self._collect(None)
        self._stopped()
        if waiting and waiting[0] is late:
            self._fail(f"took longer than ligand_seconds = {limit_s}")

    def _judge(self, program: Program, code: int) -> None:
        """Vina ended with an error: at a ligand, before any, or by dying."""
        text = program.complained().strip()
        reason = " ".join(text.split())[-500:] or "vina said nothing"
        if code > 0 and _GRID_MADE not in program.said():
            raise Misconfigured(f"vina cannot start docking: {reason}")
        waiting = self._batches.waiting
        if not waiting:
            return
        if code > 0 and _REFUSED.search(text):
            self._fail(reason)
            return
        reason = f"vina died at ligand {waiting[0].id} ({_ending(code)}): {reason}"
        if code == -signal.SIGKILL or _NO_MEMORY.search(text):
            self.death = Death(reason, None, code, out_of_memory=True)
        elif code in (-signal.SIGTERM, -signal.SIGINT):
            self.death = Death(reason, None, code)
        else:
            self._blame_ligand(reason, code)

    def _blame_ligand(self, reason: str, code: int | None) -> None:
        """Vina went wrong at the ligand at the front: the first time it is tried again."""
        place = f"ligand {self._batches.waiting[0].ordinal}"
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


def _ending(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
