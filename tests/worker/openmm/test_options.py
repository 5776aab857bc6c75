"""The options of a request, the job's file, and the restart's: without a simulation."""

import dataclasses
import errno
import io
import json
import random
import zipfile
from pathlib import Path

import pytest
from openmm import OpenMMException

from drydock.errors import RequestRejected
from drydock.openmm_options import OpenMMOptions as RequestOptions
from drydock.request import parse_request
from worker.endings import Misconfigured
from worker.tools import Setting
from worker.tools.openmm import OpenMM
from worker.tools.openmm_build import CannotSimulateError, seed_at
from worker.tools.openmm_files import Files, from_assets
from worker.tools.openmm_job import Job, OpenMMOptions, read_job
from worker.tools.openmm_restart import (
    CHECKPOINT,
    STATE,
    RestartError,
    read_about,
    read_member,
    write_restart,
)
from worker.tools.openmm_run import verdict

REQUEST = {
    "name": "md",
    "input": "s3://lab/in/",
    "output": "s3://lab/out/",
    "tool": "openmm",
    "options": {"steps": 1000},
}


def test_the_options_are_those_of_a_request():
    given = parse_request(REQUEST).options.model_dump()
    assert given == dataclasses.asdict(OpenMMOptions(steps=1000))
    assert set(given) == set(RequestOptions.model_fields)


@pytest.mark.parametrize(
    ("options", "gpus", "problem"),
    [
        ({}, 0, "options.steps: is missing"),
        ({"steps": 0}, 0, "options.steps: 0 was given"),
        ({"steps": 1, "forcefield": ["../x.xml"]}, 0, "options.forcefield"),
        ({"steps": 1, "forcefield": ["/etc/x.xml"]}, 0, "options.forcefield"),
        ({"steps": 1, "platform": "OpenCL"}, 0, "options.platform"),
        ({"steps": 1, "platform": "CPU"}, 1, "the platform CPU uses no GPU"),
        ({"steps": 1, "platform": "CUDA"}, 0, "the platform CUDA needs at least 1"),
    ],
)
def test_what_cannot_be_simulated_is_refused_before_anything_starts(options, gpus, problem):
    with pytest.raises(RequestRejected) as refused:
        parse_request(REQUEST | {"options": options, "resources": {"gpus": gpus}})
    assert any(problem in each for each in refused.value.problems)


@pytest.mark.parametrize("name", ["amber19-all.xml", "amber19/tip3pfb.xml", "implicit/gbn2.xml"])
def test_force_fields_that_openmm_brings_are_taken(name):
    parse_request(REQUEST | {"options": {"steps": 1, "forcefield": [name]}})


def test_random_numbers_do_not_begin_anew_after_a_restart():
    seeds = [seed_at(7, step) for step in (0, 25, 50, 75)]
    assert seeds == [seed_at(7, step) for step in (0, 25, 50, 75)]
    assert seeds[0] == 7
    assert len(set(seeds) | {seed_at(8, 25)}) == 5
    assert all(0 < seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "memory"),
        (OpenMMException("std::bad_alloc"), "memory"),
        (OpenMMException("Error creating array: CUDA_ERROR_OUT_OF_MEMORY (2)"), "died"),
        (OpenMMException("Particle coordinate is NaN"), "died"),
        (OSError(errno.ENOSPC, "No space left on device"), "no_room"),
        (CannotSimulateError("bad_input", "no"), "bad_input"),
    ],
)
def test_what_an_error_means(error, kind, tmp_path):
    assert verdict(error, tmp_path)[0] == kind


def test_gpus_are_never_left_idle():
    with pytest.raises(Misconfigured, match="uses no GPU"):
        OpenMM.from_setting(Setting({"steps": 1, "platform": "CPU"}, gpus=1))


@pytest.mark.parametrize(
    ("platform", "gpus", "expected"),
    [(None, 0, "CPU"), (None, 1, "CUDA"), ("Reference", 0, "Reference"), ("CUDA", 2, "CUDA")],
)
def test_the_platform_is_the_one_that_was_paid_for(platform, gpus, expected):
    options = OpenMMOptions(1, platform=platform)
    assert Job(options, Files(), Path("in"), None, 1, gpus, test=False).platform == expected


