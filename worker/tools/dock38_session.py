"""Work on one bundle: starts of dock64, one after another, each going on where the last ended."""

import re
import signal
from collections.abc import Callable
from pathlib import Path

from worker.endings import InputFailed, Misconfigured, RestartUnusable
from worker.tools import Contribution, Death, FetchedInput, Output, Resume
from worker.tools.dock38_part import Part
from worker.tools.dock38_restart import Restart, parse_restart
from worker.tools.dock38_run import OUTDOCK, Run
from worker.tools.tally import Tally

# Starts dock64 on a bundle in a folder that is made.
Start = Callable[[Path, Path, Restart], Run]
_NO_MEMORY = re.compile(r"insufficient (virtual )?memory|cannot allocate|bad_alloc", re.IGNORECASE)
# By these somebody else ends a program; the last one before DOCK has its handler for it.
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Dock38Session:
    """See :class:`worker.tools.Session`. Progress is a number of hierarchies, docked or failed.

    Nothing of a start counts until it has ended by its own: rows that a killed program left are
    done again by the next one.
    """

    def __init__(self, start: Start, fetched: FetchedInput, folder: Path, resume: Resume) -> None:
        self.death: Death | None = None
        self._start = start
        self._fetched = fetched
        self._folder = folder
        self._troubles = resume.troubles
        self._tally = Tally(resume)
        self._restart = _restart_of(resume)
        self._starts = 0
        self._run: Run | None = None
        self._part: Part | None = None
        # All is docked; found at an end that nobody asked for, nothing is left to go on from.
        self._complete = False
        self._ended_by_itself = False
        self._last_folder = folder

    @property
    def unsealed(self) -> int:
        """Hierarchies that are finished and in no contribution yet."""
        if self._run is not None:
            return self._run.rows
        return 0 if self._part is None else self._part.fresh

    def poll(self) -> bool:
        """See :class:`worker.tools.Session`."""
        if self._complete or self.death is not None:
            return True
        if self._run is None:
            self._starts += 1
            self._last_folder = self._folder / f"start-{self._starts}"
            self._run = self._start(self._fetched.path, self._last_folder, self._restart)
            return False
        code = self._run.poll()
        feeder = self._run.feeder
        if code is None and feeder.problem is None and feeder.trouble is None:
            return False
        run, self._run = self._run, None
        code = run.finish()
        if feeder.problem is not None:
            raise InputFailed("bad_input", feeder.problem)
        if feeder.trouble is not None:
            raise feeder.trouble
        self._conclude(run, code)
        return True

    def interrupt(self) -> None:
        """Let dock64 finish its ligand; what it cannot save in time is lost."""
        if self._run is not None:
            run, self._run = self._run, None
            self._take(run, run.stop())

    def contribute(self) -> Contribution:
        """See :class:`worker.tools.Session`. A checkpoint is an interruption of dock64."""
        if self._run is not None:
            self.interrupt()
            if self._part is None:
                self.death = Death("dock64 did not stop as it was asked to", None, None)
        part, self._part = self._part, None
        outputs, restart = self._trace(), None
        if part is not None:
            outputs, restart = part.outputs(), part.kept_restart()
            self._restart = part.restart
        return Contribution(
            outputs=outputs,
            fresh=0 if part is None else part.fresh,
            progress=self._restart.progress,
            counts=self._tally.counts(),
            best_id=self._tally.best_id,
            best_score=self._tally.best_score,
            restart=None if self._ended_by_itself else restart,
        )

    def close(self) -> None:
        """Kill dock64 if it still runs; the folder goes with the scratch."""
        run, self._run = self._run, None
        if run is not None:
            run.finish()

    def _take(self, run: Run, code: int) -> None:
        """Make a part of what a start left, if that is whole.

        Raises:
            Misconfigured: OUTDOCK tells of an error; the exit code is 0 then, too.
        """
        ending = run.ending
        if ending.errors:
            raise Misconfigured(f"dock64 cannot work: {ending.errors[0]}")
        if code != 0 or not (ending.interrupted or ending.end_of_file):
            return
        finished = run.restart() if ending.interrupted else self._end_of_stream(run)
        if finished is None or finished < self._restart.finished:
            return
        fresh = finished - self._restart.finished
        if fresh and run.problem_of_poses() is not None:
            return
        self._complete = run.feeder.done and not ending.interrupted
        if fresh:
            after = Restart(finished, self._restart.left_out)
            self._part = Part(run.folder, run.notes, fresh, after)
            self._part.tabulate(self._fetched, self._tally, self._restart.finished)

    def _end_of_stream(self, run: Run) -> int | None:
        """All hierarchies that were sent, if dock64 has read just these; it may not count the
        ones that it could not read.
        """
        if run.ending.hierarchies is None:
            return None
        sent, read = run.feeder.sent, self._restart.finished + run.ending.hierarchies
        return sent if read in (sent, sent - run.ending.skipped) else None

    def _conclude(self, run: Run, code: int) -> None:
        """dock64 ended and nobody of us had asked it to."""
        self._take(run, code)
        if self._complete:
            self._ended_by_itself = True
            if self._part is None and not self._restart.progress:
                raise InputFailed("bad_input", "the bundle holds no hierarchy")
        elif code == 0 and run.ending.interrupted:
            self.death = Death("dock64 got a signal that was not the worker's", None, code)
        else:
            self._judge(run, code)

    def _judge(self, run: Run, code: int) -> None:
        """dock64 ended as it must not: by dying, or without having read all."""
        said = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        if code == 0:
            said = self._what_is_missing(run)
        complained = run.complained() or "it said nothing"
        if code > 0 and not run.ending.has_header:
            raise Misconfigured(f"dock64 cannot start docking ({said}): {complained}")
        place = f"hierarchy {self._restart.progress + run.rows}"
        told = f"dock64 ended at {place} of {run.feeder.sent} sent ({said}): {complained}"
        if code == -signal.SIGKILL or _NO_MEMORY.search(complained):
            self.death = Death(told, None, code, out_of_memory=True)
        elif -code in _ASKED:
            self.death = Death(told, None, code)
        elif place in self._troubles:
            raise InputFailed("tool_failed", f"{told}; it happened here before", code)
        else:
            self.death = Death(told, place, code)

    def _what_is_missing(self, run: Run) -> str:
        """Why an end by exit code 0 is none."""
        if not run.ending.end_of_file:
            return "its OUTDOCK has no end"
        if self._end_of_stream(run) is None:
            before = self._restart.finished
            return f"by its own count it read {run.ending.hierarchies} after {before}"
        return f"its poses cannot be read: {run.problem_of_poses()}"

    def _trace(self) -> tuple[Output, ...]:
        """What a death leaves for people: the OUTDOCK of the start that ended so."""
        path = self._last_folder / OUTDOCK
        if self.death is None or not path.exists():
            return ()
        return (Output("outdock", OUTDOCK, lambda _keys: path),)


def _restart_of(resume: Resume) -> Restart:
    """Where the session begins.

    Raises:
        RestartUnusable: the part's restart is none, or not that part's.
    """
    if resume.restart is None:
        return Restart(resume.progress)
    restart = parse_restart(resume.restart.read_text("latin-1"))
    if restart.progress != resume.progress:
        raise RestartUnusable(f"it has {restart.progress} hierarchies, its part {resume.progress}")
    return restart
