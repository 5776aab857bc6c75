"""Makes four boxes of 216 water molecules that differ in how the molecules are turned.

The oxygens lie on a lattice at the density of water; the simulation's minimisation and its barostat
do the rest. Running this again gives the same bytes: python examples/openmm/make_inputs.py
"""

import math
import random
from pathlib import Path

HERE = Path(__file__).parent
BOXES = 4
PER_EDGE = 6
# 216 molecules of 18.015 g/mol at 0.997 g/ml.
EDGE = (PER_EDGE**3 * 18.015 / (0.997 * 0.602214)) ** (1 / 3)
# TIP3P's geometry in ångström; https://doi.org/10.1063/1.445869
BOND, ANGLE = 0.9572, math.radians(104.52)
MOLECULE = (
    ("O", (0.0, 0.0, 0.0)),
    ("H1", (BOND, 0.0, 0.0)),
    ("H2", (BOND * math.cos(ANGLE), BOND * math.sin(ANGLE), 0.0)),
)


def box(seed: int) -> bytes:
    """One box as a .pdb file. Columns: https://www.wwpdb.org/documentation/file-format-content"""
    drawn = random.Random(seed)
    lines = [f"CRYST1{EDGE:9.3f}{EDGE:9.3f}{EDGE:9.3f}  90.00  90.00  90.00 P 1           1"]
    spacing, serial = EDGE / PER_EDGE, 0
    for number in range(PER_EDGE**3):
        cell = (number // PER_EDGE**2, number // PER_EDGE % PER_EDGE, number % PER_EDGE)
        turn = rotation(drawn)
        for name, place in MOLECULE:
            serial += 1
            at = [
                (cell[axis] + 0.5) * spacing + sum(turn[axis][i] * place[i] for i in range(3))
                for axis in range(3)
            ]
            lines.append(
                f"HETATM{serial:5d}  {name:<3s} HOH A{number + 1:4d}    "
                f"{at[0]:8.3f}{at[1]:8.3f}{at[2]:8.3f}  1.00  0.00          {name[0]:>2s}"
            )
    return "\n".join([*lines, "END", ""]).encode()


def rotation(drawn: random.Random) -> list[list[float]]:
    """A random rotation, from a quaternion of four normal numbers."""
    w, x, y, z = (drawn.gauss(0, 1) for _ in range(4))
    length = math.sqrt(w * w + x * x + y * y + z * z)
    w, x, y, z = w / length, x / length, y / length, z / length
    return [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]


def arranged() -> dict[str, bytes]:
    """Name and content of every input."""
    return {f"water-{seed}.pdb": box(seed) for seed in range(1, BOXES + 1)}


def main() -> None:
    """Write the inputs."""
    folder = HERE / "inputs"
    folder.mkdir(exist_ok=True)
    for name, content in arranged().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
