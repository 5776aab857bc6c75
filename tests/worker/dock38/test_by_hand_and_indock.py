"""DOCK as its users start their image, and INDOCK as it is rewritten for it."""

import pytest

from tests.worker.dock38.conftest import indock
from tests.worker.support import DATA
from worker.endings import Misconfigured
from worker.tools.indock import rewrite_indock

LINE = "{:30s}{}"


def test_the_contracts_variables_are_enough(by_hand, store):
    assert by_hand(1) == 0
    assert [found.key for found in store.list(DATA, "output/")] == [
        "output/1/OUTDOCK.0",
        "output/1/scores.jsonl.gz.0",
        "output/1/test.mol2.gz.0",
        "output/markers/by-hand/000000/00001-00001.done",
    ]
    assert b" c  " in store.get(DATA, "output/1/OUTDOCK.0").body


@pytest.mark.parametrize("location", ["", "s3://drydock-data/bin/nothing", "dock64"])
def test_an_executable_that_is_not_there_stops_it(by_hand, location, capsys):
    assert by_hand(0, S3_DOCKEXEC_LOCATION=location) == 78
    assert capsys.readouterr().err.startswith("drydock: ")


def rewritten(*lines, names=()):
    text = "\n".join(["DOCK 3.8 parameter", LINE.format("ligand_atom_file", "x"), *lines])
    return rewrite_indock(text, names).splitlines()[2 : 2 + len(lines)]


@pytest.mark.parametrize(
    "value",
    ["spheres.sph", "../dockfiles/spheres.sph", "/a/spheres.sph", "/a/dockfiles/spheres.sph"],
)
def test_a_dockfile_is_found_wherever_it_was_prepared(value):
    line = LINE.format("receptor_sphere_file", value)
    assert rewritten(line, names={"spheres.sph"}) == [
        LINE.format("receptor_sphere_file", "../dockfiles/spheres.sph")
    ]


def test_a_line_of_blanks_is_read_once():
    """By a pattern that tries each blank with each other one this would take hours."""
    line = LINE.format("receptor_sphere_file", "spheres" + " " * 500_000 + "x")
    assert rewritten(line, "a" + " " * 500_000) == [line, "a" + " " * 500_000]


def test_blanks_behind_a_path_are_none_of_it():
    line = LINE.format("receptor_sphere_file", "spheres.sph  ")
    expected = LINE.format("receptor_sphere_file", "../dockfiles/spheres.sph")
    assert rewritten(line, names={"spheres.sph"}) == [expected]


def test_a_prefix_of_dockfiles_and_a_file_in_a_folder_are_found():
    lines = [
        LINE.format("chemgrid_file_prefix", "../dockfiles/vdw"),
        LINE.format("delphi_file", "/lab/dockfiles/grids/trim.phi"),
    ]
    assert rewritten(*lines, names={"vdw.bmp", "vdw.vdw", "grids/trim.phi"}) == [
        LINE.format("chemgrid_file_prefix", "../dockfiles/vdw"),
        LINE.format("delphi_file", "../dockfiles/grids/trim.phi"),
    ]


def test_what_is_no_dockfile_stays():
    lines = ["# receptor_sphere_file a", LINE.format("gist_file", "0"), "", "minimize yes"]
    assert rewritten(*lines, names={"spheres.sph"}) == lines


def test_what_is_the_workers_is_set():
    lines = [LINE.format("output_file_prefix", "mine."), LINE.format("flush_int", "1000")]
    assert rewritten(*lines) == [
        LINE.format("output_file_prefix", "test."),
        LINE.format("flush_int", "1"),
    ]
    assert LINE.format("ligand_atom_file", "-") in rewrite_indock(indock(), ())


def test_what_is_the_workers_is_added():
    least = f"DOCK 3.8 parameter\n{LINE.format('ligand_atom_file', 'x')}\nminimize yes\n"
    assert rewrite_indock(least, ()).splitlines()[1:] == [
        LINE.format("ligand_atom_file", "-"),
        "minimize yes",
        LINE.format("output_file_prefix", "test."),
        LINE.format("flush_int", "1"),
    ]


@pytest.mark.parametrize(("length", "is_refused"), [(80, False), (81, True)])
def test_a_path_that_dock_would_cut_is_refused(length, is_refused):
    name = "x" * (length - len("../dockfiles/"))
    line = LINE.format("solvmap_file", name)
    if not is_refused:
        assert rewritten(line, names={name})[0].endswith(f"../dockfiles/{name}")
        return
    with pytest.raises(Misconfigured, match=r"solvmap_file .* 81 characters and DOCK reads 80"):
        rewritten(line, names={name})
