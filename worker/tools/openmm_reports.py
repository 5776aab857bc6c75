"""Trajectory and log of one part, each a file of its own that tells its true step numbers.

OpenMM's own trajectory reporters number the frames of a new file from its first step on, whatever
step the simulation has reached; its file formats can do better.
"""

from pathlib import Path
from typing import Any

from openmm import app

from worker.tools.openmm_job import LOG, TRAJECTORY, OpenMMOptions


class Reports:
    """Reporters that write to a part's folder until :meth:`close`."""

    def __init__(self, simulation: Any, options: OpenMMOptions, folder: Path) -> None:
        self._simulation = simulation
        self._log_path = folder / LOG
        self._log_file = self._log_path.open("x", encoding="utf-8")
        periodic = simulation.system.usesPeriodicBoundaryConditions()
        reporters: list[Any] = [
            _Log(
                self._log_file,
                options.report_steps,
                options.steps,
                volume=periodic,
                density=periodic,
            )
        ]
        if options.trajectory_steps:
            form = options.trajectory_format
            path = folder / f"{TRAJECTORY}.{form}"
            reporters.append(_Trajectory(path, form, options.trajectory_steps))
        simulation.reporters[:] = reporters

    def close(self) -> None:
        """Close the files; one in which there is nothing is removed."""
        for reporter in self._simulation.reporters:
            reporter.close()
        self._simulation.reporters.clear()
        self._log_file.close()
        if self._log_path.stat().st_size == 0:
            self._log_path.unlink()


class _Log(app.StateDataReporter):  # type: ignore[misc]
    """Rows at the multiples of an interval, and of the last step."""

    def __init__(self, file: Any, interval: int, last: int, **columns: bool) -> None:
        super().__init__(
            file,
            interval,
            step=True,
            time=True,
            potentialEnergy=True,
            kineticEnergy=True,
            totalEnergy=True,
            temperature=True,
            speed=True,
            **columns,
        )
        self._last = last

    def describeNextReport(self, simulation: Any) -> Any:  # noqa: N802 - OpenMM's name
        described = super().describeNextReport(simulation)
        left = self._last - simulation.currentStep
        if left > 0:
            described["steps"] = min(described["steps"], left)
        return described

    def close(self) -> None:
        """The file is closed by the one who opened it."""


class _Trajectory:
    """Frames at the multiples of an interval."""

    def __init__(self, path: Path, form: str, interval: int) -> None:
        self._path = path
        self._form = form
        self._interval = interval
        self._file: Any = None
        self._frames: Any = None

    def describeNextReport(self, simulation: Any) -> dict[str, Any]:  # noqa: N802 - OpenMM's name
        """See OpenMM's reporters."""
        steps = self._interval - simulation.currentStep % self._interval
        return {"steps": steps, "periodic": None, "include": ["positions"]}

    def report(self, simulation: Any, state: Any) -> None:
        """Write a frame."""
        if self._frames is None:
            self._frames = self._begun(simulation)
        positions = state.getPositions(asNumpy=True)
        self._frames.writeModel(positions, periodicBoxVectors=state.getPeriodicBoxVectors())

    def close(self) -> None:
        """Close the file, if there was a frame."""
        if self._file is not None:
            self._file.close()

    def _begun(self, simulation: Any) -> Any:
        topology, step_size = simulation.topology, simulation.integrator.getStepSize()
        numbers = {"firstStep": simulation.currentStep, "interval": self._interval}
        if self._form == "xtc":
            return app.XTCFile(str(self._path), topology, step_size, **numbers)
        self._file = self._path.open("xb")
        return app.DCDFile(self._file, topology, step_size, **numbers)
