"""AutoDock Vina: docks the ligands of a file or an archive into one receptor.

The program on PATH is used in its batch mode, else the Python binding by a program of ours with
the same flags and files. Vina cannot stop inside a ligand, so what is finished is a number of
ligands; docking starts anew from the same seed with each, so that a ligand's poses are the same
whatever was docked before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.endings import InputFailed, Misconfigured
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.options import read_options
from worker.tools.vina_program import RECEPTOR, Programs, find_program
from worker.tools.vina_session import VinaSession


@dataclass(frozen=True, slots=True)
class VinaOptions:
    """The options of a request, as ``drydock.request.VinaOptions`` validates them there."""

    center: tuple[float, float, float]
    size: tuple[float, float, float]
    scoring: str = "vina"
    exhaustiveness: int = 8
    seed: int = 1
    num_modes: int = 9
    energy_range: float = 3.0
    max_evals: int = 0
    ligand_seconds: int | None = None
    recursive: bool = False

    def __post_init__(self) -> None:
        """What has no three coordinates is noticed before anything is docked."""
        self.flags()

    def flags(self) -> list[str]:
        """The options as vina's command line has them."""
        flags = ["--scoring", self.scoring]
        for axis, center, size in zip("xyz", self.center, self.size, strict=True):
            flags += [f"--center_{axis}", str(center), f"--size_{axis}", str(size)]
        for name in ("exhaustiveness", "seed", "num_modes", "energy_range", "max_evals"):
            flags += [f"--{name}", str(getattr(self, name))]
        return flags


class Vina:
    """Vina with its options, ready to dock."""

    def __init__(
        self,
        program: list[str],
        options: VinaOptions,
        vcpus: int,
        variables: Sequence[str] = (),
    ) -> None:
        self._program = program
        self._options = options
        self._vcpus = vcpus
        self._variables = variables
        self._receptor = Path(RECEPTOR)

    @classmethod
    def from_setting(cls, setting: Setting) -> "Vina":
        """Vina as a task document describes it.

        Raises:
            Misconfigured: there is no vina here, or the options are not vina's.
        """
        read = read_options("vina", VinaOptions, setting.options)
        return cls(find_program(), read, setting.vcpus, setting.variables)

    def prepare(self, assets: Mapping[str, Path]) -> None:
        """Find the receptor among the assets, or in the dockfiles."""
        receptor = assets.get("receptor")
        if receptor is None and "dockfiles" in assets:
            receptor = assets["dockfiles"] / RECEPTOR
        if receptor is None or not receptor.is_file():
            raise Misconfigured(f"vina needs assets.receptor, or {RECEPTOR} in dockfiles")
        self._receptor = receptor

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> VinaSession:
        """Begin to dock an input's ligands after those that are finished."""
        if fetched.path.stat().st_size == 0:
            raise InputFailed("bad_input", "the file is empty")
        return VinaSession(self._programs(), fetched, folder, resume)

    def _programs(self) -> Programs:
        return Programs(
            vina=self._program,
            flags=self._options.flags(),
            receptor=self._receptor,
            seed=self._options.seed,
            vcpus=self._vcpus,
            variables=self._variables,
            ligand_seconds=self._options.ligand_seconds,
        )
