"""From a molecule of an SDF, or a SMILES, to PDBQT: RDKit and Meeko, the same each time.

Nothing of the chemistry is changed: charges, tautomers and protonation are the input's, and
hydrogens are added where its valences leave them out. Coordinates in three dimensions are kept;
otherwise ETKDG makes some from the given seed, which MMFF94 (else UFF) relaxes.

https://www.rdkit.org/docs/GettingStartedInPython.html#working-with-3d-molecules,
https://meeko.readthedocs.io
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Meeko takes pandas where there is one, for an analysis that is not ours; that begins threads, and
# processes are forked from this one.
_modules: dict[str, Any] = sys.modules
_modules.setdefault("pandas", None)

import meeko  # type: ignore[import-untyped]  # noqa: E402

if _modules["pandas"] is None:
    del _modules["pandas"]

import rdkit  # noqa: E402
from rdkit import Chem, rdBase  # noqa: E402
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers  # noqa: E402

VERSIONS = f"rdkit {rdkit.__version__}, meeko {meeko.__version__}"
_RELAXATIONS = 2000
_REASON_CHARACTERS = 300

_said: list[str] = []


class Unprepared(Exception):
    """Raised when a molecule cannot be prepared; the message says why."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A molecule that can be docked. ``smiles`` is the canonical one, without hydrogens."""

    pdbqt: str
    smiles: str


class _Listener(logging.Handler):
    """Keeps what RDKit says while it is at one molecule."""

    def emit(self, record: logging.LogRecord) -> None:
        _said.append(record.getMessage().partition("] ")[2] or record.getMessage())


def listen() -> None:
    """Take what RDKit says as reasons; nothing of it goes to stderr any more."""
    rdBase.LogToPythonLogger()
    logger = logging.getLogger("rdkit")
    logger.handlers = [_Listener(logging.ERROR)]
    logger.propagate = False


def prepare(kind: str, text: str, seed: int) -> Prepared:
    """Prepare one molecule.

    Raises:
        Unprepared: RDKit or Meeko cannot.
    """
    _said.clear()
    try:
        molecule = _with_hydrogens(Chem.MolFromSmiles(text)) if kind == "smi" else _of_sdf(text)
        if not _is_three_dimensional(molecule):
            _embed(molecule, seed)
        return Prepared(_pdbqt(molecule), Chem.MolToSmiles(Chem.RemoveHs(molecule)))
    except Unprepared:
        raise
    except ValueError as error:  # what both libraries refuse with
        raise Unprepared(_short(str(error))) from error
    # And what their C++ gives, or their Python trips over.
    except Exception as error:
        raise Unprepared(_short(f"{type(error).__name__}: {error}")) from error


def _with_hydrogens(molecule: Chem.Mol | None) -> Chem.Mol:
    if molecule is None:
        raise Unprepared(_short(_said[0] if _said else "RDKit cannot read it"))
    if molecule.GetNumAtoms() == 0:
        raise Unprepared("it has no atoms")
    fragments = len(Chem.GetMolFrags(molecule))
    if fragments > 1:
        raise Unprepared(f"it has {fragments} fragments, and vina docks one: strip salts and water")
    return Chem.AddHs(molecule, addCoords=True)


def _of_sdf(text: str) -> Chem.Mol:
    molecule: Chem.Mol | None = Chem.MolFromMolBlock(text, removeHs=False)
    if molecule is not None and _is_three_dimensional(molecule):
        Chem.AssignStereochemistryFrom3D(molecule)
    return _with_hydrogens(molecule)


def _is_three_dimensional(molecule: Chem.Mol) -> bool:
    """By the coordinates: the header of many an SDF says nothing, or something else."""
    if molecule.GetNumConformers() == 0:
        return False
    positions = molecule.GetConformer().GetPositions()
    return bool((abs(positions[:, 2]) > 1e-3).any())


def _embed(molecule: Chem.Mol, seed: int) -> None:
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    if rdDistGeom.EmbedMolecule(molecule, parameters) != 0:
        parameters.useRandomCoords = True
        if rdDistGeom.EmbedMolecule(molecule, parameters) != 0:
            raise Unprepared("ETKDG finds no coordinates for it")
    relax: Callable[..., int]
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
        relax = rdForceFieldHelpers.MMFFOptimizeMolecule
    elif rdForceFieldHelpers.UFFHasAllMoleculeParams(molecule):
        relax = rdForceFieldHelpers.UFFOptimizeMolecule
    else:
        return
    relax(molecule, maxIters=_RELAXATIONS)


def _pdbqt(molecule: Chem.Mol) -> str:
    setup, *others = meeko.MoleculePreparation().prepare(molecule)
    if others:
        raise Unprepared(f"Meeko makes {len(others) + 1} ligands of it")
    text, whole, why = meeko.PDBQTWriterLegacy.write_string(setup)
    if not whole:
        raise Unprepared(_short(why))
    return str(text)


def _short(reason: str) -> str:
    return " ".join(reason.split())[:_REASON_CHARACTERS]