def test_without_openmm_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(Misconfigured, match=r"OpenMM is missing: .*make tools"):
        OpenMM.from_setting(Setting({"steps": 1}))


def test_an_asset_is_a_file_or_a_folder_of_force_fields(tmp_path):
    (tmp_path / "b.xml").touch()
    (tmp_path / "a.xml").touch()
    found = from_assets({"forcefield": tmp_path}).forcefield
    assert [path.name for path in found] == ["a.xml", "b.xml"]
    (tmp_path / "empty").mkdir()
    for assets in ({"system": tmp_path}, {"forcefield": tmp_path / "empty"}):
        tool = OpenMM.from_setting(Setting({"steps": 1}))
        with pytest.raises(
            Misconfigured, match=r"assets\.(system must be one|forcefield holds no)"
        ):
            tool.prepare(assets)


def test_the_dockfiles_of_a_run_by_hand_are_told_by_their_content(tmp_path):
    for name, text in (
        ("options.json", "{}"),
        ("ff/b.xml", "<ForceField/>"),
        ("ff/a.xml", '<?xml version="1.0"?><!-- mine -->\n<ForceField>'),
        ("prepared.xml", "<System type='System'>"),
        ("topology.pdb", ""),
    ):
        path = tmp_path / "dockfiles" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "s.xml").touch()
    found = from_assets({"dockfiles": tmp_path / "dockfiles", "system": tmp_path / "s.xml"})
    assert [path.name for path in found.forcefield] == ["a.xml", "b.xml"]
    assert (found.system.name, found.structure.name, found.state) == ("s.xml", "topology.pdb", None)


def test_a_job_is_read_as_it_was_written(tmp_path):
    job = Job(
        OpenMMOptions(7, forcefield=["a.xml"]),
        Files(system=Path("/s.xml"), forcefield=(Path("/f.xml"),)),
        Path("/in.pdb"),
        Path("/last-restart"),
        vcpus=3,
        gpus=1,
        test=True,
    )
    job.write(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job


@pytest.fixture
def restart(tmp_path):
    path = tmp_path / "restart.zip"
    checkpoint = random.Random(1).randbytes(3000)
    write_restart(path, 42, {"platform": "CPU"}, checkpoint, "<State/>" * 100)
    return path


def test_a_restart_is_read_as_it_was_written(restart, tmp_path):
    about = read_about(restart)
    assert (about.step, about.where) == (42, {"platform": "CPU"})
    assert read_member(restart, STATE, about) == b"<State/>" * 100
    assert len(read_member(restart, CHECKPOINT, about)) == 3000
    assert [path.name for path in tmp_path.iterdir()] == ["restart.zip"]


def test_a_restart_that_is_cut_anywhere_is_none(restart):
    whole = restart.read_bytes()
    for size in range(0, len(whole), 7):
        restart.write_bytes(whole[:size])
        with pytest.raises(RestartError):
            read_about(restart)


def test_no_bit_of_what_a_restart_holds_can_change_unnoticed(restart):
    whole = restart.read_bytes()
    about = read_about(restart)
    contents = [read_member(restart, name, about) for name in (CHECKPOINT, STATE)]
    for at in range(0, len(whole), 3):
        restart.write_bytes(whole[:at] + bytes([whole[at] ^ 16]) + whole[at + 1 :])
        try:
            found = read_about(restart)
        except RestartError:
            continue
        assert found.step == 42
        assert [read_member(restart, name, found) for name in (CHECKPOINT, STATE)] == contents


def test_strange_archives_are_no_restarts(restart):
    for about in (b"", b"[]", b"{}", json.dumps({"step": "x"}).encode()):
        body = io.BytesIO()
        with zipfile.ZipFile(body, "w") as archive:
            archive.writestr("about.json", about)
        restart.write_bytes(body.getvalue())
        with pytest.raises(RestartError):
            read_about(restart)
