"""Starting vina over a batch of ligands, and the program that prepares them."""

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from worker.endings import Misconfigured
from worker.program import Program, clean_environment, import_environment

RECEPTOR = "receptor.pdbqt"
# Of one molecule, where the request sets no limit a ligand: a macrocycle takes about a second.
PREPARE_SECONDS = 60
# For programs in Python: the libraries below numpy start as many threads as there are CPUs.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Programs(NamedTuple):
    """What a session starts; never two at a time, so that no more than ``vcpus`` threads work."""

    vina: Sequence[str]
    flags: Sequence[str]
    receptor: Path
    seed: int
    vcpus: int
    variables: Sequence[str]
    ligand_seconds: int | None

    @property
    def writes_whole_files(self) -> bool:
        """Our own program renames an output when it is whole; vina writes where it is to lie."""
        return self.vina[0] == sys.executable

    def dock(self, ligands: Sequence[str], outputs: str, folder: Path) -> Program:
        """Start vina over ligand files; names are relative to ``folder``."""
        # The binding wants that ending, whatever the asset is called.
        receptor = folder / RECEPTOR
        if not receptor.exists():
            receptor.symlink_to(self.receptor)
        command = [*self.vina, "--receptor", RECEPTOR, "--dir", outputs]
        command += ["--cpu", str(self.vcpus), *self.flags, "--batch", *ligands]
        environment = clean_environment(folder, self.variables)
        if self.writes_whole_files:
            environment = _ONE_THREAD | environment | import_environment()
        return Program(command, folder, environment)

    def prepare(self, molecules: str, prepared: str, number: int, folder: Path) -> Program:
        """Start the preparation of a file of that many molecules.

        Raises:
            Misconfigured: what prepares is missing.
        """
        for package in ("rdkit", "meeko"):
            if importlib.util.find_spec(package) is None:
                raise Misconfigured(
                    f"vina takes .sdf and .smi where the Python package {package} is: install "
                    "rdkit and meeko in the image, or give it .pdbqt"
                )
        command = [sys.executable, "-P", "-m", "worker.tools.prepare_ligands", molecules, prepared]
        command += ["--seed", str(self.seed)]
        command += ["--seconds", str(self.ligand_seconds or PREPARE_SECONDS)]
        command += ["--processes", str(min(self.vcpus, number))]
        environment = clean_environment(folder) | _ONE_THREAD | import_environment()
        return Program(command, folder, environment)


def find_program() -> list[str]:
    """The command that docks: vina on PATH, else our batch program over its Python binding.

    Raises:
        Misconfigured: neither is there.
    """
    if path := shutil.which("vina"):
        return [path]
    if importlib.util.find_spec("vina") is not None:
        return [sys.executable, "-P", "-m", "worker.tools.vina_batch"]
    raise Misconfigured(
        "vina is missing: put a vina program on PATH or install the Python package vina"
    )
