"""A simulation at work on one input, seen from the worker: its events, and the parts they make."""

import json
import shutil
import signal
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from worker.endings import InputFailed, Misconfigured
from worker.program import Program
from worker.scratch import free_bytes
from worker.tools import Contribution, Death, FetchedInput, Output, Resume
from worker.tools.growing_file import GrowingFile
from worker.tools.openmm_job import (
    CANNOT_IMPORT,
    EVENTS,
    FINAL_STATE,
    FINAL_STRUCTURE,
    LOG,
    RESTART,
    SEAL,
    STOP,
    TRAJECTORY,
    OpenMMOptions,
)

# A seal comes within a block of steps; one that takes longer is taken at a later time.
SEAL_WAIT_S = 3.0
# ECS kills 30 s after its SIGTERM, and the outputs have still to go up.
STOP_WAIT_S = 14.0
_LOOK_S = 0.01
_COUNTS = {"molecules": 0, "failed_molecules": 0}
# By these somebody else ends a program.
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Simulator(Protocol):
    """What starts simulations, and hears what they say."""

    options: OpenMMOptions
    say: Callable[..., None]

    def start(self, fetched: FetchedInput, folder: Path, restart: Path | None) -> Program:
        """Start one in ``folder``, which is made."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps that are finished, and the folder with what they gave."""

    folder: Path
    step: int
    final: bool

    def outputs(self, trajectory: str) -> tuple[Output, ...]:
        """What there is of it, its restart apart."""
        found = [("trajectory", trajectory), ("log", LOG)]
        if self.final:
            found += [("structure", FINAL_STRUCTURE), ("state", FINAL_STATE)]
        return tuple(
            self._output(name, filename)
            for name, filename in found
            if (self.folder / filename).exists()
        )

    def restart(self) -> Output | None:
        """From what the next part goes on; None when this is the last."""
        return None if self.final else self._output("restart", RESTART)

    def _output(self, name: str, filename: str) -> Output:
        # What reads trajectories goes by the ends of their names.
        return Output(name, filename, lambda _keys: self.folder / filename, own_name=True)


