"""`python -m local run` from outside: what it prints, its exit codes, what it leaves behind."""

import json
import re
import signal
import subprocess
import sys

import psutil
import pytest

from tests.embedded.run_support import QUICK, RECEPTOR, ROOT, bundle, until

LIGANDS = ("aspirin", "caffeine", "ibuprofen", "paracetamol") * 3


@pytest.fixture
def sample(tmp_path):
    """A request with its inputs beside it, as a user would have them."""
    folder = tmp_path / "sample"
    (folder / "inputs").mkdir(parents=True)
    (folder / "receptor.pdbqt").write_bytes(RECEPTOR.read_bytes())
    for number, ligand in enumerate(LIGANDS):
        (folder / "inputs" / f"{number}.pdbqt").write_bytes(bundle(ligand))
    request = {
        "name": "sample",
        "input": "s3://drydock-data/sample/in/",
        "output": "s3://drydock-data/sample/out/",
        "tool": "vina",
        "options": QUICK,
        "assets": {"receptor": "s3://drydock-data/sample/receptor.pdbqt"},
        "stop_after_usd": 1000,
    }
    (folder / "run.json").write_text(json.dumps(request))
    return folder / "run.json"


class Command:
    """The command as a process; ``lines`` is what it has printed so far."""

    def __init__(self, request, directory, *options):
        self.lines = []
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "local", "run"),
                *("--request", request, "--directory", directory, *options),
            ],
            cwd=ROOT,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, pattern):
        """Read on until a line matches."""
        for line in self._process.stdout:
            self.lines.append(line)
            if re.search(pattern, line):
                return
        raise AssertionError(f"{pattern} was never printed:\n{self.text}")

    def end(self):
        """Read the rest; return the exit code."""
        self.lines.extend(self._process.stdout)
        return self._process.wait()

    def stop(self, number):
        """Send a signal; return the exit code once no process of the command is left."""
        family = [self._process.pid, *self._descendants()]
        assert len(family) > 2
        self._process.send_signal(number)
        code = self.end()
        until(lambda: not any(map(_lives, family)), "the end of its processes")
        return code

    @property
    def text(self):
        return "".join(self.lines)

    def _descendants(self):
        return [child.pid for child in psutil.Process(self._process.pid).children(recursive=True)]


def _lives(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_run_goes_on_after_a_crash_and_after_ctrl_c_and_does_nothing_when_done(sample, tmp_path):
    directory = tmp_path / "aws"

    crashed = Command(sample, directory, "--no-reclaim")
    crashed.read_until(r"[1-9]\d* of 12 settled, \d running")
    assert crashed.stop(signal.SIGKILL) == -signal.SIGKILL

    interrupted = Command(sample, directory, "--no-reclaim")
    interrupted.read_until(r"\d+ of 12 settled, 2 running")
    assert interrupted.stop(signal.SIGINT) == 130
    assert "\n0 of 12 settled" not in interrupted.text
    assert "goes on where it stopped" in interrupted.text

    finished = Command(sample, directory)
    assert finished.end() == 0, finished.text
    assert "stop_after_usd: 1000 USD are looked at every 5 minutes" in finished.text
    assert "12 of 12 inputs settled: 12 done, 0 failed, 0 skipped, 0 remaining" in finished.text
    assert re.search(
        r"runs \S+/drydock/worker@sha256:[0-9a-f]{64} \(worker:current\)", finished.text
    )

    again = Command(sample, directory)
    assert again.end() == 0, again.text
    assert "nothing was submitted" in again.text
    assert " running" not in again.text.replace(" 0 running", "")
    assert len(list((directory / "history").glob("*.json"))) == 2


def test_a_refused_request_is_told_and_exits_2(sample, tmp_path):
    sample.write_text(sample.read_text().replace('"vina"', '"abacus"'))
    command = Command(sample, tmp_path / "aws")
    assert command.end() == 2
    assert "tool" in command.text
    assert "'abacus'" in command.text


def test_no_such_request_exits_3(tmp_path):
    command = Command(tmp_path / "absent.json", tmp_path / "aws")
    assert command.end() == 3
    assert "absent.json is no file" in command.text
