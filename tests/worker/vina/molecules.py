"""Molecules as users bring them: SMILES, SDF as RDKit writes it, archives of both."""

import io
import tarfile
import zipfile

from rdkit import Chem
from rdkit.Chem import rdDepictor, rdDistGeom

# A small box and few evaluations: what is tested is not vina.
QUICK = {
    "center": [12.8, 95.1, 58.6],
    "size": [8, 8, 8],
    "exhaustiveness": 1,
    "max_evals": 500,
    "num_modes": 1,
}
SMILES = {
    "aspirin": "CC(=O)Oc1ccccc1C(=O)O",
    "caffeine": "Cn1c(=O)c2c(ncn2C)n(C)c1=O",
    "paracetamol": "CC(=O)Nc1ccc(O)cc1",
    "ethanol": "CCO",
    "phenol": "Oc1ccccc1",
}
LIBRARY = ("ethanol", "broken", "phenol", "caffeine")
# RDKit needs minutes for its coordinates.
ENDLESS = "C" * 250


def smi(*names, **more):
    """Lines of SMILES and name; ``more`` are names with SMILES of their own."""
    wanted = {name: SMILES[name] for name in names} | more
    return "".join(f"{smiles}\t{name}\n" for name, smiles in wanted.items()).encode()


def mol_block(name, *, dimensions=3, hydrogens=True, smiles=None):
    """One molecule; its coordinates come of another seed than the worker's."""
    molecule = Chem.MolFromSmiles(smiles or SMILES[name])
    if dimensions == 3:
        molecule = Chem.AddHs(molecule)
        rdDistGeom.EmbedMolecule(molecule, randomSeed=7)
        if not hydrogens:
            molecule = Chem.RemoveHs(molecule)
    else:
        rdDepictor.Compute2DCoords(molecule)
    molecule.SetProp("_Name", name)
    return Chem.MolToMolBlock(molecule)


def sdf(*blocks):
    """Records with a data item each."""
    return "".join(f"{block}> <SOURCE>\nsomewhere\n\n$$$$\n" for block in blocks).encode()


def tgz(**members):
    """A .tar.gz; names are given with _ for the dot before the ending."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return raw.getvalue()


def zipped(**members):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, body in members.items():
            archive.writestr(name.replace("_", "."), body)
    return raw.getvalue()


def library():
    """An SDF of four molecules: one cannot be prepared, and one is a drawing."""
    blocks = [
        "broken\nno molecule\n"
        if name == "broken"
        else mol_block(name, dimensions=2 if name == "phenol" else 3)
        for name in LIBRARY
    ]
    return sdf(*blocks)
