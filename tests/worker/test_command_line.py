"""What ``python -m worker`` answers about itself."""

import os
import re
import subprocess
import sys

from drydock import __version__
from drydock.failures import (
    EXIT_AGAIN,
    EXIT_DONE,
    EXIT_LATER,
    EXIT_MISCONFIGURED,
    EXIT_OUT_OF_MEMORY,
    EXIT_SCRATCH_FULL,
)
from tests.worker.support import ROOT


def asked(*arguments, **extra):
    return subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))), **extra},
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_shows_variables_and_exit_codes_that_the_docs_have():
    answer = asked("--help")
    assert (answer.returncode, answer.stderr) == (0, "")
    docs = (ROOT / "docs" / "by_hand.md").read_text()
    variables = re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\bTOOL\b|\bVCPUS\b", answer.stdout)
    assert {"S3_TASK_LOCATION", "S3_INPUT_LOCATION", "TOOL"} <= set(variables)
    assert [name for name in variables if f"{name}" not in docs] == []
    codes = [int(code) for code in re.findall(r"^  (\d+)  ", answer.stdout, re.MULTILINE)]
    assert codes == [
        EXIT_DONE,
        EXIT_AGAIN,
        EXIT_OUT_OF_MEMORY,
        EXIT_SCRATCH_FULL,
        EXIT_LATER,
        EXIT_MISCONFIGURED,
    ]
    assert max(map(len, answer.stdout.splitlines())) <= 100


def test_version_is_that_of_the_package():
    answer = asked("--version")
    assert (answer.returncode, answer.stdout) == (0, f"drydock {__version__}\n")


def test_an_unknown_option_is_refused_with_the_usage():
    answer = asked("--helpp")
    assert answer.returncode == EXIT_MISCONFIGURED
    assert "--helpp" in answer.stderr
    assert "usage: python -m worker" in answer.stderr


def test_without_locations_it_says_what_is_missing():
    answer = asked()
    assert answer.returncode == EXIT_MISCONFIGURED
    assert "S3_INPUT_LOCATION is not set" in answer.stderr
