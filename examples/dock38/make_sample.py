"""Makes the sample's bundles and its one dockfile: the layout of DOCK 3.8's ligands, no chemistry.

A bundle is a .tgz of .db2.gz files. Each has hierarchies, blocks of lines from M (name, sizes,
energies, SMILES) over A (atoms), B (bonds), X (places), R, C, S and D to E. What is here is made
up; real ones come from a ligand database or are built from SMILES.

usage: python make_sample.py      (writes inputs/ and dockfiles/matching_spheres.sph beside it)
"""

import gzip
import io
import math
import tarfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# Molecule, number of carbons in a ring, and of hierarchies: one for each form of the molecule.
BUNDLES = {
    "H05-a.db2.tgz": [("SAMPLE0000000001", 5, 1), ("SAMPLE0000000002", 6, 2)],
    "H05-b.db2.tgz": [("SAMPLE0000000003", 7, 1), ("SAMPLE0000000004", 8, 1)],
    "H09-a.db2.tgz": [("SAMPLE0000000005", 9, 1), ("a-longer-SAMPLE0000000001", 10, 1)],
}


def ring(size: int, form: int) -> list[tuple[float, float, float]]:
    """Places of a ring's atoms in ångström, 1.5 apart; a form lies ``form`` ångström higher."""
    radius = 0.75 / math.sin(math.pi / size)
    angles = [2 * math.pi * number / size for number in range(size)]
    return [(radius * math.cos(a), radius * math.sin(a), float(form)) for a in angles]


def hierarchy(name: str, size: int, form: int) -> str:
    """One form of a molecule, with one conformation."""
    lines = [
        f"M {name:>16s} none {size:3d} {size:3d} {size:6d} {1:6d} {1:6d} {3:6d} {4:6d} {0:6d}",
        f"M {0.0:+9.4f} {-2.5:+10.3f} {1.5:+10.3f} {-1.0:+10.3f} {30.0 * size:9.3f}",
        f"M C1{'C' * (size - 2)}C1",
        "M a ring that nobody made",
    ]
    atoms = range(1, size + 1)
    lines += [f"A {atom:3d} C{atom:<3d} C.3    5 0 {0.0:+9.4f} {-0.1:+10.3f}" for atom in atoms]
    lines += [f"B {atom:3d} {atom:3d} {atom % size + 1:3d} 1" for atom in atoms]
    for atom, (x, y, z) in zip(atoms, ring(size, form), strict=True):
        lines.append(f"X {atom:9d} {atom:3d} {1:6d} {x:+9.4f} {y:+9.4f} {z:+9.4f}")
    for atom, (x, y, z) in zip(range(1, 4), ring(size, form), strict=False):
        lines.append(f"R {atom:6d} {5:2d} {x:+9.4f} {y:+9.4f} {z:+9.4f}")
    lines += [f"C {1:6d} {1:9d} {size:9d}", f"S {1:6d} {1:6d} {1:3d} 0 0 {0.0:+11.3f}", f"S {1:6d}"]
    return "\n".join([*lines, "E", ""])


def bundle(molecules: list[tuple[str, int, int]]) -> dict[str, str]:
    """A bundle's files: one a molecule, with all its forms."""
    return {
        f"{name}.db2.gz": "".join(hierarchy(name, size, form) for form in range(forms))
        for name, size, forms in molecules
    }


def packed(files: dict[str, str]) -> bytes:
    """A .tgz of .db2.gz files."""
    raw = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as outer,
        tarfile.open(fileobj=outer, mode="w") as archive,
    ):
        for name, text in files.items():
            body = gzip.compress(text.encode(), mtime=0)
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return raw.getvalue()


def spheres() -> str:
    """Where atoms may be placed: a cluster of spheres around the origin."""
    places = ring(6, 0)
    lines = [f"cluster     1   number of spheres in cluster {len(places):5d}"]
    for number, (x, y, z) in enumerate(places, start=1):
        lines.append(f"{number:5d}{x:10.5f}{y:10.5f}{z:10.5f}{0.7:8.3f}{number:5d} 0  0")
    return "\n".join([*lines, ""])


def main() -> None:
    """Write the sample."""
    (FOLDER / "inputs").mkdir(exist_ok=True)
    for name, molecules in BUNDLES.items():
        (FOLDER / "inputs" / name).write_bytes(packed(bundle(molecules)))
    (FOLDER / "dockfiles" / "matching_spheres.sph").write_text(spheres())


if __name__ == "__main__":
    main()
