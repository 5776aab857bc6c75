"""AutoDock Vina over many ligands: its program or its library, one grid or many.

All dock the example's ligands with the same seed into the same box, in one thread. The baseline is
the program started once a ligand, as a script would; what can be had here is compared, and all
must write the same poses. The last line is what SMILES cost more: RDKit and Meeko.

usage: python benchmarks/vina.py [MAX_EVALS] [VINA]     (20,000, and the program on PATH)
"""

import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import table

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "vina"
LIGANDS = sorted((EXAMPLE / "ligands").glob("*.pdbqt"))
BOX = {
    "center_x": 12.8,
    "center_y": 95.1,
    "center_z": 58.6,
    "size_x": 14,
    "size_y": 14,
    "size_z": 14,
}
LIBRARY = [sys.executable, "-m", "worker.tools.vina_batch"]
PREPARE = [sys.executable, "-m", "worker.tools.prepare_ligands"]
SECONDS = "60"


def spend(command: list[str], folder: Path) -> float:
    """Seconds of CPU of a command that must end with 0."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "OPENBLAS_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # The library's program ends when its standard input does.
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        if process.wait() != 0:
            raise SystemExit(f"{command[0]} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def docking(program: list[str], evaluations: int) -> list[str]:
    """A command that lacks nothing but its outputs' folder and its ligands."""
    flags = [word for name, value in BOX.items() for word in (f"--{name}", str(value))]
    flags += ["--receptor", str(EXAMPLE / "receptor.pdbqt"), "--cpu", "1", "--seed", "1"]
    return [*program, *flags, "--exhaustiveness", "1", "--max_evals", str(evaluations)]


def batch(program: list[str], evaluations: int, folder: Path) -> tuple[float, dict[str, bytes]]:
    """One start over all ligands: seconds, and the poses."""
    out = Path(tempfile.mkdtemp(dir=folder))
    command = [*docking(program, evaluations), "--dir", str(out), "--batch", *map(str, LIGANDS)]
    return spend(command, folder), {path.name: path.read_bytes() for path in out.iterdir()}


def singly(program: list[str], evaluations: int, folder: Path) -> tuple[float, dict[str, bytes]]:
    """A start a ligand, each with its own grid."""
    out = Path(tempfile.mkdtemp(dir=folder))
    command = [*docking(program, evaluations), "--dir", str(out), "--batch"]
    seconds = sum(spend([*command, str(ligand)], folder) for ligand in LIGANDS)
    return seconds, {path.name: path.read_bytes() for path in out.iterdir()}


def preparing(folder: Path) -> float:
    """The same molecules from their SMILES to PDBQT."""
    smiles = [
        line.split()[2]
        for ligand in LIGANDS
        for line in ligand.read_text().splitlines()
        if line.startswith("REMARK SMILES ") and "IDX" not in line
    ]
    molecules = [
        json.dumps({"ordinal": number, "kind": "smi", "text": text})
        for number, text in enumerate(smiles)
    ]
    (folder / "molecules").write_text("\n".join(molecules))
    command = [*PREPARE, "molecules", "prepared", "--seed", "1", "--seconds", SECONDS]
    seconds = spend(command, folder)
    if "problem" in (folder / "prepared").read_text():
        raise SystemExit("a molecule of the example could not be prepared")
    return seconds


def main() -> None:
    """Print what each way takes."""
    evaluations = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    program = sys.argv[2] if len(sys.argv) > 2 else shutil.which("vina")
    ways = []
    if program is not None:
        ways += [("the program, a start a ligand", singly, [program])]
        ways += [("the program, one batch", batch, [program])]
    if importlib.util.find_spec("vina") is not None:
        if program is None:
            ways += [("the library, a start a ligand", singly, LIBRARY)]
        ways += [("the library, one batch", batch, LIBRARY)]
    rows, poses, base = [], [], 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, way, command in ways:
            seconds, found = way(command, evaluations, folder)
            base = base or seconds
            poses.append(found)
            same = "yes" if found == poses[0] else "no"
            rows.append((title, str(len(found)), f"{seconds:.2f}", f"{seconds / base:.3f}", same))
        if importlib.util.find_spec("rdkit") and importlib.util.find_spec("meeko"):
            seconds = preparing(folder)
            title = "RDKit and Meeko, from SMILES"
            rows.append((title, str(len(LIGANDS)), f"{seconds:.2f}", f"{seconds / base:.3f}", ""))
    table(("way", "ligands", "CPU s", "ratio", "same poses"), rows)


if __name__ == "__main__":
    main()
