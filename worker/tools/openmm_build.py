"""Making a simulation of files and options. Imported in the simulation's own process alone."""

import hashlib
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openmm
from openmm import app, unit

from worker.tools.openmm_files import MMCIF, Files, FilesError, with_input
from worker.tools.openmm_job import Job, OpenMMOptions
from worker.tools.openmm_restart import CHECKPOINT, STATE, About, read_about, read_member

# OpenMM's own default for the barostat. What is sealed at a multiple of it goes on exactly: the
# barostat counts its steps anew after a restart.
BAROSTAT_STEPS = 25
# Where the barostat's settings are among a State's parameters; those of the request are meant.
_BAROSTAT_PARAMETERS = ("MonteCarloPressure", "MonteCarloTemperature")
_NO_MEMORY = re.compile(r"bad_alloc|out.of.memory", re.IGNORECASE)
# What does not touch the numbers, or names a device anew at each start.
_PASSING_PROPERTIES = ("DeviceIndex", "TempDirectory", "CudaCompiler", "CudaHostCompiler")


class CannotSimulateError(Exception):
    """Raised when there will be no simulation. ``kind``: ``misconfigured`` or ``bad_input``."""

    def __init__(self, kind: str, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(reason)


def find_platform(job: Job) -> tuple[Any, dict[str, str]]:
    """The platform that was asked for, once it has computed something, and its properties.

    Raises:
        CannotSimulateError: it is not there, or does not work.
    """
    properties = {}
    if job.platform == "CPU":
        properties["Threads"] = str(job.vcpus)
    if job.platform == "CUDA":
        properties["Precision"] = job.options.precision
        if job.gpus > 1:
            properties["DeviceIndex"] = ",".join(str(number) for number in range(job.gpus))
    if job.platform in ("CPU", "CUDA") and job.options.deterministic:
        properties["DeterministicForces"] = "true"
    try:
        platform = openmm.Platform.getPlatformByName(job.platform)
        system = openmm.System()
        system.addParticle(1.0)
        integrator = openmm.VerletIntegrator(0.001)
        context = openmm.Context(system, integrator, platform, properties)
        context.setPositions([openmm.Vec3(0, 0, 0)])
        context.getState(forces=True)
    except openmm.OpenMMException as error:
        failures = openmm.Platform.getPluginLoadFailures()
        why = "; ".join([str(error), *(text for text in failures if job.platform in text)])
        wanted = f"resources.gpus = {job.gpus}: " if job.gpus else ""
        raise CannotSimulateError(
            "misconfigured",
            f"{wanted}OpenMM {openmm.Platform.getOpenMMVersion()} has no working platform "
            f"{job.platform} here ({why})",
        ) from error
    return platform, properties


class Build:
    """Everything that a simulation begins with."""

    def __init__(self, job: Job, folder: Path) -> None:
        self._job = job
        self._options: OpenMMOptions = job.options
        try:
            self._files = with_input(job.shared, job.input, folder)
        except FilesError as error:
            raise CannotSimulateError("bad_input", str(error)) from error
        self._structure = self._read_structure()
        self._about = None if job.restart is None else read_about(job.restart)

    def simulation(self, platform: Any, properties: dict[str, str]) -> Any:
        """A Simulation before its first step, or where the restart was taken.

        Raises:
            CannotSimulateError: these files make none.
        """
        integrator = self._integrator()
        system = self._system()
        self._add_barostat(system, integrator)
        step = 0 if self._about is None else self._about.step
        self._seed(system, integrator, step)
        topology = self._structure.topology
        if system.getNumParticles() != topology.getNumAtoms():
            raise CannotSimulateError(
                "bad_input",
                f"the system has {system.getNumParticles()} particles and the structure "
                f"{topology.getNumAtoms()} atoms",
            )
        periodic = system.usesPeriodicBoundaryConditions()
        if topology.getPeriodicBoxVectors() is None and periodic:
            topology.setPeriodicBoxVectors(system.getDefaultPeriodicBoxVectors())
        simulation = _blaming(
            "bad_input",
            "the system cannot be simulated",
            lambda: app.Simulation(topology, system, integrator, platform, properties),
        )
        if self._about is None:
            _blaming("bad_input", "the simulation cannot begin", lambda: self._begin(simulation))
        return simulation

    def restore(self, simulation: Any) -> bool:
        """Go to where the restart was taken; whether exactly so.

        Raises:
            RestartError: it has changed since it was found whole.
        """
        if self._job.restart is None or self._about is None:
            raise ValueError("there is no restart")
        context, path = simulation.context, self._job.restart
        if dict(self._about.where) == whereabouts(simulation):
            try:
                context.loadCheckpoint(read_member(path, CHECKPOINT, self._about))
            except openmm.OpenMMException:
                return self._restore_state(context, path, self._about)
            if context.getStepCount() == self._about.step:
                return True
        return self._restore_state(context, path, self._about)

    def _restore_state(self, context: Any, path: Path, about: About) -> bool:
        text = read_member(path, STATE, about).decode()
        context.setState(openmm.XmlSerializer.deserialize(text))
        context.setStepCount(about.step)
        return False

    def _read_structure(self) -> Any:
        path = self._files.structure
        if path is None:
            raise CannotSimulateError(
                "bad_input", "there is no structure: give it in the input or as assets.structure"
            )
        kind = app.PDBxFile if path.name.lower().endswith(MMCIF) else app.PDBFile
        what = f"the structure {path.name} cannot be read"
        return _blaming("bad_input", what, lambda: kind(str(path)))

    def _system(self) -> Any:
        if self._files.system is not None:
            return _deserialised(self._files.system)
        return self._parametrised(self._files)

    def _parametrised(self, files: Files) -> Any:
        options = self._options
        names = [*options.forcefield, *(str(path) for path in files.forcefield)]
        if not names:
            raise CannotSimulateError(
                "misconfigured",
                "there is no system: give options.forcefield, assets.forcefield, assets.system or "
                "inputs that hold a serialised System",
            )
        forcefield = _blaming(
            "misconfigured", "the force field cannot be read", lambda: app.ForceField(*names)
        )
        topology = self._structure.topology
        method = options.nonbonded_method
        if method is None:
            method = "NoCutoff" if topology.getPeriodicBoxVectors() is None else "PME"
        constraints = None if options.constraints == "None" else options.constraints
        mass = options.hydrogen_mass_amu
        return _blaming(
            "bad_input",
            "the force field does not fit the structure",
            lambda: forcefield.createSystem(
                topology,
                nonbondedMethod=getattr(app, method),
                nonbondedCutoff=options.nonbonded_cutoff_nm * unit.nanometer,
                constraints=None if constraints is None else getattr(app, constraints),
                hydrogenMass=None if mass is None else mass * unit.amu,
            ),
        )

    def _add_barostat(self, system: Any, integrator: Any) -> None:
        pressure = self._options.pressure_bar
        if pressure is None:
            return
        if not system.usesPeriodicBoundaryConditions():
            raise CannotSimulateError("bad_input", "pressure_bar needs a periodic system")
        if any("Barostat" in type(force).__name__ for force in system.getForces()):
            raise CannotSimulateError(
                "bad_input", "the system has a barostat already: leave pressure_bar out"
            )
        temperature = self._temperature(integrator)
        system.addForce(openmm.MonteCarloBarostat(pressure, temperature, BAROSTAT_STEPS))

    def _integrator(self) -> Any:
        if self._files.integrator is not None:
            return _deserialised(self._files.integrator)
        options = self._options
        step_ps = options.timestep_fs / 1000
        if options.integrator == "Verlet":
            return openmm.VerletIntegrator(step_ps)
        return openmm.LangevinMiddleIntegrator(
            options.temperature_k, options.friction_per_ps, step_ps
        )

    def _seed(self, system: Any, integrator: Any, step: int) -> None:
        """Seeds for whatever draws random numbers: after a restart not the same ones again."""
        seed = seed_at(self._options.seed, step)
        for each in (integrator, *system.getForces()):
            if hasattr(each, "setRandomNumberSeed"):
                each.setRandomNumberSeed(seed)

    def _begin(self, simulation: Any) -> None:
        """Positions, velocities and box before step 1."""
        context, options = simulation.context, self._options
        has_velocities = False
        if self._files.state is not None:
            has_velocities = self._take_state(context, self._files.state)
        else:
            vectors = self._structure.topology.getPeriodicBoxVectors()
            if vectors is not None:
                context.setPeriodicBoxVectors(*vectors)
            context.setPositions(self._structure.positions)
            context.computeVirtualSites()
        if options.minimize_iterations:
            simulation.minimizeEnergy(maxIterations=options.minimize_iterations)
        if options.minimize_iterations or not has_velocities:
            context.setVelocitiesToTemperature(
                self._temperature(simulation.integrator), options.seed
            )
        context.setTime(0)
        context.setStepCount(0)

    def _take_state(self, context: Any, state_path: Path) -> bool:
        """Begin where another simulation was; whether it had velocities."""
        state = _deserialised(state_path)
        context.setPeriodicBoxVectors(*state.getPeriodicBoxVectors())
        context.setPositions(state.getPositions())
        holds = state.getDataTypes()
        if holds & openmm.State.Parameters:
            self._take_parameters(context, state)
        has_velocities = bool(holds & openmm.State.Velocities)
        if has_velocities:
            context.setVelocities(state.getVelocities())
        return has_velocities

    def _take_parameters(self, context: Any, state: Any) -> None:
        """Those that this system has, too."""
        known = set(context.getParameters())
        if self._options.pressure_bar is not None:
            known -= set(_BAROSTAT_PARAMETERS)
        for name, value in state.getParameters().items():
            if name in known:
                context.setParameter(name, value)

    def _temperature(self, integrator: Any) -> Any:
        own = getattr(integrator, "getTemperature", None)
        return self._options.temperature_k if own is None else own()


def seed_at(seed: int, step: int) -> int:
    """What random numbers begin with at a step; the first 31 bits that a hash makes of both."""
    if step == 0:
        return seed
    digest = hashlib.sha256(f"{seed} {step}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % (2**31 - 1) + 1


def full_state(simulation: Any) -> Any:
    """Everything that a State can hold.

    Raises:
        ValueError: the energy is no number; nobody should go on from there.
    """
    state = simulation.context.getState(
        positions=True,
        velocities=True,
        energy=True,
        parameters=True,
        integratorParameters=True,
    )
    energy = state.getPotentialEnergy() + state.getKineticEnergy()
    if not math.isfinite(energy.value_in_unit(unit.kilojoules_per_mole)):
        raise ValueError("the energy is no number")
    return state


def whereabouts(simulation: Any) -> dict[str, str]:
    """What must agree for a checkpoint to be read: version, platform and its properties."""
    platform = simulation.context.getPlatform()
    properties = {
        name: platform.getPropertyValue(simulation.context, name)
        for name in platform.getPropertyNames()
        if name not in _PASSING_PROPERTIES
    }
    return {
        "openmm": openmm.Platform.getOpenMMVersion(),
        "platform": platform.getName(),
        "integrator": type(simulation.integrator).__name__,
        **properties,
    }


def barostat_steps(system: Any) -> int:
    """After how many steps each a barostat acts; 1 without one."""
    found = [
        force.getFrequency() for force in system.getForces() if "Barostat" in type(force).__name__
    ]
    return max((steps for steps in found if steps > 0), default=1)


def _deserialised(path: Path) -> Any:
    text = path.read_text("utf-8", errors="replace")
    return _blaming(
        "bad_input",
        f"{path.name} cannot be read",
        lambda: openmm.XmlSerializer.deserialize(text),
    )


def _blaming(kind: str, what: str, make: Callable[[], Any]) -> Any:
    """What ``make`` returns; whatever it raises is the fault of what the user gave."""
    try:
        return make()
    except (MemoryError, CannotSimulateError):
        raise
    except Exception as error:
        # PDB, CIF and force fields are read by Python code that raises whatever it meets.
        text = " ".join(str(error).split())[:1000]
        if _NO_MEMORY.search(text):
            raise RuntimeError(text) from error
        if not isinstance(error, (openmm.OpenMMException, ValueError)):
            text = f"{type(error).__name__}: {text}"
        raise CannotSimulateError(kind, f"{what}: {text}") from error
