"""The examples' requests are whole; the job that restarts comes to the same whatever happens."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest

import worker.tools.program_session as module
from drydock.request import parse_request
from tests.worker.support import ROOT

EXAMPLES = ROOT / "examples"
FETCHED = EXAMPLES / "fetch_and_run"
OWN = ("fetch_and_run", "genomics", "baked_in")


@pytest.mark.parametrize(
    "path", sorted(each for name in OWN for each in (EXAMPLES / name).glob("*.json")), ids=str
)
def test_an_examples_request_is_one(path):
    request = parse_request(json.loads(path.read_bytes()))
    assert request.input == f"s3://drydock-data/examples/{path.parent.name}/inputs/"
    assert request.tool in ("script", "command")


def test_the_sample_is_what_its_program_makes(tmp_path):
    folder = EXAMPLES / "genomics"
    made = subprocess.run(
        [sys.executable, folder / "make_sample.py", tmp_path],
        env={"PATH": "/nowhere"},
        capture_output=True,
        check=True,
    )
    assert b"bwa is not on PATH" in made.stdout
    for path in tmp_path.rglob("*.f*"):
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes()
    assert len(list(tmp_path.rglob("*.f*"))) == 4
    index = {path.name for path in (folder / "genome").iterdir()}
    assert index == {"genome.fa"} | {
        f"genome.fa.{end}" for end in ("amb", "ann", "bwt", "pac", "sa")
    }


@pytest.fixture
def trajectory(tmp_path):
    """What the job comes to where nobody interrupts it and nobody knows of drydock."""
    folders = {name: tmp_path / name for name in ("CHECKPOINT_DIR", "OUTPUT_DIR")}
    for folder in folders.values():
        folder.mkdir()
    subprocess.run(
        [FETCHED / "myjob.sh", "12", "0"],
        env={**os.environ, "INPUT": str(FETCHED / "inputs" / "spring-1.txt")}
        | {name: str(folder) for name, folder in folders.items()},
        capture_output=True,
        check=True,
    )
    return (folders["OUTPUT_DIR"] / "trajectory.csv").read_bytes()


def test_the_job_of_fetch_and_run_is_the_same_after_any_interruption(
    script, run, monkeypatch, trajectory
):
    assert len(trajectory.splitlines()) == 121
    made = script(
        (FETCHED / "myjob.sh").read_bytes(),
        ("in/spring-1.txt", (FETCHED / "inputs" / "spring-1.txt").read_bytes()),
        arguments=["12", "0.05"],
        outputs=["trajectory.csv"],
    )
    look = module.ProgramSession.poll
    interrupted_at = [0]

    def poll(self):
        segments = len([*self._folders.checkpoint.glob("trajectory.[0-9]*")])
        if segments > interrupted_at[-1]:
            interrupted_at.append(segments)
            os.kill(os.getpid(), signal.SIGTERM)
        return look(self)

    with monkeypatch.context() as patched:
        patched.setattr(module.ProgramSession, "poll", poll)
        assert [run(made) for _ in range(3)] == [1, 1, 1]
    assert run(made) == 0
    assert len(made.part_records()) == 3
    assert made.results() == {0: {"trajectory.csv": trajectory}}


def test_a_baked_in_program_is_found_on_path(command, run, monkeypatch, tmp_path):
    shutil.copy(EXAMPLES / "baked_in" / "gc-content", tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    request = json.loads((EXAMPLES / "baked_in" / "run.json").read_bytes())
    inputs = EXAMPLES / "baked_in" / "inputs"
    options = request["options"]
    made = command(
        options.pop("command"),
        ("in/phages.fa", (inputs / "phages.fa").read_bytes()),
        ("in/none.fa", b"no sequence"),
        shard={"inputs_per_job": 2},
        **options,
    )
    assert run(made) == 0
    assert made.results() == {
        0: {"phages.csv": b"name,length,gc\nphage-1,26,0.6923\nphage-2,14,0.1429\n"}
    }
    (failure,) = made.failures()
    assert (failure.failure_class, failure.exit_code) == ("bad_input", 2)
