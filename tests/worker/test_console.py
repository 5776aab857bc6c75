"""The program that job definitions name, and the wheel that brings it."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from drydock import __version__
from local.batch.containers import PROGRAMS
from worker.console import NAME

ROOT = Path(__file__).parents[2]
START = "import sys; from worker.console import main; sys.argv = ['drydock-worker', *sys.argv[1:]]"


def start(*arguments):
    return subprocess.run(
        [sys.executable, "-c", f"{START}; main()", *arguments],
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "AWS_EC2_METADATA_DISABLED": "true"},
        capture_output=True,
        text=True,
        check=False,
    )


# In an image whose entry point it is, the job definition's command is one argument too many.
@pytest.mark.parametrize("arguments", [(), (NAME,)])
def test_it_is_the_worker_with_its_name_or_without(arguments):
    ended = start(*arguments)
    assert ended.returncode == 78
    assert ended.stderr.startswith("drydock: S3_INPUT_LOCATION is not set")


def test_other_arguments_are_the_workers():
    assert start("--version").stdout.startswith("drydock ")
    assert start(NAME, NAME).returncode == 78
    assert "unrecognized arguments" in start("drydock").stderr


def test_all_name_the_same_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {NAME: "worker.console:main"}
    assert list(PROGRAMS) == [NAME]
    for path in ROOT.glob("worker/Dockerfile*"):
        text = path.read_text(encoding="utf-8")
        commands = [line.removeprefix("CMD ") for line in text.splitlines() if line[:4] == "CMD "]
        assert [json.loads(command) for command in commands] in ([], [[NAME]])
    template = (ROOT / "template.yaml").read_text(encoding="utf-8")
    assert f"Command: [{NAME}]" in template


def test_all_say_the_same_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    for path in ROOT.glob("worker/Dockerfile*"):
        assert f"\nARG VERSION={__version__}\n" in path.read_text(encoding="utf-8")


def test_the_wheel_says_what_the_worker_imports():
    """The image's lock holds what the wheel asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [name.partition(">=")[0] for name in project["dependencies"]]
    locked = (ROOT / "requirements" / "worker.txt").read_text(encoding="utf-8")
    assert sorted(asked) == ["awscrt", "boto3"]
    assert [name for name in asked if f"\n{name}==" not in f"\n{locked}"] == []
