"""Vina as a tool: real docking by the binding, and a program on PATH that goes wrong on purpose."""

import dataclasses
import gzip
import re
import shutil
import stat
import subprocess

import pytest

import worker.tools.vina_batches
import worker.tools.vina_program
from drydock.vina_options import VinaOptions as RequestedOptions
from tests.worker.support import DATA, EXAMPLE, OPTIONS, bundle, ligand
from worker.agent import main
from worker.tools.vina import VinaOptions


@pytest.fixture
def run(store, scratch):
    """Runs children in this process."""

    def run(shard, child=0, **extra):
        return main(shard.environment(scratch, child, **extra), store)

    return run


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Puts a program `vina` on PATH; ``$LIGAND`` loops over the batch, ``done`` writes a pose."""

    def put(body):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        path = folder / "vina"
        path.write_text(f"#!/bin/bash\n{_HEAD}\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return put


# Reads the flags as vina's batch mode has them. `pose` writes what vina would for $LIGAND.
_HEAD = """
while [ "$1" != --batch ]; do [ "$1" = --dir ] && DIR=$2; shift; done; shift
pose() { printf 'MODEL 1\\nREMARK VINA RESULT:  -5.0  0.0  0.0\\nENDMDL\\n'; }
output() { echo "$DIR/$(basename $LIGAND .pdbqt)_out.pdbqt"; }
echo 'Computing Vina grid ... done.'
"""


def test_one_ligand_gives_two_outputs_and_a_marker(shard, run):
    made = shard(("in/caffeine.pdbqt", ligand("caffeine")))
    assert run(made) == 0
    assert made.markers() == ["00000-00000.done"]
    assert made.names(made.keys.input_folder(0, 0)) == ["poses.pdbqt.gz.0", "scores.jsonl.gz.0"]
    assert made.part_records() == []
    (summary,) = made.marker("00000-00000.done")
    (row,) = made.rows()
    assert (row["id"], row["score"]) == (summary.best_id, summary.best_score)
    assert row["score"] == row["models"][0]["affinity"]
    assert set(row["terms"]) == {"inter", "intra", "inter_intra", "unbound"}
    assert row["smiles"] == "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
    assert (row["input"], row["index"]) == (made.records[0].uri, 0)
    assert row["input_etag"] == made.records[0].etag


def test_scores_are_those_of_the_bare_program_for_each_ligand_alone(shard, run, tmp_path):
    names = ("nsc00036", "caffeine", "paracetamol")
    made = shard(("in/three.pdbqt", bundle(*map(ligand, names))))
    assert run(made) == 0
    assert [row["score"] for row in made.rows()] == [bare_score(name, tmp_path) for name in names]


def bare_score(name, folder):
    """The score of vina itself, started by hand over one ligand."""
    receptor, path = EXAMPLE / "receptor.pdbqt", EXAMPLE / "ligands" / f"{name}.pdbqt"
    out = folder / f"{name}.pdbqt"
    if program := shutil.which("vina"):
        command = [program, "--receptor", receptor, "--ligand", path, "--out", out, "--cpu", "1"]
        for option, value in OPTIONS.items():
            if option in ("center", "size"):
                for axis, number in zip("xyz", value, strict=True):
                    command += [f"--{option}_{axis}", str(number)]
            else:
                command += [f"--{option}", str(value)]
        subprocess.run(list(map(str, command)), check=True, capture_output=True)
    else:
        import vina

        engine = vina.Vina("vina", cpu=1, seed=OPTIONS["seed"], verbosity=0)
        engine.set_receptor(str(receptor))
        engine.set_ligand_from_file(str(path))
        engine.compute_vina_maps(OPTIONS["center"], OPTIONS["size"])
        engine.dock(1, OPTIONS["num_modes"], 1.0, OPTIONS["max_evals"])
        engine.write_poses(str(out))
    return float(re.search(r"VINA RESULT:\s+(\S+)", out.read_text())[1])


def test_a_pose_is_read_by_its_range_alone(shard, run, store):
    made = shard(("in/two.pdbqt", bundle(ligand("caffeine"), ligand("nsc00036"))))
    assert run(made) == 0
    last = made.rows()[1]
    end = last["first_byte"] + last["length"] - 1
    body = store.get(DATA, last["poses"], first_byte=last["first_byte"], last_byte=end).body
    text = gzip.decompress(body).decode()
    assert text.startswith("MODEL 1")
    assert text.count("ENDMDL") == len(last["models"])
    assert f"{last['score']:.3f}" in text


def test_a_ligand_that_vina_refuses_is_a_failed_molecule_and_the_others_go_on(shard, run):
    bad_atom = ligand("aspirin").replace(b" OA", b" Qq")
    no_ligand = b"ROOT\nENDROOT\n"
    made = shard(
        ("in/mixed.pdbqt", bundle(bad_atom, ligand("caffeine"), no_ligand, ligand("nsc00036")))
    )
    assert run(made) == 0
    rows = made.rows()
    assert [row["score"] is None for row in rows] == [True, False, True, False]
    assert "not a valid AutoDock type" in rows[0]["reason"]
    assert "no TORSDOF" in rows[2]["reason"]
    (summary,) = made.marker("00000-00000.done")
    assert (summary.molecules, summary.failed_molecules) == (4, 2)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file holds no ligand"),
        (b"hello\n", "no ROOT"),
        (b"\x1f\x8b\x00\xff" * 100, "no ROOT"),
        (b"ROOT\nATOM garbage\nENDROOT\nTORSDOF 0\n", "parsing error"),
    ],
)
def test_an_input_that_gives_nothing_is_bad_and_says_why(shard, run, body, reason):
    made = shard(("in/bad.pdbqt", body))
    assert run(made) == 0
    failure = made.marker("00000.1.bad_input.failed")
    assert reason in failure.reason
    assert made.names(made.keys.input_folder(0, 0)) == []


def test_a_program_that_ends_at_what_it_refuses_is_started_again(shard, run, program):
    """As vina before 1.2.7 does."""
    program("""
        for LIGAND in "$@"; do
            if grep -q Qq $LIGAND; then
                printf '\\nPDBQT parsing error: Atom type Qq is none.\\n > ATOM\\n' >&2; exit 1
            fi
            pose > "$(output)"
        done""")
    bad = ligand("aspirin").replace(b" OA", b" Qq")
    made = shard(("in/four.pdbqt", bundle(ligand("caffeine"), bad, bad, ligand("nsc00036"))))
    assert run(made) == 0
    assert [row["score"] is None for row in made.rows()] == [False, True, True, False]
    assert "Atom type Qq" in made.rows()[1]["reason"]


def test_an_input_all_of_whose_ligands_fail_says_how_many(shard, run):
    made = shard(("in/bad.pdbqt", bundle(b"ROOT\n", b"ROOT\n")))
    assert run(made) == 0
    assert "none of its 2 ligands" in made.marker("00000.1.bad_input.failed").reason


def test_vina_missing_is_said_once_and_stops_the_run(shard, run, monkeypatch, store, capsys):
    made = shard(("in/caffeine.pdbqt", ligand("caffeine")))
    monkeypatch.setattr(worker.tools.vina_program.shutil, "which", lambda _name: None)
    monkeypatch.setattr(worker.tools.vina_program.importlib.util, "find_spec", lambda _name: None)
    assert run(made) == 78
    sentence = store.get(DATA, made.keys.misconfigured(0, 0)).body.decode()
    assert sentence.startswith("vina is missing")
    assert sentence in capsys.readouterr().err


def test_a_receptor_that_is_none_stops_the_run(shard, run, store):
    made = shard(("in/caffeine.pdbqt", ligand("caffeine")), receptor=b"no receptor\n")
    assert run(made) == 78
    assert b"vina cannot start docking" in store.get(DATA, made.keys.misconfigured(0, 0)).body
    assert made.markers() == []


def test_options_that_are_not_vinas_stop_the_run(shard, run):
    made = shard(("in/caffeine.pdbqt", ligand("caffeine")), options=OPTIONS | {"depth": 3})
    assert run(made) == 78


def test_the_options_are_those_of_a_request():
    ours = {field.name: field for field in dataclasses.fields(VinaOptions)}
    theirs = RequestedOptions.model_fields
    assert set(ours) == set(theirs)
    for name, field in theirs.items():
        if not field.is_required():
            assert ours[name].default == field.default


def two():
    return ("in/two.pdbqt", bundle(ligand("caffeine"), ligand("nsc00036")))


def test_a_ligand_without_a_pose_in_the_box_is_a_failed_molecule(shard, run, program):
    program('for LIGAND in $2; do pose > "$(output)"; done')
    made = shard(two())
    assert run(made) == 0
    first, second = made.rows()
    assert first["reason"] == "vina found no pose inside the box"
    assert second["score"] == -5.0


def test_a_ligand_at_which_vina_dies_twice_is_failed_and_the_others_go_on(shard, run, program):
    program("""
        for LIGAND in "$@"; do
            [ "$LIGAND" = 0.pdbqt ] && kill -SEGV $$
            pose > "$(output)"
        done""")
    made = shard(two())
    assert run(made) == 1
    assert [record.trouble for record in made.part_records()] == ["ligand 0"]
    assert run(made) == 0
    first, second = made.rows()
    assert "SIGSEGV" in first["reason"]
    assert second["score"] == -5.0


def test_an_input_at_which_vina_dies_twice_is_failed(shard, run, program):
    program("echo 'An internal error occurred' >&2; exit 1")
    made = shard(("in/one.pdbqt", ligand("caffeine")), ("in/two.pdbqt", ligand("caffeine")))
    assert [run(made), run(made)] == [1, 0]
    failure = made.marker("00000.1.tool_failed.failed")
    assert "internal error" in failure.reason
    assert failure.parts == (0,)


def test_vina_without_memory_is_left_to_a_round_with_more(shard, run, program):
    program("kill -KILL $$")
    made = shard(two())
    assert run(made) == 71
    program("echo 'Error: insufficient memory!' >&2; exit 1")
    assert run(made) == 71
    assert made.part_records() == []


def test_vina_that_somebody_told_to_stop_is_tried_again(shard, run, program):
    program('LIGAND=$1; pose > "$(output)"; sleep 0.3; kill -TERM $$')
    made = shard(two())
    assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [1]


def test_a_ligand_that_takes_too_long_is_a_failed_molecule(shard, run, program):
    program("""
        for LIGAND in "$@"; do
            [ "$LIGAND" = 0.pdbqt ] && sleep 600
            pose > "$(output)"
        done""")
    made = shard(two(), options=OPTIONS | {"ligand_seconds": 1})
    assert run(made) == 0
    first, second = made.rows()
    assert first["reason"] == "took longer than ligand_seconds = 1"
    assert second["score"] == -5.0


def test_an_output_that_is_still_being_written_does_not_count(shard, run, program):
    """The program holds its newest file open and dies: what is in it looks whole and is not."""
    program("""
        LIGAND=$1; pose > "$(output)"; sleep 0.5
        LIGAND=$2; exec 9> "$(output)"; pose >&9; sleep 1; kill -TERM $$""")
    made = shard(two())
    assert run(made) == 1
    assert [record.progress for record in made.part_records()] == [1]


def test_an_output_that_is_cut_does_not_count(shard, run, program):
    program("""
        for LIGAND in "$@"; do pose > "$(output)"; done
        LIGAND=$1; pose | head -c 40 > "$(output)" """)
    made = shard(two())
    # The first pose may have been taken before it was cut: then there is nothing to see.
    code = run(made)
    if code == 1:
        (record,) = made.part_records()
        assert record.trouble == "ligand 0"
        assert "does not end in ENDMDL" in record.why


def test_batches_bound_what_lies_in_scratch(shard, run, program, monkeypatch):
    monkeypatch.setattr(worker.tools.vina_batches, "MOST_LIGANDS", 2)
    program("""
        [ $# -le 2 ] || exit 3
        for LIGAND in "$@"; do pose > "$(output)"; done""")
    made = shard(("in/five.pdbqt", bundle(*[ligand("caffeine")] * 5)))
    assert run(made) == 0
    assert [row["ligand"] for row in made.rows()] == [0, 1, 2, 3, 4]


def test_the_tool_sees_no_credentials(shard, run, program, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    program(f"""
        env > {tmp_path}/seen; pwd > {tmp_path}/where
        for LIGAND in "$@"; do pose > "$(output)"; done""")
    made = shard(two())
    assert run(made) == 0
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert not [name for name in seen if name.startswith(("AWS_", "S3_"))]
    assert seen["HOME"] == seen["TMPDIR"] == (tmp_path / "where").read_text().strip()
    assert "/scratch/drydock-" in seen["HOME"]


def test_the_tool_sees_what_its_user_set_for_it_and_nothing_else(
    shard, run, program, tmp_path, monkeypatch
):
    monkeypatch.setenv("OMP_SCHEDULE", "dynamic")
    monkeypatch.setenv("SOMEBODY_ELSES", "1")
    program(f"""
        env > {tmp_path}/seen
        for LIGAND in "$@"; do pose > "$(output)"; done""")
    made = shard(two(), variables=("OMP_SCHEDULE", "NOT_SET"))
    assert run(made) == 0
    seen = dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())
    assert seen["OMP_SCHEDULE"] == "dynamic"
    assert not {"SOMEBODY_ELSES", "NOT_SET"} & seen.keys()
