"""The launcher, as it is called from any folder."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def launcher(tmp_path):
    """The launcher of a checkout whose environment is this process's."""
    checkout = tmp_path / "checkout"
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / "scripts").mkdir()
    (checkout / "scripts/environment").write_text("")
    python = checkout / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for name in ("cli", "src"):
        (checkout / name).symlink_to(ROOT / name)
    return Path(shutil.copy(ROOT / "drydock", checkout))


@pytest.mark.parametrize("name", ["cli/__init__.py", "click.py", "rich.py", "boto3.py", "json.py"])
def test_nothing_is_imported_from_the_folder_that_it_is_called_in(launcher, tmp_path, name):
    theirs = tmp_path / "results" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text('raise SystemExit("this came with the results")\n')
    answer = subprocess.run(
        [launcher, "--help"],
        cwd=tmp_path / "results",
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == ""
    assert answer.stdout.startswith("Usage: drydock")
