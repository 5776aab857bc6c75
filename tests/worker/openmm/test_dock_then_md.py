"""What examples/dock_then_md makes of docked poses: RDKit's MMFF94 is the measure."""

import importlib.util
import io
import zipfile

import openmm
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

from tests.worker.support import ROOT

EXAMPLE = ROOT / "examples" / "dock_then_md"
# Rings of three, bonds on a line, charges, conjugation, a sulfone: each term of the force field.
OTHERS = (
    "C#CC=C=C",
    "C1CC1C1CCC1",
    "CC(=O)[O-]",
    "C[N+](C)(C)C",
    "CN=[N+]=[N-]",
    "CS(=O)(=O)N",
    "OP(=O)(O)OC",
)
LIBRARY = [
    smiles
    for smiles, name in (
        line.split("\t")
        for line in (ROOT / "examples" / "vina" / "library.smi").read_text().splitlines()
    )
    if name in ("imatinib", "bosutinib", "erlotinib", "caffeine")
]
KCAL = openmm.unit.kilocalorie_per_mole


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("prepare", EXAMPLE / "prepare.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def embedded(smiles, seed=7):
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMolecule(molecule, randomSeed=seed)
    return molecule


def state_of(system, positions):
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(positions / 10)
    return context.getState(getEnergy=True, getForces=True)


@pytest.mark.parametrize("smiles", [*LIBRARY, *OTHERS])
def test_energy_and_forces_are_those_of_rdkit(example, smiles):
    molecule = embedded(smiles)
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)
    state = state_of(example.system_of(molecule), molecule.GetConformer().GetPositions())
    energy = state.getPotentialEnergy().value_in_unit(KCAL)
    assert energy == pytest.approx(field.CalcEnergy(), abs=1e-3)
    forces = state.getForces(asNumpy=True).value_in_unit(KCAL / openmm.unit.angstrom)
    gradient = -forces.reshape(-1)
    assert gradient == pytest.approx(field.CalcGrad(), abs=2e-2)


def test_an_archive_is_the_same_bytes_each_time_and_holds_what_the_tool_takes(example):
    molecule = embedded(LIBRARY[0])
    packed = example.packed(molecule)
    assert packed == example.packed(embedded(LIBRARY[0]))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        system = openmm.XmlSerializer.deserialize(archive.read("system.xml").decode())
        structure = Chem.MolFromPDBBlock(archive.read("ligand.pdb").decode(), removeHs=False)
    assert system.getNumParticles() == molecule.GetNumAtoms() == structure.GetNumAtoms()
    masses = [
        system.getParticleMass(each).value_in_unit(openmm.unit.dalton)
        for each in range(system.getNumParticles())
    ]
    assert masses == pytest.approx([atom.GetMass() for atom in molecule.GetAtoms()])


def test_what_mmff_does_not_know_is_a_bad_input(example):
    with pytest.raises(example.NoMoleculeError, match="no parameters"):
        example.system_of(embedded("CB(O)O"))


def test_a_pose_that_says_no_smiles_is_a_bad_input(example):
    ligand = (ROOT / "examples" / "vina" / "ligands" / "caffeine.pdbqt").read_text()
    bare = "".join(
        line for line in ligand.splitlines(keepends=True) if not line.startswith("REMARK SMILES")
    )
    with pytest.raises(example.NoMoleculeError, match="no SMILES"):
        example.molecule_of(f"MODEL 1\n{bare}ENDMDL\n")


def test_the_exit_code_is_that_which_the_request_calls_bad_input(example):
    request = (EXAMPLE / "chain.json").read_text()
    assert f'"bad_input_codes": [{example.BAD_INPUT}]' in request
