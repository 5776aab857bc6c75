"""What the worker and the simulation's own process agree on: the job, and the names of files."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from worker.tools.openmm_files import ROLES, Files

JOB, EVENTS = "job.json", "events.jsonl"
TRAJECTORY, LOG, RESTART = "trajectory", "log.csv", "restart.zip"
FINAL_STRUCTURE, FINAL_STATE = "final.pdb", "state.xml"
# Exit codes: an event says what failed; there is no OpenMM.
FAILED, CANNOT_IMPORT = 3, 4
# Lines on standard input: seal what there is and go on; seal it and end. Its end: end at once.
SEAL, STOP = "seal", "stop"


@dataclass(frozen=True, slots=True)
class OpenMMOptions:
    """The options of a request, as ``drydock.openmm_options`` validates them there."""

    steps: int
    timestep_fs: float = 2.0
    integrator: str = "LangevinMiddle"
    temperature_k: float = 300.0
    friction_per_ps: float = 1.0
    pressure_bar: float | None = None
    forcefield: list[str] = field(default_factory=list)
    nonbonded_method: str | None = None
    nonbonded_cutoff_nm: float = 1.0
    constraints: str = "HBonds"
    hydrogen_mass_amu: float | None = None
    minimize_iterations: int = 0
    seed: int = 1
    report_steps: int = 1000
    trajectory_steps: int = 10_000
    trajectory_format: str = "dcd"
    platform: str | None = None
    precision: str = "mixed"
    deterministic: bool = False
    test_installation: bool = False
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class Job:
    """One start of a simulation. ``restart`` was found whole; ``test`` asks for OpenMM's own test
    first.
    """

    options: OpenMMOptions
    shared: Files
    input: Path
    restart: Path | None
    vcpus: int
    gpus: int
    test: bool

    @property
    def platform(self) -> str:
        """The platform to work on: never another one."""
        return self.options.platform or ("CUDA" if self.gpus else "CPU")

    def write(self, path: Path) -> None:
        """Write it for :func:`read_job`."""
        path.write_text(json.dumps(asdict(self), default=str), "utf-8")


def read_job(path: Path) -> Job:
    """The job that the worker wrote."""
    fields = json.loads(path.read_text("utf-8"))
    shared = fields.pop("shared")
    roles = {role: Path(shared[role]) for role in ROLES if shared[role]}
    restart = fields.pop("restart")
    return Job(
        options=OpenMMOptions(**fields.pop("options")),
        shared=Files(**roles, forcefield=tuple(Path(path) for path in shared["forcefield"])),
        input=Path(fields.pop("input")),
        restart=None if restart is None else Path(restart),
        **fields,
    )
