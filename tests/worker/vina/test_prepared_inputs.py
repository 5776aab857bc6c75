"""Inputs of SMILES and SDF through the worker: prepared, docked, and told of."""

import contextlib
import itertools
import re
import shutil
import subprocess

import psutil
import pytest
from rdkit import Chem, rdBase
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

import worker.tools.vina_batches
import worker.tools.vina_program
from tests.worker.support import DATA, EXAMPLE, ligand
from tests.worker.vina.molecules import ENDLESS, QUICK, SMILES, mol_block, sdf, smi, tgz
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.vina import Vina


def bare_score(pdbqt, folder):
    """What vina says of a ligand, started by hand."""
    path, out = folder / "ligand.pdbqt", folder / "out.pdbqt"
    path.write_text(pdbqt)
    receptor = EXAMPLE / "receptor.pdbqt"
    if program := shutil.which("vina"):
        command = [program, "--receptor", receptor, "--ligand", path, "--out", out, "--seed", 1]
        for option in ("exhaustiveness", "max_evals", "num_modes"):
            command += [f"--{option}", QUICK[option]]
        for option in ("center", "size"):
            for axis, number in zip("xyz", QUICK[option], strict=True):
                command += [f"--{option}_{axis}", number]
        subprocess.run([*map(str, command), "--cpu", "1"], check=True, capture_output=True)
    else:
        import vina

        engine = vina.Vina("vina", cpu=1, seed=1, verbosity=0)
        engine.set_receptor(str(receptor))
        engine.set_ligand_from_file(str(path))
        engine.compute_vina_maps(QUICK["center"], QUICK["size"])
        engine.dock(1, QUICK["num_modes"], 1.0, QUICK["max_evals"])
        engine.write_poses(str(out), overwrite=True)
    return float(re.search(r"VINA RESULT:\s+(\S+)", out.read_text())[1])


def prepared_by_hand(smiles):
    """PDBQT as the page on vina says that it is made: with RDKit and Meeko alone."""
    import meeko

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 1
    rdDistGeom.EmbedMolecule(molecule, parameters)
    rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, maxIters=2000)
    (setup,) = meeko.MoleculePreparation().prepare(molecule)
    return meeko.PDBQTWriterLegacy.write_string(setup)[0]


def test_smiles_get_the_scores_of_the_bare_programs(shard, run, tmp_path):
    names = ("paracetamol", "caffeine", "phenol")
    made = shard(("in/a.smi", smi(*names)))
    assert run(made) == 0
    rows = made.rows()
    assert [row["id"] for row in rows] == list(names)
    assert [row["smiles"] for row in rows] == [SMILES[name] for name in names]
    wanted = [bare_score(prepared_by_hand(SMILES[name]), tmp_path) for name in names]
    assert [row["score"] for row in rows] == wanted
    assert {row["prepared_with"] for row in rows} == {
        f"rdkit {rdBase.rdkitVersion}, meeko {_meeko()}"
    }


def _meeko():
    import meeko

    return meeko.__version__


def test_an_archive_of_all_kinds_gives_what_its_members_give_alone(shard, run):
    members = {
        "a_smi": smi("ethanol", "phenol"),
        "b_sdf": sdf(mol_block("caffeine")),
        "c_pdbqt": ligand("caffeine"),
    }
    alone = shard(
        *[(f"in/{name.replace('_', '.')}", body) for name, body in members.items()],
        inputs_per_job=3,
        prefix="alone/",
    )
    assert run(alone) == 0
    together = shard(("in/all.tgz", tgz(**members, notes_txt=b"not a ligand")))
    assert run(together) == 0
    own = ("ligand", "input", "index", "input_etag")
    expected = [{k: v for k, v in row.items() if k not in own} for row in alone.results()]
    assert [{k: v for k, v in r.items() if k not in own} for r in together.results()] == expected
    assert [row["ligand"] for row in together.rows()] == [0, 1, 2, 3]
    assert [row.get("prepared_with") is None for row in together.rows()] == [False] * 3 + [True]


def test_a_molecule_that_cannot_be_prepared_is_a_failed_one_and_the_others_go_on(shard, run):
    text = smi("ethanol", broken="C1CC", salt="CCO.Cl") + b"nonsense\n" + smi("phenol")
    made = shard(("in/a.smi", text))
    assert run(made) == 0
    rows = made.rows()
    assert [row["score"] is None for row in rows] == [False, True, True, True, False]
    assert [row["id"] for row in rows] == ["ethanol", "broken", "salt", "a_4", "phenol"]
    assert "cannot be prepared: SMILES Parse Error: unclosed ring" in rows[1]["reason"]
    assert "2 fragments" in rows[2]["reason"]
    assert rows[1]["smiles"] == "C1CC"
    (summary,) = made.marker("00000-00000.done")
    assert (summary.molecules, summary.failed_molecules) == (5, 3)


