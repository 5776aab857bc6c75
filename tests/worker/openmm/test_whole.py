"""Whole simulations: what goes in, what comes out, and what is refused."""

import gzip
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from openmm import app
from openmm.app.internal.xtc_utils import read_xtc

from tests.worker.openmm import argon
from tests.worker.openmm.reading import joined
from tests.worker.support import DATA

DONE = "00000-00000.done"
FF = {"forcefield": ("argon.xml", argon.forcefield())}


def said(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def outputs(made, name=DONE):
    (summary,) = made.marker(name)
    return {
        output.name: made.store.get(DATA, output.key).body
        for part in summary.chain
        for output in part.outputs
    }


def first_row(made):
    header, row = outputs(made)["log"].decode().splitlines()[:2]
    names = header.removeprefix("#").replace('"', "").split(",")
    return dict(zip(names, map(float, row.split(",")), strict=True))


def test_a_simulation_leaves_trajectory_log_and_its_end(shard, run, capsys):
    made = shard()
    assert run(made) == 0
    (summary,) = made.marker(DONE)
    (part,) = summary.chain
    folder = made.keys.input_folder(0, 0)
    assert [output.key.removeprefix(folder) for output in part.outputs] == [
        "0/trajectory.dcd",
        "0/log.csv",
        "0/final.pdb",
        "0/state.xml",
    ]
    assert (summary.molecules, summary.failed_molecules, summary.best_id) == (0, 0, None)
    whole = joined(made)
    assert whole.log_steps == list(range(1, 61))
    assert whole.frame_steps == list(range(5, 61, 5))
    assert len(set(whole.frames)) == 12
    (told,) = [event for event in said(capsys) if event["event"] == "openmm"]
    assert (told["platform"], told["exact"], told["index"]) == ("Reference", True, 0)
    state = ET.fromstring(outputs(made)["state"])
    assert state.get("stepCount") == "60"
    assert float(state.get("time")) == pytest.approx(0.12)


def test_the_last_step_is_reported_whatever_the_interval(shard, run):
    made = shard(options={"report_steps": 25, "trajectory_steps": 0})
    assert run(made) == 0
    whole = joined(made)
    assert whole.log_steps == [25, 50, 60]
    assert "trajectory" not in outputs(made)


def test_rows_and_frames_that_fall_into_no_part_leave_no_empty_file(shard, run):
    made = shard(options={"steps": 3, "report_steps": 10, "trajectory_steps": 10})
    assert run(made) == 0
    assert joined(made).log_steps == [3]
    assert set(outputs(made)) == {"log", "structure", "state"}


def test_frames_in_xtc_have_their_true_steps(shard, run, tmp_path):
    made = shard(options={"trajectory_format": "xtc"})
    assert run(made) == 0
    (tmp_path / "t.xtc").write_bytes(outputs(made)["trajectory"])
    _, box, time_ps, steps = read_xtc(str(tmp_path / "t.xtc").encode())
    assert list(steps) == list(range(5, 61, 5))
    assert time_ps == pytest.approx([step * 0.002 for step in steps])
    assert box[0, 0, 0] == pytest.approx(argon.EDGE_NM)


WAYS = {
    "structure_and_force_field": ("a.pdb", argon.structure(), FF),
    "cif_and_force_field": ("a.cif", argon.structure(kind=app.PDBxFile), FF),
    "packed_structure": ("a.pdb.gz", gzip.compress(argon.structure()), FF),
    "structure_and_system": ("a.pdb", argon.structure(), {"system": ("s", argon.system())}),
    "system_alone": ("s.xml", argon.system(), {"structure": ("a.pdb", argon.structure())}),
    "state_alone": (
        "at.xml",
        argon.state(),
        {"structure": ("a.pdb", argon.structure()), "system": ("s.xml", argon.system())},
    ),
    "archive_of_all": (
        "bundle.zip",
        argon.zipped(
            x__pdb=argon.structure(),
            system__xml=argon.system(),
            state__xml=argon.state(),
            README=b"argon",
        ),
        {},
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_give_a_system_is_the_same_system(shard, run, way):
    name, body, assets = WAYS[way]
    made = shard((f"in/{name}", body), assets=assets, options={"steps": 2})
    assert run(made) == 0
    row = first_row(made)
    assert row["Box Volume (nm^3)"] == pytest.approx(argon.EDGE_NM**3)
    assert row["Potential Energy (kJ/mole)"] == pytest.approx(-577.5, abs=5)
    assert 60 < row["Temperature (K)"] < 180


def test_a_state_brings_its_velocities(shard, run):
    assets = {"structure": ("a.pdb", argon.structure()), "system": ("s.xml", argon.system())}
    for temperature_k in (20, 500):
        body = argon.state(temperature_k)
        made = shard((f"in/{temperature_k}.xml", body), assets=assets, prefix=f"{temperature_k}/")
        assert run(made) == 0
        assert first_row(made)["Temperature (K)"] == pytest.approx(temperature_k, rel=0.25)
        assert first_row(made)["Time (ps)"] == 0.002


def test_an_integrator_of_ones_own_is_used(shard, run, capsys):
    assets = {"system": ("s.xml", argon.system()), "integrator": ("i.xml", argon.integrator())}
    assert run(shard(assets=assets)) == 0
    (told,) = [event for event in said(capsys) if event["event"] == "openmm"]
    assert told["integrator"] == "BrownianIntegrator"


def test_a_minimised_structure_begins_lower(shard, run):
    squeezed = ("in/a.pdb", argon.structure(shaken_nm=0.05))
    energies = []
    for iterations in (0, 50):
        options = {"steps": 1, "minimize_iterations": iterations}
        made = shard(squeezed, prefix=f"{iterations}/", options=options)
        assert run(made) == 0
        energies.append(first_row(made)["Potential Energy (kJ/mole)"])
    assert energies[1] < energies[0] - 5


def test_force_fields_that_openmm_brings_are_named(shard, run):
    water = Path(app.__file__).parent / "data" / "tip3p.pdb"
    lines = water.read_text().splitlines(keepends=True)
    few = "".join(line for line in lines if not line.startswith("CONECT"))
    options = {"steps": 1, "forcefield": ["tip3p.xml"], "nonbonded_cutoff_nm": 0.7}
    options |= {"platform": "CPU", "trajectory_steps": 0}
    made = shard(("in/water.pdb", few.encode()), assets={}, options=options)
    assert run(made) == 0
    assert first_row(made)["Density (g/mL)"] == pytest.approx(1, abs=0.1)


def test_the_installation_is_tested_into_the_log_once_an_attempt(shard, run, pdb, capsys):
    inputs = [("in/0.pdb", pdb), ("in/1.pdb", pdb)]
    made = shard(*inputs, options={"test_installation": True}, inputs_per_job=2)
    assert run(made) == 0
    told = [event.get("stdout") for event in said(capsys) if event["event"] == "tool"]
    assert told.count("All differences are within tolerance.") == 1
    assert any("Reference - Successfully computed forces" in str(line) for line in told)


BAD_INPUTS = {
    "nothing": ("a.pdb", b"", {}, "the structure a.pdb cannot be read: IndexError"),
    "no_structure": ("s.xml", argon.system(), {}, "there is no structure"),
    "another_kind": ("a.txt", b"argon", {}, "a structure (.pdb"),
    "no_xml": ("a.xml", b"argon", {}, "a.xml is no XML"),
    "other_xml": ("a.xml", b"<html></html>", {}, "a structure (.pdb"),
    "code_from_an_input": ("a.xml", argon.forcefield(), {}, "give it as assets.forcefield"),
    "cut_system": (
        "a.zip",
        argon.zipped(a__pdb=argon.structure(), s__xml=argon.system()[:4000]),
        {},
        "s.xml cannot be read: ",
    ),
    "cut_archive": ("a.zip", argon.zipped(s__xml=argon.system())[:400], {}, "'a.zip' is cut"),
    "leads_out": ("a.zip", argon.zipped(**{"../s__xml": b"<System/>"}), {}, "../s.xml"),
    "two_systems": ("a.zip", argon.zipped(a__xml=b"<System/>", b__xml=b"<System/>"), {}, "b.xml"),
    "too_few_atoms": ("a.pdb", argon.structure(atoms=7), {}, "125 particles and the structure 7"),
    "box_too_small": (
        "a.pdb",
        argon.structure(edge_nm=1.0),
        {},
        "less than twice the nonbonded cutoff",
    ),
    "no_template": (
        "a.pdb",
        argon.structure().replace(b"Ar", b"Ne"),
        {"assets": FF},
        "No template found",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_an_input_that_makes_no_simulation_fails_alone(shard, run, pdb, case):
    name, body, values, reason = BAD_INPUTS[case]
    made = shard((f"in/{name}", body), ("in/z.pdb", pdb), inputs_per_job=2, **values)
    made.options |= {"steps": 1}
    made.write_round()
    assert run(made) == 0
    assert made.markers() == ["00000.1.bad_input.failed", "00001-00001.done"]
    assert reason in made.marker("00000.1.bad_input.failed").reason


def test_what_explodes_is_tried_once_more_and_then_failed(shard, run):
    options = {"timestep_fs": 20, "integrator": "Verlet", "temperature_k": 10_000}
    made = shard(("in/a.pdb", argon.structure(edge_nm=1.85)), options=options)
    assert run(made) == 1
    (record,) = made.part_records()
    assert (record.progress, record.trouble) == (0, "after step 0")
    assert run(made) == 0
    failure = made.marker("00000.1.tool_failed.failed")
    assert "NaN" in failure.reason
    assert failure.exit_code is None


MISCONFIGURED = {
    "no_force_field": ({"assets": {}}, "there is no system: give options.forcefield"),
    "unknown_force_field": (
        {"assets": {}, "options": {"forcefield": ["nowhere.xml"]}},
        "nowhere.xml",
    ),
    "unknown_option": ({"options": {"other": 1}}, "no option other"),
    "no_cuda": ({"options": {"platform": "CUDA"}}, "no working platform CUDA"),
}


@pytest.mark.parametrize("case", MISCONFIGURED)
def test_what_no_input_could_be_simulated_with_stops_the_run(shard, run, capsys, case):
    values, sentence = MISCONFIGURED[case]
    made = shard(**values)
    assert run(made) == 78
    assert sentence in capsys.readouterr().err
    assert made.markers() == []
