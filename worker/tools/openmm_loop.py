"""The steps of a simulation in blocks short enough to stop after, and the segments they make."""

import json
import os
import select
import signal
import time
from pathlib import Path
from typing import IO, Any

import openmm
from openmm import app

from worker.tools.openmm_build import barostat_steps, full_state, whereabouts
from worker.tools.openmm_job import (
    FINAL_STATE,
    FINAL_STRUCTURE,
    RESTART,
    SEAL,
    STOP,
    OpenMMOptions,
)
from worker.tools.openmm_reports import Reports
from worker.tools.openmm_restart import write_restart

# So long may a stop wait for the steps at hand, unless a single one takes longer.
BLOCK_S = 0.5


class Events:
    """Lines of JSON for the worker."""

    def __init__(self, path: Path) -> None:
        self._file: IO[str] = path.open("a", encoding="utf-8")

    def tell(self, event: str, **fields: Any) -> None:
        """Write one event."""
        self._file.write(json.dumps({"event": event} | fields) + "\n")
        self._file.flush()


class Orders:
    """What the worker wants, or somebody's signal; the worker's death ends this process."""

    def __init__(self) -> None:
        self._stop = False
        self._seal = False
        self._rest = b""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked)

    def read(self) -> tuple[bool, bool]:
        """Whether to seal, and whether to stop; the first is forgotten thereby."""
        while select.select([0], [], [], 0)[0]:
            chunk = os.read(0, 4096)
            if not chunk:
                os._exit(1)  # nobody is left who would take what is done
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._seal = self._seal or SEAL.encode() in lines
            self._stop = self._stop or STOP.encode() in lines
        seal, self._seal = self._seal, False
        return seal, self._stop

    def _asked(self, _number: int, _frame: Any) -> None:
        self._stop = True


class Loop:
    """A simulation on its way from where it is to its last step."""

    def __init__(
        self, simulation: Any, options: OpenMMOptions, folder: Path, events: Events
    ) -> None:
        self._simulation = simulation
        self._options = options
        self._parent = folder
        self._events = events
        self._grain = barostat_steps(simulation.system)
        self._is_queued = simulation.context.getPlatform().getName() not in ("CPU", "Reference")
        self._segment = 0
        self._sealed_step = self.step
        self._block = 1
        self._folder, self._reports = self._next_segment()

    @property
    def step(self) -> int:
        """Steps that are done."""
        return int(self._simulation.context.getStepCount())

    def go(self, orders: Orders) -> bool:
        """Simulate to the end, or until a stop; whether it is the end.

        Raises:
            OpenMMException, ValueError: the simulation has exploded.
        """
        last = self._options.steps
        while self.step < last:
            seal, stop = orders.read()
            if (seal or stop) and self.step > self._sealed_step:
                self._seal()
            if stop:
                return False
            self._advance(last)
            self._events.tell("running", step=self.step)
        self._finish()
        return True

    def _advance(self, last: int) -> None:
        """A block: to a multiple of the grain, at which a seal is exact, or to the last step."""
        target = (self.step + self._block) // self._grain * self._grain
        if target <= self.step:
            target += self._grain
        began = time.monotonic()
        self._simulation.step(min(target, last) - self.step)
        if self._is_queued:  # a GPU has yet to do what it was given
            self._simulation.context.getState(velocities=True)
        # Growing slowly: the first steps prepare much and are no measure.
        factor = min(2.0, BLOCK_S / max(time.monotonic() - began, 1e-6))
        self._block = max(1, int(self._block * factor))

    def _seal(self) -> None:
        """Close the segment with a restart, and begin the next."""
        state = full_state(self._simulation)
        self._reports.close()
        write_restart(
            self._folder / RESTART,
            self.step,
            whereabouts(self._simulation),
            self._simulation.context.createCheckpoint(),
            openmm.XmlSerializer.serialize(state),
        )
        self._tell_sealed(final=False)
        self._segment += 1
        self._folder, self._reports = self._next_segment()

    def _finish(self) -> None:
        """Close the last segment with what is left of the simulation."""
        state = full_state(self._simulation)
        self._reports.close()
        (self._folder / FINAL_STATE).write_text(openmm.XmlSerializer.serialize(state), "utf-8")
        topology = self._simulation.topology
        if topology.getPeriodicBoxVectors() is not None:
            topology.setPeriodicBoxVectors(state.getPeriodicBoxVectors())
        with (self._folder / FINAL_STRUCTURE).open("w", encoding="utf-8") as file:
            app.PDBFile.writeFile(topology, state.getPositions(), file, keepIds=True)
        self._tell_sealed(final=True)

    def _tell_sealed(self, *, final: bool) -> None:
        self._sealed_step = self.step
        self._events.tell("sealed", folder=str(self._folder), step=self.step, final=final)

    def _next_segment(self) -> tuple[Path, Reports]:
        folder = self._parent / f"segment-{self._segment}"
        folder.mkdir()
        return folder, Reports(self._simulation, self._options, folder)
