"""Shell scripts, those in the template too, as ShellCheck reads them."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.architecture.imports import ROOT
from tests.architecture.user_data import script, user_data

SHELLCHECK = Path(sysconfig.get_path("scripts")) / "shellcheck"
SECRET_ARN = "arn:aws:secretsmanager:us-east-1:123456789012:secret:docker-hub-AbCdEf"
VARIANTS = [
    {},
    {"ScratchKind": "INSTANCE_STORE", "InstanceTypes": "m5d"},
    {"DockerHubSecretArn": SECRET_ARN},
]
# EC2's limit: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html
MAX_USER_DATA_BYTES = 16 * 1024


def shell_scripts():
    folders = (ROOT / "scripts", ROOT / ".ci", ROOT / "examples", ROOT / "worker")
    for path in sorted(path for folder in folders for path in folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            first = path.read_bytes().partition(b"\n")[0]
            if first.startswith(b"#!") and first.endswith((b"/sh", b" sh", b"bash")):
                yield path


def complaints(text):
    done = subprocess.run(
        [SHELLCHECK, "-"], input=text, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("path", shell_scripts(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_sound(path):
    assert complaints(path.read_text(encoding="utf-8")) == ""


@pytest.mark.parametrize("parameters", VARIANTS)
def test_what_the_machines_start_with_is_sound(parameters):
    assert complaints(script(**parameters)) == ""


@pytest.mark.parametrize("parameters", VARIANTS)
def test_batch_has_room_to_add_its_own_part(parameters):
    assert len(user_data(**parameters)) < MAX_USER_DATA_BYTES // 2


def test_shellcheck_finds_what_it_is_there_for():
    assert "SC2086" in complaints("#!/bin/sh\nrm -r $1\n")
