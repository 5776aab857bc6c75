"""DOCK's poses packed anew, a gzip member a molecule: bytes, seconds of CPU and memory.

The baseline reads the same file to its end and drops it, as ``gzip -t`` does. Poses are made up, of
the length and the columns of DOCK's; their places are random, which packs worse than real ones.

usage: python benchmarks/poses.py [POSES]      (10,000 by default)
"""

import gzip
import random
import sys
import tempfile
from pathlib import Path

from _measure import measure, table

from worker.tools.dock38_poses import Repacker, members

ATOMS = 30
TERMS = ("Electrostatic", "Gist", "Van der Waals", "Ligand Polar Desolv", "Ligand Apolar Desolv")
MORE_TERMS = ("Total Strain", "Max Strain", "Receptor Desolvation", "Receptor Hydrophobic")


def pose(number: int, source: random.Random) -> str:
    """A block of the poses' file."""
    fields: list[tuple[str, object]] = [
        ("Name", f"ZINC{source.randrange(10**12):012d}"),
        ("Protonation", "none"),
        ("SMILES", "".join(source.choice("CCCccNOS()=12") for _ in range(50))),
        ("Long Name", "none"),
        ("FlexRecCode", 1),
        ("Number", number),
        ("Ligand Source File", "-"),
        ("Rank", 1),
        ("Setnum", source.randrange(999)),
        ("Matchnum", source.randrange(9999)),
    ]
    for name in ["OXR"] * 4 + ["OXS"] * 4:
        places = "".join(f"{source.uniform(-50, 50):11.4f}" for _ in range(3))
        fields.append((name, places))
    terms = (*TERMS, *MORE_TERMS, "Total Energy", "Ligand Charge", "Ligand Energy")
    fields += [(name, f"{source.uniform(-90, 10):.6f}") for name in terms]
    lines = [f"##########{name:>21s}: {value!s:>20s}" for name, value in fields]
    lines += ["", "@<TRIPOS>MOLECULE", f" {number}", f"{ATOMS:5d}{ATOMS:6d}", "", ""]
    lines.append("@<TRIPOS>ATOM")
    for atom in range(1, ATOMS + 1):
        places = "".join(f"{source.uniform(-60, 60):10.4f}" for _ in range(3))
        lines.append(f"{atom:7d} C{atom:<4d}  {places} C.3      1 LIG1      {-0.1 * atom:8.4f}")
    lines.append("@<TRIPOS>BOND")
    lines += [f"{bond:6d} {bond:4d} {bond % ATOMS + 1:4d} 1" for bond in range(1, ATOMS + 1)]
    return "\n".join([*lines, "", ""])


def write_poses(path: Path, count: int) -> None:
    """A file as DOCK writes it."""
    source = random.Random(1)
    with gzip.open(path, "wt", compresslevel=6) as out:
        for number in range(1, count + 1):
            out.write(pose(number, source))


def ours(path: str) -> tuple[int, int]:
    """Members, and their bytes."""
    target, index = Path(f"{path}.members"), Path(f"{path}.index")
    repacker = Repacker(Path(path), target, index)
    repacker.finish()
    return sum(1 for _ in members(index)), target.stat().st_size


def baseline(path: str) -> tuple[int, int]:
    """Reads to the end."""
    with gzip.open(path) as text:
        while text.read(1 << 20):
            pass
    return 1, Path(path).stat().st_size


def main() -> None:
    """Print the comparison at the size asked for, and ours alone at four times the poses."""
    poses = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for count in (poses, 4 * poses):
            path = Path(folder) / "test.mol2.gz"
            write_poses(path, count)
            candidates = {"as DOCK writes": baseline} if count == poses else {}
            for name, candidate in (candidates | {"members": ours}).items():
                measured = measure(candidate, str(path))
                found, size = measured.result
                rows.append(
                    (
                        f"{count:,}",
                        name,
                        f"{measured.seconds:.2f}",
                        f"{measured.peak_mib:.1f}",
                        f"{found:,}",
                        f"{size / count:,.0f}",
                    )
                )
    table(("poses", "", "CPU s", "MiB", "members", "bytes a pose"), rows)


if __name__ == "__main__":
    main()
