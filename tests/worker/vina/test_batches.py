"""Which ligands are docked by one start of vina, and what lies in scratch for it."""

import json

import pytest

import worker.tools.vina_batches as module
from worker.tools.ligands import Ligand
from worker.tools.vina_batches import Batches


def pdbqt(count, text=b"ROOT\n"):
    return [Ligand(number, f"L{number}", text) for number in range(count)]


def smiles(count):
    return [Ligand(n, f"S{n}", b"CCO", smiles="CCO", kind="smi") for n in range(count)]


def sizes(batches):
    """How many ligands each batch holds; they count as settled when the next one begins."""
    found = []
    while batches.begin():
        found.append(len(batches.waiting))
        batches.waiting.clear()
    return found


def files(batches):
    return {path.name: path.read_bytes() for path in batches.folder.glob("*.pdbqt")}


def test_ligands_that_are_ready_come_many_at_a_time(tmp_path):
    assert sizes(Batches(iter(pdbqt(2500)), tmp_path)) == [2000, 500]


def test_what_must_be_prepared_comes_in_batches_that_grow(tmp_path):
    assert sizes(Batches(iter(smiles(5000)), tmp_path)) == [32, 128, 512, 2000, 2000, 328]


def test_a_batch_is_bounded_in_bytes_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    assert sizes(Batches(iter(pdbqt(5, b"x" * 60)), tmp_path)) == [2, 2, 1]


def test_texts_lie_in_scratch_while_their_batch_lasts_and_never_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LIGANDS", 2)
    batches = Batches(iter(pdbqt(3)), tmp_path)
    assert batches.begin()
    assert files(batches) == {"0.pdbqt": b"ROOT\n", "1.pdbqt": b"ROOT\n"}
    assert {ligand.text for ligand in batches.waiting} == {b""}
    batches.waiting.clear()
    assert batches.begin()
    assert [path.name for path in tmp_path.iterdir()] == [batches.folder.name]
    assert batches.names() == ["2.pdbqt"]


def test_nothing_is_read_before_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_LIGANDS", 2)
    read = []

    def ligands():
        for ligand in pdbqt(5):
            read.append(ligand.ordinal)
            yield ligand

    Batches(ligands(), tmp_path).begin()
    assert read == [0, 1]


@pytest.fixture
def prepared(tmp_path):
    """A batch of all kinds for which some answers came."""
    ready, bad = Ligand(0, "ready", b"ROOT\n"), Ligand(1, "bad", b"", problem="no ligand")
    sdf = Ligand(4, "sdf", b"block", kind="sdf")
    raw = [Ligand(n, f"S{n}", b"OCC", smiles="OCC", kind="smi") for n in (2, 3)]
    batches = Batches(iter([ready, bad, *raw, sdf]), tmp_path)
    batches.begin()
    molecules, answers = (batches.folder / name for name in batches.to_prepare)
    asked = [json.loads(line) for line in molecules.read_text().splitlines()]
    assert [(each["ordinal"], each["kind"], each["text"]) for each in asked] == [
        (2, "smi", "OCC"),
        (3, "smi", "OCC"),
        (4, "sdf", "block"),
    ]
    assert batches.unprepared == 3
    made = {"pdbqt": "ROOT of it\n", "smiles": "CCO", "with": "rdkit 1"}
    given = [made | {"ordinal": 4}, made | {"ordinal": 2}]
    answers.write_text("".join(json.dumps(each) + "\n" for each in given))
    batches.take_prepared()
    return batches


def test_answers_come_in_any_order_and_ligands_keep_theirs(prepared):
    assert [ligand.id for ligand in prepared.waiting] == ["ready", "bad", "S2", "S3", "sdf"]
    assert prepared.names() == ["0.pdbqt", "2.pdbqt", "4.pdbqt"]
    assert files(prepared)["4.pdbqt"] == b"ROOT of it\n"


def test_a_ligand_keeps_the_smiles_of_its_input(prepared):
    assert [ligand.smiles for ligand in prepared.waiting] == [None, None, "OCC", "OCC", "CCO"]
    assert [ligand.prepared_with for ligand in prepared.waiting] == [
        *(None, None, "rdkit 1", None, "rdkit 1")
    ]


def test_a_ligand_without_an_answer_has_a_problem(prepared):
    problems = [ligand.problem for ligand in prepared.waiting]
    assert problems[:3] == [None, "no ligand", None]
    assert "gave no answer" in problems[3]
