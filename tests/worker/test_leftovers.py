"""Scratch folders that killed attempts left behind go away with the next attempt, no others do."""

import os
import signal
import subprocess
import sys

import pytest

from tests.worker.support import ROOT
from worker.scratch import Scratch

HOLDS = """
import sys
from pathlib import Path
from worker.scratch import Scratch
with Scratch(Path(sys.argv[1])) as path:
    (path / "inner").mkdir()
    (path / "inner" / "file").write_text("x")
    print(path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def base(tmp_path):
    return tmp_path


@pytest.fixture
def holder(base):
    """A process that works in a scratch folder of the base."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(base)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_folder_that_is_in_use_stays(base, holder):
    (held,) = base.iterdir()
    with Scratch(base) as own:
        assert {path.name for path in base.iterdir()} == {held.name, own.name}
        assert (held / "inner" / "file").read_text() == "x"
    assert list(base.iterdir()) == [held]
    holder.stdin.close()
    assert holder.wait() == 0
    assert list(base.iterdir()) == []


def test_a_folder_whose_owner_was_killed_goes_with_the_next_attempt(base, holder):
    (left,) = base.iterdir()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (left / "inner" / "file").exists()
    with Scratch(base) as own:
        assert list(base.iterdir()) == [own]


def test_what_is_not_known_to_be_ours_stays(base, tmp_path):
    (base / "drydock-without-lock").mkdir()
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".owner").touch()
    (base / "drydock-link").symlink_to(elsewhere)
    (base / "drydock-linked-lock").mkdir()
    (base / "drydock-linked-lock" / ".owner").symlink_to(elsewhere / ".owner")
    before = sorted(base.iterdir())
    with Scratch(base):
        pass
    assert sorted(base.iterdir()) == before
