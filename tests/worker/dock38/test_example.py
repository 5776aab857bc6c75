"""The example of DOCK 3.8: what is in it, what it needs, and that it runs with the stand-in."""

import csv
import os
import runpy
import subprocess
import sys

import pytest

from drydock.request import parse_request_text
from tests.worker.support import ROOT
from worker.archives import members
from worker.tools.db2 import hierarchies
from worker.tools.indock import rewrite_indock

EXAMPLE = ROOT / "examples" / "dock38"
SAMPLE = runpy.run_path(str(EXAMPLE / "make_sample.py"))


def files_of(path):
    return {member.name: member.unpacked().read().decode() for member in members(path)}


def test_the_sample_is_what_the_script_makes():
    made = {name: SAMPLE["bundle"](found) for name, found in SAMPLE["BUNDLES"].items()}
    assert {path.name: files_of(path) for path in (EXAMPLE / "inputs").iterdir()} == made
    spheres = (EXAMPLE / "dockfiles" / "matching_spheres.sph").read_text()
    assert spheres == SAMPLE["spheres"]()


@pytest.mark.parametrize("name", SAMPLE["BUNDLES"])
def test_a_bundle_is_one(name):
    found = [each for _, names in hierarchies(EXAMPLE / "inputs" / name) for each in names]
    assert found == [name for name, _, forms in SAMPLE["BUNDLES"][name] for _ in range(forms)]


def test_the_request_and_its_dockfiles_fit_together():
    request = parse_request_text((EXAMPLE / "run.json").read_bytes())
    assert (request.tool, request.image, request.assets) == ("dock38", None, {})
    names = {path.name for path in (EXAMPLE / "dockfiles").iterdir()}
    text = rewrite_indock((EXAMPLE / "dockfiles" / "INDOCK").read_text(), names)
    assert "../dockfiles/matching_spheres.sph\n" in text


def make_run(directory, path):
    """`make run REQUEST=examples/dock38/run.json`, with that PATH."""
    command = (sys.executable, "-m", "local", "run", "--request", EXAMPLE / "run.json")
    found = subprocess.run(
        [*command, "--directory", directory],
        cwd=ROOT,
        env={"PATH": path, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    return found.returncode, found.stdout


def test_without_dock64_it_says_what_is_missing(tmp_path):
    code, said = make_run(tmp_path, "/usr/bin:/bin")
    assert code == 1
    (verdict,) = (line for line in said.splitlines() if "The run is not done" in line)
    assert "dock64 is missing: DOCK 3.8 is not part of this image; use an image that has" in verdict
    assert "assets.dockexec" in verdict


def test_with_dock64_it_runs_to_its_end(tmp_path, on_path):
    code, said = make_run(tmp_path / "run", f"{on_path.parent}{os.pathsep}/usr/bin:/bin")
    assert code == 0, said
    assert "7 of 7 molecules, 3 of 3 inputs settled: 3 done, 0 failed" in said
    results = tmp_path / "run" / "s3" / "drydock-data" / "runs" / "dock38-sample" / "results"
    with (results / "top.csv").open() as lines:
        ids = {row["id"] for row in csv.DictReader(lines)}
    assert ids == {name for found in SAMPLE["BUNDLES"].values() for name, _, _ in found}
    assert (results / "poses.mol2.gz").stat().st_size > 100
