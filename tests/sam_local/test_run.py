"""`make run-containers`: a whole run in Lambda's containers and Batch's, and a machine taken away.

The same run as processes, with nothing taken away, comes to the same.
"""

import json
import re
import subprocess
import sys

import pytest

from drydock.store import Store
from local.embedded import EmbeddedAws
from local.sam import ROOT, sam_environment
from tests.chaos.comparison import differences, picture
from tests.containers.engine import WORKER, docker, make_image
from tests.worker.programs.jobs import STEPS

# The first is done soon. Then two of 20 seconds are under way at once, for long enough that the
# command sees both machines at work, however busy this one is, and takes one of them away.
COUNTS = (20, 1000, 1000, 20)
NUMBERS = [[str(number * number % 17) for number in range(count)] for count in COUNTS]


@pytest.fixture
def sample(tmp_path):
    """A request with its inputs beside it: a few seconds each, with a checkpoint now and then."""
    (tmp_path / "inputs").mkdir()
    for place, numbers in enumerate(NUMBERS):
        (tmp_path / "inputs" / f"{place}.txt").write_text("\n".join(numbers))
    (tmp_path / "steps.py").write_text("#!/usr/bin/env python3\n" + STEPS.partition("\n")[2])
    request = {
        "name": "sample",
        "input": "s3://drydock-data/sample/in/",
        "output": "s3://drydock-data/sample/out/",
        "tool": "script",
        "options": {"arguments": ["10"]},
        "assets": {"script": "s3://drydock-data/sample/steps.py"},
        "resources": {"memory_mib": 256},
        "checkpoint_seconds": 1,
    }
    (tmp_path / "run.json").write_text(json.dumps(request))
    return tmp_path / "run.json"


def run(sample, directory, *options):
    """What the command prints; it ends with 0."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "local", "run", "--request", sample),
            *("--directory", directory, *options),
        ],
        cwd=ROOT,
        env={**sam_environment(), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def picture_of(sample, directory):
    with EmbeddedAws(directory) as aws:
        return picture(Store(aws.client("s3"), None), json.loads(sample.read_text()))


def test_a_run_in_containers_comes_to_what_it_comes_to_in_processes(sample, tmp_path):
    run(sample, tmp_path / "processes", "--no-reclaim")

    containers = tmp_path / "containers"
    printed = run(sample, containers, "--containers", make_image(WORKER))
    assert "Reclaiming machine i-" in printed
    # Told in time it ends with 1; else it ends with its machine.
    assert re.search(
        r"\(reclaimed\): (Essential container in task exited, exit code 1|Host EC2)", printed
    ), printed
    assert "4 of 4 inputs settled: 4 done, 0 failed, 0 skipped, 0 remaining" in printed

    quiet = picture_of(sample, tmp_path / "processes")
    assert len(quiet["outputs"]) == len(NUMBERS)
    assert differences(quiet, picture_of(sample, containers)) == []
    # Every function that a run without a stop needs was called there, and no process ran one.
    called = (containers / "logs" / "sam.log").read_text()
    for name in ("EnumerateInputs", "DetectRestarts", "SubmitShard", "AggregateShard"):
        assert f"/functions/{name}Function/invocations" in called
    assert [path.name for path in (containers / "logs").glob("drydock-*.log")] == []
    # Nothing of it is left in Docker.
    of_it = ("--quiet", "--filter", f"label=drydock.directory={containers.resolve()}")
    assert docker("ps", "--all", *of_it) + docker("volume", "ls", *of_it) == ""
