"""The example: its inputs are what its script makes, and joining refuses what does not fit."""

import json
import runpy
import struct

import pytest

from drydock.request import parse_request_text
from tests.worker.openmm.reading import joined, read_dcd, read_log
from tests.worker.support import DATA, ROOT
from worker.tools.openmm_job import OpenMMOptions

EXAMPLE = ROOT / "examples" / "openmm"
JOIN = runpy.run_path(str(EXAMPLE / "join.py"))


def test_the_inputs_are_what_the_script_makes():
    made = runpy.run_path(str(EXAMPLE / "make_inputs.py"))["arranged"]()
    assert {path.name: path.read_bytes() for path in (EXAMPLE / "inputs").iterdir()} == made
    assert len(set(made.values())) == 4


def test_the_request_is_one_and_its_options_are_openmms():
    text = (EXAMPLE / "run.json").read_bytes()
    request = parse_request_text(text)
    assert request.tool == "openmm"
    options = OpenMMOptions(**json.loads(text)["options"])
    assert options.test_installation
    assert options.steps % options.trajectory_steps == 0


def test_what_is_joined_is_what_the_marker_names(shard, run, store, tmp_path):
    made = shard(options={"trajectory_format": "dcd"})
    assert run(made) == 0
    stray = made.keys.input_folder(0, 0) + "7/trajectory.dcd"
    store.put(DATA, stray, b"of an attempt that was killed")
    for found in store.list(DATA, made.prefix):
        path = tmp_path / "copy" / found.key.removeprefix(made.prefix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.get(DATA, found.key).body)
    written = JOIN["join"](tmp_path / "copy", tmp_path / "joined")
    assert [path.name for path in written] == ["log.csv", "trajectory.dcd", "final.pdb"]
    whole, folder = joined(made), tmp_path / "joined" / "0"
    assert read_log((folder / "log.csv").read_bytes()) == (whole.log_steps, whole.log)
    frames = read_dcd((folder / "trajectory.dcd").read_bytes())
    assert frames == (whole.frame_steps, whole.frames)


def test_frames_with_a_gap_are_not_joined(tmp_path):
    def file(name, first):
        body = struct.pack("<i4s4i", 84, b"CORD", 2, first, 10, first + 10) + bytes(80)
        (tmp_path / name).write_bytes(body)
        return tmp_path / name

    JOIN["join_dcd"]([file("a", 10)], tmp_path / "one")
    with pytest.raises(JOIN["JoinError"], match="begins at step 40"):
        JOIN["join_dcd"]([file("a", 10), file("b", 40)], tmp_path / "two")
