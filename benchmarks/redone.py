"""Ligands that are docked again after an input of 1,000 was stopped or killed at two thirds.

The tool is a stand-in that obeys vina's batch contract, takes 10 ms a ligand and notes each one
that it finishes. The baseline runs it over the same ligands, packs all poses and sends them at the
end, as peers do. Each is stopped once, at two thirds, and started again until it is done.

usage: python benchmarks/redone.py [LIGANDS]      (1,000 by default)
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from _figures import Figure, ratio
from _measure import table
from _shard import DATA, Shard, s3
from overhead import LIGAND, OPTIONS, TOOL

from drydock.store import Store

PERIOD_S = 1
LIGAND_S = 0.01
_BEGINS = "    with open(name) as ligand:\n"
NOTED = """    with open("{log}", "a") as log:
        log.write(name + "\\n")
"""
# What a peer's container does: dock all, pack all, send it.
PEER = """
import boto3, os, subprocess, sys, tarfile
tool, ligand, many, key = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
os.mkdir("out")
for number in range(many):
    os.link(ligand, f"{number}.pdbqt")
names = [f"{number}.pdbqt" for number in range(many)]
subprocess.run([tool, "--dir", "out", "--batch", *names], check=True)
with tarfile.open("all.tar.gz", "w:gz", compresslevel=1) as packed:
    packed.add("out")
boto3.client("s3").upload_file("all.tar.gz", "data", key)
"""


class Log:
    """What the tool notes."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log"
        self.path.write_text("")
        self.bin = folder / "bin"
        self.bin.mkdir()
        text = TOOL.format(python=sys.executable, ligand_s=LIGAND_S)
        noting = NOTED.format(log=self.path)
        tool = self.bin / "vina"
        tool.write_text(text.replace(_BEGINS, noting + _BEGINS))
        tool.chmod(0o755)
        # The worker gives its tool a user of its own.
        self.path.chmod(0o666)
        folder.chmod(0o755)

    def count(self) -> int:
        """Ligands that were docked so far, however often."""
        return len(self.path.read_text().splitlines())


def interrupted(start: Callable[[], subprocess.Popen], log: Log, how: int, at: int) -> int:
    """Start it, stop it once behind ``at`` ligands, let it finish; the ligands docked in all."""
    process = start()
    while log.count() < at:
        if process.poll() is not None:
            raise SystemExit(f"it ended with {process.returncode} before it was stopped")
        time.sleep(0.005)
    if how == signal.SIGKILL:
        # As when a machine goes: all of it at once.
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    process.wait()
    again = start()
    if again.wait():
        raise SystemExit(f"the second start ended with {again.returncode}")
    return log.count()


def of_worker(store: Store, ligands: int, how: int, checkpoint_seconds: int) -> int:
    """Ligands that the worker docked more than once."""
    text = LIGAND.read_bytes()
    body = b"".join(
        b"MODEL %d\nREMARK  Name = L%06d\n" % (number, number) + text + b"ENDMDL\n"
        for number in range(ligands)
    )
    prefix = f"ours-{how}-{checkpoint_seconds}/"
    with tempfile.TemporaryDirectory() as name:
        log = Log(Path(name))
        shard = Shard(
            store,
            prefix,
            "vina",
            OPTIONS,
            ("ligands.pdbqt", body),
            {"receptor": ("receptor.pdbqt", b"ATOM\n")},
            checkpoint_seconds=checkpoint_seconds,
        )

        def start() -> subprocess.Popen:
            scratch = tempfile.mkdtemp(dir=name)
            environment = shard.environment(Path(scratch), path=log.bin)
            return _start(["-m", "worker"], scratch, environment)

        docked = interrupted(start, log, how, ligands * 2 // 3)
        if not any(key.endswith(".done") for key in shard.names("markers")):
            raise SystemExit("the worker ended with 0 and left no marker")
    return docked - ligands


def of_peer(ligands: int, how: int) -> int:
    """Ligands that are docked more than once where all is sent at the end."""
    with tempfile.TemporaryDirectory() as name:
        log = Log(Path(name))

        def start() -> subprocess.Popen:
            folder = tempfile.mkdtemp(dir=name)
            given = [str(log.bin / "vina"), str(LIGAND), str(ligands), f"peer-{how}.tar.gz"]
            return _start(["-c", PEER, *given], folder, dict(os.environ))

        return interrupted(start, log, how, ligands * 2 // 3) - ligands


def _start(words: list[str], folder: str, environment: dict[str, str]) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def main() -> None:
    """Print a line a way of stopping."""
    ligands = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with s3() as store:
        peer = of_peer(ligands, signal.SIGKILL)
        noticed = of_worker(store, ligands, signal.SIGTERM, 0)
        saved = of_worker(store, ligands, signal.SIGKILL, PERIOD_S)
        never = of_worker(store, ligands, signal.SIGKILL, 0)
    at = f"at {ligands * 2 // 3} of {ligands:,}"
    rows = [
        ("sends all at the end", "SIGKILL", f"{peer}"),
        ("ours", "SIGTERM or a notice", f"{noticed}"),
        (f"ours, a checkpoint every {PERIOD_S} s", "SIGKILL", f"{saved}"),
        ("ours, no checkpoints", "SIGKILL", f"{never}"),
    ]
    table(("way", at, "ligands docked again"), rows)
    theirs = f"{peer} (all is sent at the end)"
    period = round(PERIOD_S / LIGAND_S)
    Figure(
        f"ligands docked again after a notice {at}",
        theirs,
        f"{noticed}",
        ratio(noticed, peer),
        "<= 1",
        noticed <= 1,
    ).tell()
    Figure(
        f"the same after SIGKILL, checkpoints every {PERIOD_S} s",
        theirs,
        f"{saved}",
        ratio(saved, peer),
        f"<= {period}, a period's",
        saved <= period,
    ).tell()


if __name__ == "__main__":
    assert DATA == "data"
    main()
