#!/usr/bin/env python3
"""From docked poses to what OpenMM simulates: run by drydock's tool `command`, once an input.

    prepare.py TOP POSES TARGET

TOP and POSES are `top.csv` and `poses.pdbqt.gz` of the docking run, TARGET is an S3 prefix. Of each
of the best molecules that comes from this input (INPUT_URI) an archive is made of `system.xml`, a
serialised OpenMM System, and `ligand.pdb`, the molecule where Vina placed it. It is an output, and
a copy of it is put below TARGET under the molecule's name, where the next run finds all of them as
the direct children of one prefix.

The molecule is alone, in vacuo: MMFF94 with RDKit's parameters (J. Comput. Chem. 17, 490-641, 1996),
written as OpenMM's custom forces. Poses must carry the SMILES of their molecule, as those of
ligands do that Meeko prepared.
"""

import csv
import gzip
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from urllib.parse import quote, urlsplit

import boto3
import meeko
import openmm
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

# Exit code that blames the input: the request's bad_input_codes has it.
BAD_INPUT = 3
# MMFF94's atom types whose bonds lie on a line: CSP and =C=, NSP, =N=, NR%.
LINEAR = (4, 42, 53, 61)
# Where a torsion may be: between atoms that have more than one bond, none of them triple.
TWISTABLE = Chem.MolFromSmarts("[!$(*#*)&!D1]~[!$(*#*)&!D1]")

# Energies are in kcal/mol, lengths in ångström and angles in degrees, as the parameters are; OpenMM
# gives nm and radians, and wants kJ/mol.
UNITS = "; kcal = 4.184; degrees = 57.29577951308232"
STRETCH = "71.96625*kcal*k*d^2*(1 - 2*d + (7/3)*d^2); d = 10*r - r0" + UNITS
BEND = "0.02192217*kcal*k*d^2*(1 - 0.006981317*d); d = theta*degrees - theta0" + UNITS
BEND_OF_A_LINE = "143.9325*kcal*k*(1 + cos(theta))" + UNITS
STRETCH_BEND = (
    "2.5120960*kcal*(k1*(10*distance(p1, p2) - r1) + k3*(10*distance(p3, p2) - r3))"
    "*(angle(p1, p2, p3)*degrees - theta0)" + UNITS
)
# Of the bond from atom 2 to atom 4 with the plane of the others.
OUT_OF_PLANE = (
    "0.02192217*kcal*k*(degrees*asin(max(-1, min(1, sine))))^2;"
    "sine = (nx*(x4 - x2) + ny*(y4 - y2) + nz*(z4 - z2))/(size*distance(p2, p4));"
    "size = sqrt(nx^2 + ny^2 + nz^2);"
    "nx = (y1 - y2)*(z3 - z2) - (z1 - z2)*(y3 - y2);"
    "ny = (z1 - z2)*(x3 - x2) - (x1 - x2)*(z3 - z2);"
    "nz = (x1 - x2)*(y3 - y2) - (y1 - y2)*(x3 - x2)" + UNITS
)
TWIST = "0.5*kcal*(v1*(1 + cos(theta)) + v2*(1 - cos(2*theta)) + v3*(1 + cos(3*theta)))" + UNITS
# Buffered 14-7, and charges with a buffer; qq is their product with all that scales it.
PAIR = (
    "kcal*(epsilon*(1.07*r0/(d + 0.07*r0))^7*(1.12*r0^7/(d^7 + 0.12*r0^7) - 2) + qq/(d + 0.05));"
    "d = 10*r" + UNITS
)


class NoMoleculeError(Exception):
    """Raised when a pose cannot be made a molecule that MMFF94 knows; the message says why."""


