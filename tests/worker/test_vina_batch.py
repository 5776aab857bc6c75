"""The batch program over vina's Python binding; collected where there is a binding."""

import os
import subprocess
import sys
import time

import pytest

from tests.worker.support import EXAMPLE, ROOT, bundle, ligand
from worker.agent import main
from worker.tools.vina_batch import main as batch

BOX = [f"--center_{axis}={n}" for axis, n in zip("xyz", (12.8, 95.1, 58.6), strict=True)]
BOX += [f"--size_{axis}=14" for axis in "xyz"]
SEARCH = ["--seed=1", "--exhaustiveness=1", "--max_evals=2000", "--cpu=1"]
FLAGS = [*BOX, *SEARCH, f"--receptor={EXAMPLE / 'receptor.pdbqt'}"]


def start(folder, names, **options):
    (folder / "out").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "worker.tools.vina_batch", *FLAGS, "--dir=out", "--batch", *names],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_the_end_of_stdin_ends_it_between_ligands(tmp_path):
    names = [f"{number}.pdbqt" for number in range(200)]
    for name in names:
        (tmp_path / name).write_bytes(ligand("caffeine"))
    process = start(tmp_path, names)
    deadline = time.monotonic() + 60
    # Poses are there under their own name when they are whole.
    while not list((tmp_path / "out").glob("*_out.pdbqt")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.stdin.close()
    assert process.wait(60) == 1
    assert 0 < len(list((tmp_path / "out").glob("*_out.pdbqt"))) < 200
    process.stdout.close()
    process.stderr.close()


def test_it_tells_of_a_ligand_that_cannot_be_read_and_goes_on(tmp_path):
    for name in ("a", "c"):
        (tmp_path / f"{name}.pdbqt").write_bytes(ligand("caffeine"))
    (tmp_path / "b.pdbqt").write_text("ROOT\nATOM garbage\n")
    process = start(tmp_path, ["a.pdbqt", "b.pdbqt", "c.pdbqt"])
    # Its stdin stays open until it has ended: an end of stdin would end it too.
    assert process.wait(60) == 0
    assert "PDBQT parsing error" in process.stderr.read()
    assert "Computing Vina grid ... done" in process.stdout.read()
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a_out.pdbqt", "c_out.pdbqt"]
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()


def test_a_wrong_flag_is_refused(capsys):
    with pytest.raises(SystemExit) as end:
        batch(["--receptor", "r.pdbqt"])
    assert end.value.code == 2
    assert "--batch" in capsys.readouterr().err


def test_a_program_on_path_is_used_and_docks_the_same(shard, store, scratch, tmp_path, monkeypatch):
    made = shard(("in/two.pdbqt", bundle(ligand("caffeine"), ligand("nsc00036"))))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert main(made.environment(scratch), store) == 0
    folder = tmp_path / "bin"
    folder.mkdir()
    used = tmp_path / "used"
    path = os.pathsep.join(entry for entry in sys.path if entry)
    (folder / "vina").write_text(
        f"#!/bin/sh\ntouch {used}\n"
        f'PYTHONPATH="{path}" exec {sys.executable} -m worker.tools.vina_batch "$@"\n'
    )
    (folder / "vina").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    again = shard(*made.inputs, prefix="program/")
    assert main(again.environment(scratch), store) == 0
    assert used.exists()
    assert again.results() == made.results()