def test_a_molecule_whose_preparation_takes_too_long_is_a_failed_one(shard, run):
    made = shard(
        ("in/a.smi", smi("ethanol", endless=ENDLESS) + smi("phenol")),
        options={"ligand_seconds": 1},
    )
    assert run(made) == 0
    first, endless, last = made.rows()
    assert endless["reason"] == "it cannot be prepared: preparing it took longer than 1 s"
    # The making of the grid takes longer than that, and is no ligand's fault.
    assert None not in (first["score"], last["score"])


def test_an_input_none_of_whose_molecules_can_be_prepared_is_bad(shard, run):
    made = shard(("in/a.smi", b"hello\nC1CC\n"), ("in/b.sdf", b"hello"), inputs_per_job=2)
    assert run(made) == 0
    assert "none of its 2 ligands" in made.marker("00000.1.bad_input.failed").reason
    assert "cannot be prepared" in made.marker("00001.1.bad_input.failed").reason


@pytest.mark.parametrize(
    ("name", "body"),
    [("a.sdf", b"\n \n"), ("b.smi", b"# none\n"), ("c.tgz", tgz())],
    # An archive holds the time it was made at, and names are to be the same in each process.
    ids=["sdf", "smi", "tgz"],
)
def test_an_input_without_molecules_is_bad(shard, run, name, body):
    made = shard((f"in/{name}", body))
    assert run(made) == 0
    assert "no ligand" in made.marker("00000.1.bad_input.failed").reason


def test_an_archive_that_breaks_off_fails_with_its_name(shard, run):
    made = shard(("in/a.tgz", tgz(a_smi=smi(*SMILES))[:-30]))
    assert run(made) == 0
    assert "cut or broken" in made.marker("00000.1.bad_input.failed").reason


def test_without_what_prepares_the_run_stops_with_a_sentence(shard, run, monkeypatch, capsys):
    made = shard(("in/a.smi", smi("ethanol")))
    find = worker.tools.vina_program.importlib.util.find_spec
    monkeypatch.setattr(
        worker.tools.vina_program.importlib.util,
        "find_spec",
        lambda name: None if name == "meeko" else find(name),
    )
    assert run(made) == 78
    assert "the Python package meeko" in capsys.readouterr().err


def test_preparation_that_is_told_to_stop_is_tried_again(shard, run, tmp_path, monkeypatch):
    """Somebody else's signal is no molecule's fault."""
    interpreter = tmp_path / "python"
    interpreter.write_text("#!/bin/sh\nkill -TERM $$\n")
    interpreter.chmod(0o755)
    made = shard(("in/a.smi", smi("ethanol")))
    with monkeypatch.context() as other:
        other.setattr(worker.tools.vina_program.sys, "executable", str(interpreter))
        assert run(made) == 1
    interpreter.write_text("#!/bin/sh\nkill -KILL $$\n")
    with monkeypatch.context() as other:
        other.setattr(worker.tools.vina_program.sys, "executable", str(interpreter))
        assert run(made) == 71
    assert made.part_records() == []
    assert run(made) == 0


def session(tmp_path, body, vcpus):
    """A session over SMILES as an attempt opens it."""
    fetched = tmp_path / "fetched.smi"
    fetched.write_bytes(body)
    tool = Vina.from_setting(Setting(QUICK | {"exhaustiveness": 8, "max_evals": 20_000}, vcpus))
    tool.prepare({"receptor": EXAMPLE / "receptor.pdbqt"})
    folder = tmp_path / "session"
    folder.mkdir()
    return tool.open(FetchedInput(fetched, 0, f"s3://{DATA}/fetched.smi", "e"), folder, Resume())


def test_exactly_vcpus_threads_work_at_a_time(tmp_path, monkeypatch):
    """Preparing and docking take turns, each with all the threads that it may have."""
    monkeypatch.setattr(worker.tools.vina_batches, "_FIRST_PREPARED", 4)
    work = session(tmp_path, smi(*SMILES) * 2, vcpus=3)
    seen = []
    try:
        while not work.poll():
            seen += programs()
    finally:
        work.close()
    turns = [kind for kind, _ in itertools.groupby(kind for kind, *_ in seen)]
    assert turns == ["prepare", "dock", "prepare", "dock"]
    # What waits: the one that gives molecules out, or vina's first thread, and in our program the
    # one that listens for the worker's end.
    assert max(own for kind, own, _ in seen if kind == "prepare") == 1
    assert max(below for kind, _, below in seen if kind == "prepare") == 3
    waiting = 1 if shutil.which("vina") else 2
    assert max(own for kind, own, _ in seen if kind == "dock") == 3 + waiting
    assert max(below for kind, _, below in seen if kind == "dock") == 0


def programs():
    """Of each program that runs: its kind, its threads, and those of the processes below it."""
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.NoSuchProcess):
            line = child.cmdline()
            below = sum(each.num_threads() for each in child.children(recursive=True))
            if "worker.tools.prepare_ligands" in line:
                yield "prepare", child.num_threads(), below
            elif "--batch" in line:
                yield "dock", child.num_threads(), below
