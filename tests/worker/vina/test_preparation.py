"""Preparing molecules: what RDKit and Meeko make of them, and what their processes survive."""

import json
import os
import subprocess
import sys

import pytest
from rdkit import Chem

from tests.worker.support import ROOT
from tests.worker.vina.molecules import ENDLESS, SMILES, mol_block
from worker.tools import preparation
from worker.tools.pdbqt import split_ligands
from worker.tools.preparation import Unprepared, prepare

# Replaces what prepares one molecule, then runs the program: `text` of a molecule says what to do.
WRONG = """
import os, signal, sys
from worker.tools import prepare_ligands, preparation

def prepare(kind, text, seed):
    if text.startswith("SIG"):
        os.kill(os.getpid(), getattr(signal, text))
    if text == "exit":
        os._exit(7)
    while text == "hang":
        signal.pause()
    return preparation.Prepared(f"pdbqt of {text}" * (10**6 if text == "huge" else 1), text)

preparation.prepare = prepare
sys.exit(prepare_ligands.main(sys.argv[1:]))
"""


@pytest.fixture(autouse=True)
def listening():
    preparation.listen()


@pytest.fixture
def program(tmp_path):
    """Runs the program over SMILES; gives its answers by ordinal."""

    def program(*texts, processes=1, seconds=60, start=("-m", "worker.tools.prepare_ligands")):
        lines = [
            json.dumps({"ordinal": number, "kind": "smi", "text": text}) + "\n"
            for number, text in enumerate(texts)
        ]
        (tmp_path / "in").write_text("".join(lines))
        command = [sys.executable, *start, "in", "out", "--seed", "1"]
        command += ["--processes", str(processes), "--seconds", str(seconds)]
        environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=100)
        answers = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
        assert sorted(answer["ordinal"] for answer in answers) == list(range(len(texts)))
        return {answer["ordinal"]: answer for answer in answers}

    return program


def positions(pdbqt):
    """Coordinates of the heavy atoms, in no order."""
    atoms = [line for line in pdbqt.splitlines() if line.startswith("ATOM")]
    return {line[30:54] for line in atoms if line[77:79].strip() not in ("H", "HD")}


def test_a_smiles_becomes_a_ligand_that_vina_takes():
    made = prepare("smi", SMILES["aspirin"], 1)
    (found,) = split_ligands(made.pdbqt.encode().splitlines(keepends=True), "x")
    assert found.problem is None
    assert made.smiles == Chem.CanonSmiles(SMILES["aspirin"])
    assert found.smiles == made.smiles
    assert len(positions(made.pdbqt)) == 13


def test_the_seed_decides_about_the_coordinates():
    assert prepare("smi", SMILES["aspirin"], 1) == prepare("smi", SMILES["aspirin"], 1)
    assert prepare("smi", SMILES["aspirin"], 1) != prepare("smi", SMILES["aspirin"], 2)


@pytest.mark.parametrize("hydrogens", [True, False])
def test_coordinates_of_an_sdf_are_kept(hydrogens):
    block = mol_block("aspirin", hydrogens=hydrogens)
    made = prepare("sdf", block, 1)
    wanted = Chem.RemoveHs(Chem.MolFromMolBlock(block)).GetConformer().GetPositions()
    found = positions(made.pdbqt)
    assert found == {"".join(f"{number:8.3f}" for number in atom) for atom in wanted}
    # The acid's hydrogen is polar, so that it stays: it was added where the SDF left it out.
    assert " HD" in made.pdbqt
    assert made == prepare("sdf", block, 2)


def test_a_drawing_gets_coordinates_as_a_smiles_does():
    made = prepare("sdf", mol_block("aspirin", dimensions=2), 1)
    assert any(float(position[16:]) for position in positions(made.pdbqt))
    assert made != prepare("sdf", mol_block("aspirin", dimensions=2), 2)


def test_stereochemistry_that_is_given_stays():
    for smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "F/C=C/F", "F/C=C\\F"):
        wanted = Chem.CanonSmiles(smiles)
        assert prepare("smi", smiles, 1).smiles == wanted
        assert prepare("sdf", mol_block("x", smiles=smiles), 1).smiles == wanted


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("smi", "C1CC", "unclosed ring"),
        ("smi", "CC(C)(C)(C)C", "Explicit valence"),
        ("smi", "c1cccc1", "kekulize"),
        ("smi", "hello", "SMILES Parse Error"),
        ("smi", "CC(=O)[O-].[Na+]", "2 fragments"),
        ("smi", "[Xe]", "None type"),
        ("smi", "*CC", "None type"),
        ("smi", "[H][H]", "TypeError"),
        ("sdf", "hello", "cannot read"),
        ("sdf", "x\n\n\n  0  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "no atoms"),
        ("sdf", "x\n\n\n  9  0  0  0  0  0  0  0  0  0999 V2000\nM  END\n", "cannot read"),
    ],
)
def test_what_cannot_be_prepared_says_why_in_one_line(kind, text, why, capfd):
    with pytest.raises(Unprepared, match=why) as refused:
        prepare(kind, text, 1)
    assert "\n" not in str(refused.value)
    assert str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_processes_give_the_same_answers_as_one(program):
    texts = [*SMILES.values(), "C1CC"]
    alone = program(*texts)
    assert program(*texts, processes=3) == alone
    assert alone[0]["pdbqt"] == prepare("smi", SMILES["aspirin"], 1).pdbqt
    assert alone[0]["with"].startswith(f"rdkit {preparation.rdkit.__version__}, meeko ")
    assert "unclosed ring" in alone[5]["problem"]


def test_a_molecule_that_takes_too_long_is_given_up_and_the_others_go_on(program):
    answers = program("CCO", ENDLESS, "CC", seconds=1)
    assert answers[1]["problem"] == "preparing it took longer than 1 s"
    assert [number for number in answers if "pdbqt" in answers[number]] == [0, 2]


@pytest.mark.parametrize("processes", [1, 2, 8])
def test_whatever_a_molecule_does_to_its_process_the_others_go_on(program, processes):
    texts = ["a", "SIGSEGV", "b", "exit", "SIGKILL", "hang", "huge", "c"]
    answers = program(*texts, processes=processes, seconds=1, start=("-c", WRONG))
    assert {answers[n]["pdbqt"] for n in (0, 2, 7)} == {"pdbqt of a", "pdbqt of b", "pdbqt of c"}
    assert answers[1]["problem"] == "preparing it ended with SIGSEGV"
    assert answers[3]["problem"] == "preparing it ended with exit code 7"
    assert answers[4]["problem"] == "preparing it ended with SIGKILL"
    assert answers[5]["problem"] == "preparing it took longer than 1 s"
    assert "more than" in answers[6]["problem"]