def main(top: Path, poses: Path, target: str) -> int:
    """Prepare the best molecules of one docked input."""
    place = urlsplit(target)
    s3 = boto3.client("s3")
    try:
        for name, pose in poses_of(os.environ["INPUT_URI"], top, poses):
            archive = packed(molecule_of(pose))
            file = f"{quote(name, safe='')}.zip"
            Path(os.environ["OUTPUT_DIR"], file).write_bytes(archive)
            s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/") + file, Body=archive)
    except NoMoleculeError as error:
        print(f"{os.environ['INPUT_URI']}: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def poses_of(uri: str, top: Path, poses: Path) -> Iterator[tuple[str, str]]:
    """Name and poses (PDBQT, best model first) of the best molecules that come from an input."""
    with top.open(newline="") as lines, gzip.open(poses, "rt") as text:
        rows = list(csv.DictReader(lines))
        models = text.read().split("MODEL 1\n")[1:]
    for row, pose in zip(rows, models, strict=True):
        if row["input"] == uri:
            yield row["id"], f"MODEL 1\n{pose}"


def molecule_of(pose: str) -> Chem.Mol:
    """The molecule of a pose with all of its hydrogens, at the best model's coordinates.

    Raises:
        NoMoleculeError: the PDBQT does not say which molecule it is of.
    """
    try:
        docked = meeko.PDBQTMolecule(pose, poses_to_read=1, skip_typing=True)
        (molecule,) = meeko.RDKitMolCreate.from_pdbqt_mol(docked)
    except (RuntimeError, ValueError) as error:
        raise NoMoleculeError(f"its poses say no SMILES: {error}") from error
    if molecule is None:
        raise NoMoleculeError("its poses say no SMILES: dock from .smi or .sdf")
    return molecule


def packed(molecule: Chem.Mol) -> bytes:
    """One simulation as the tool openmm takes it; the same molecule makes the same bytes."""
    system = openmm.XmlSerializer.serialize(system_of(molecule))
    files = {"system.xml": system, "ligand.pdb": Chem.MolToPDBBlock(molecule)}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def system_of(molecule: Chem.Mol) -> openmm.System:
    """A molecule with all of its hydrogens under MMFF94, without a cutoff.

    Raises:
        NoMoleculeError: MMFF94 has no parameters for it.
    """
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    if properties is None:
        raise NoMoleculeError("MMFF94 has no parameters for one of its atoms")
    system = openmm.System()
    for atom in molecule.GetAtoms():
        system.addParticle(atom.GetMass())
    for terms in (bonds, angles, stretch_bends, out_of_planes, torsions, pairs):
        for force in terms(molecule, properties):
            system.addForce(force)
    system.addForce(openmm.CMMotionRemover())
    return system


def bonds(molecule, properties):
    """Stretching."""
    force = _named(openmm.CustomBondForce(STRETCH), "k", "r0")
    for bond in molecule.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        _, *parameters = properties.GetMMFFBondStretchParams(molecule, *ends)
        force.addBond(*ends, parameters)
    yield force


def angles(molecule, properties):
    """Bending, which has a form of its own where bonds lie on a line."""
    bend = _named(openmm.CustomAngleForce(BEND), "k", "theta0")
    line = _named(openmm.CustomAngleForce(BEND_OF_A_LINE), "k")
    for i, j, k in _angles(molecule):
        _, strength, theta0 = properties.GetMMFFAngleBendParams(molecule, i, j, k)
        if properties.GetMMFFAtomType(j) in LINEAR:
            line.addAngle(i, j, k, [strength])
        else:
            bend.addAngle(i, j, k, [strength, theta0])
    yield from (bend, line)


def stretch_bends(molecule, properties):
    """Stretching and bending together."""
    names = "k1", "k3", "r1", "r3", "theta0"
    force = _named(openmm.CustomCompoundBondForce(3, STRETCH_BEND), *names)
    for i, j, k in _angles(molecule):
        if properties.GetMMFFAtomType(j) in LINEAR:
            continue
        found = properties.GetMMFFStretchBendParams(molecule, i, j, k)
        if found is None:
            continue
        r1, r3 = (properties.GetMMFFBondStretchParams(molecule, end, j)[2] for end in (i, k))
        theta0 = properties.GetMMFFAngleBendParams(molecule, i, j, k)[2]
        force.addBond([i, j, k], [*found[1:], r1, r3, theta0])
    yield force


def out_of_planes(molecule, properties):
    """Each of three bonds with the plane of the other two."""
    force = _named(openmm.CustomCompoundBondForce(4, OUT_OF_PLANE), "k")
    for atom in molecule.GetAtoms():
        around, j = [each.GetIdx() for each in atom.GetNeighbors()], atom.GetIdx()
        if len(around) == 3:
            for out in around:
                i, k = (each for each in around if each != out)
                strength = properties.GetMMFFOopBendParams(molecule, i, j, k, out)
                if strength:
                    force.addBond([i, j, k, out], [strength])
    yield force


def torsions(molecule, properties):
    """Turning about a bond."""
    force = _named(openmm.CustomTorsionForce(TWIST), "v1", "v2", "v3")
    for j, k in molecule.GetSubstructMatches(TWISTABLE):
        for i in _around(molecule, j, k):
            for end in _around(molecule, k, j):
                found = properties.GetMMFFTorsionParams(molecule, i, j, k, end)
                if i != end and found is not None:
                    force.addTorsion(i, j, k, end, found[1:])
    yield force


def pairs(molecule, properties):
    """What is three bonds apart or more; the charges of what is three apart count less."""
    force = _named(openmm.CustomBondForce(PAIR), "r0", "epsilon", "qq")
    apart = Chem.GetDistanceMatrix(molecule)
    charges = [properties.GetMMFFPartialCharge(each) for each in range(molecule.GetNumAtoms())]
    for i, j in combinations(range(molecule.GetNumAtoms()), 2):
        if apart[i][j] >= 3:
            *_, r0, epsilon = properties.GetMMFFVdWParams(i, j)
            scale = 332.0716 * (0.75 if apart[i][j] == 3 else 1)
            force.addBond(i, j, [r0, epsilon, scale * charges[i] * charges[j]])
    yield force


def _named(force, *names: str):
    add = getattr(force, "addPerBondParameter", None) or getattr(
        force, "addPerAngleParameter", getattr(force, "addPerTorsionParameter", None)
    )
    for name in names:
        add(name)
    return force


def _angles(molecule) -> Iterator[tuple[int, int, int]]:
    for atom in molecule.GetAtoms():
        around = [each.GetIdx() for each in atom.GetNeighbors()]
        for i, k in combinations(around, 2):
            yield i, atom.GetIdx(), k


def _around(molecule, atom: int, but: int) -> list[int]:
    neighbours = molecule.GetAtomWithIdx(atom).GetNeighbors()
    return [each.GetIdx() for each in neighbours if each.GetIdx() != but]


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