class OpenMMSession:
    """See :class:`worker.tools.Session`. Progress is a number of steps."""

    def __init__(
        self, openmm: Simulator, fetched: FetchedInput, folder: Path, resume: Resume
    ) -> None:
        self.death: Death | None = None
        self._openmm = openmm
        self._fetched = fetched
        self._folder = folder
        self._resume = resume
        # Steps that are in a part, in a sealed segment, and done at all.
        self._progress = self._sealed = self._step = resume.progress
        self._segments: deque[Segment] = deque()
        self._taken: Segment | None = None
        self._program: Program | None = None
        self._events = GrowingFile(folder / EVENTS)
        self._asked_to_seal = False
        self._complete = resume.progress >= openmm.options.steps
        self._failure: dict[str, Any] | None = None

    @property
    def unsealed(self) -> int:
        """Steps that are done and in no part yet; of a program that has ended, those it sealed."""
        return (self._sealed if self._program is None else self._step) - self._progress

    def poll(self) -> bool:
        """See :class:`worker.tools.Session`."""
        if self._program is not None:
            return self._look(self._program)
        if not self._complete and self.death is None:
            restart = self._resume.restart if self._progress else None
            self._program = self._openmm.start(self._fetched, self._folder, restart)
            return False
        # What was sealed before the last segment is a part of its own, and due.
        return self.death is not None or len(self._segments) <= 1

    def interrupt(self) -> None:
        """Let the steps at hand be finished and sealed; what takes too long is lost."""
        if self._program is None:
            return
        self._read_events()
        if self._step > self._sealed:
            _order(self._program, STOP)
            self._program.wait(STOP_WAIT_S)
        self.close()

    def contribute(self) -> Contribution:
        """See :class:`worker.tools.Session`. A simulation that is sealed goes on meanwhile."""
        if not self._segments and self._program is not None:
            self._wait_for_seal(self._program)
        segment = self._segments.popleft() if self._segments else None
        if self._taken is not None:  # it is in S3 by now
            shutil.rmtree(self._taken.folder, ignore_errors=True)
        self._taken = segment
        before, self._progress = self._progress, segment.step if segment else self._progress
        trajectory = f"{TRAJECTORY}.{self._openmm.options.trajectory_format}"
        return Contribution(
            outputs=segment.outputs(trajectory) if segment else (),
            fresh=self._progress - before,
            progress=self._progress,
            counts=dict(_COUNTS),
            best_id=None,
            best_score=None,
            restart=segment.restart() if segment else None,
        )

    def close(self) -> None:
        """Kill the simulation if it still runs; the folder goes with the scratch."""
        program, self._program = self._program, None
        if program is not None:
            program.kill()
            self._read_events()

    def _look(self, program: Program) -> bool:
        """What the program has done; true when it and all that it sealed are over with."""
        code = program.poll()
        self._read_events()
        if code is None:
            return False
        self.close()
        if not self._complete:
            self._judge(program, code)
        return self.death is not None or len(self._segments) <= 1

    def _wait_for_seal(self, program: Program) -> None:
        if not self._asked_to_seal:
            self._asked_to_seal = True
            _order(program, SEAL)
        until = time.monotonic() + SEAL_WAIT_S
        while time.monotonic() < until and not self._segments:
            ended = program.wait(_LOOK_S) is not None
            self._read_events()
            if ended:
                return

    def _read_events(self) -> None:
        """Take note of what happened since the last time."""
        for line in self._events.new_lines().splitlines():
            self._take(json.loads(line))

    def _take(self, event: dict[str, Any]) -> None:
        kind = event.pop("event")
        if kind == "ready":
            self._openmm.say("openmm", index=self._fetched.index, **event)
        elif kind == "running":
            self._step = event["step"]
        elif kind == "sealed":
            self._sealed = self._step = event["step"]
            self._asked_to_seal = False
            self._segments.append(Segment(Path(event["folder"]), event["step"], event["final"]))
            self._complete = event["final"]
        elif kind == "failed":
            self._failure = event

    def _judge(self, program: Program, code: int) -> None:
        """The simulation ended early, and not because the worker asked.

        Raises:
            InputFailed: the input is to blame.
            Misconfigured: no input could be simulated.
        """
        failure = self._failure or {}
        kind = failure.get("kind", "died")
        reason = failure.get("reason") or self._last_words(program, code)
        if kind == "misconfigured" or code == CANNOT_IMPORT:
            raise Misconfigured(reason)
        if kind == "bad_input":
            raise InputFailed("bad_input", reason)
        told = f"the simulation ended after step {self._step}: {reason}"
        own = code if code < 0 else None  # positive ones are our own program's
        if kind == "no_room":
            free = free_bytes(self._folder)
            told = f"{told}; {free} bytes are free: give more scratch, or seal parts more often"
            self.death = Death(told, None, own)
        elif kind == "memory" or code == -signal.SIGKILL:
            self.death = Death(told, None, own, out_of_memory=True)
        elif code == 0 or -code in _ASKED:
            told = f"the simulation got a signal that was not the worker's at step {self._step}"
            self.death = Death(told, None, own)
        else:
            self._blame_steps(told, own)

    def _blame_steps(self, told: str, code: int | None) -> None:
        """It went wrong after what is sealed: the first time it is tried again from there."""
        place = f"after step {self._sealed}"
        if place in self._resume.troubles:
            told = f"{told}; it happened {place} before"
            raise InputFailed("tool_failed", told, code)
        self.death = Death(told, place, code)

    def _last_words(self, program: Program, code: int) -> str:
        said = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        return f"{said}: {' '.join(program.complained().split())[-500:] or 'it said nothing'}"


def _order(program: Program, word: str) -> None:
    try:
        program.stdin.write(f"{word}\n".encode())
        program.stdin.flush()
    except OSError:
        return  # it has just ended
