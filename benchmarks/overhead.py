"""What the worker costs over the bare tool: one input of 1,000 ligands that take 50 ms each.

The tool is a stand-in that obeys vina's batch contract and takes 50 ms for each ligand, its files
included and to some microseconds: a thousand sleeps alone are off by as much as is looked for. It
runs bare over 1,000 files, and under the worker over one object in S3, which is the embedded AWS's
in a process beside. The two take turns, with their files in memory where there is /dev/shm; once
the tool is also started for each ligand, as peers' baselines are. Cutting the file, starting,
polling, packing and sending are all the worker's. Both find in memory what they read of the disk.
Whatever else a machine does adds to both, and never takes away: so the least of several turns is
shown beside the median. What the worker's own work keeps from the tool meanwhile is not in the
seconds, unless it makes a ligand's last 10 ms too short; it is in the CPU.

usage: python benchmarks/overhead.py [LIGANDS] [REPEATS]      (1,000 and 3 by default)
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from _measure import table
from _shard import ROOT, Shard, s3

from drydock.store import Store

LIGAND = ROOT / "examples" / "vina" / "ligands" / "caffeine.pdbqt"
LIGAND_S = 0.05
OPTIONS = {"center": [0, 0, 0], "size": [10, 10, 10]}
TOOL = """#!{python} -SE
import sys, time
words = sys.argv[1:]
out, ligands = words[words.index("--dir") + 1], words[words.index("--batch") + 1 :]
print("Computing Vina grid ... done.", flush=True)
for name in ligands:
    until = time.perf_counter() + {ligand_s}
    time.sleep(0.8 * {ligand_s})
    with open(name) as ligand:
        pose = ligand.read()
    with open(out + "/" + name.removesuffix(".pdbqt") + "_out.pdbqt", "w") as poses:
        for model in range(1, 10):
            result = "REMARK VINA RESULT: %9.3f %9.3f %9.3f\\n" % (model / 4 - 9, 0, 0)
            poses.write("MODEL %d\\n%s" % (model, result))
            poses.write(pose + "ENDMDL\\n")
    while time.perf_counter() < until:
        pass
"""


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, seconds of CPU with all children, and the peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


# A small process starts the command: a large one's memory would count for the command's.
LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.fork()
if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, used = os.wait4(child, 0)
wall = time.perf_counter() - began
print(json.dumps([status, wall, used.ru_utime + used.ru_stime, used.ru_maxrss]))
"""


def spend(command: list[str], folder: Path, environment: dict[str, str]) -> Spent:
    """Run a command that must end with 0."""
    launched = [sys.executable, "-SEc", LAUNCHER, *command]
    answer = subprocess.run(
        launched, cwd=folder, env=environment, stdout=subprocess.PIPE, check=True
    )
    status, wall_s, cpu_s, peak = json.loads(answer.stdout)
    if status:
        raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(wall_s, cpu_s, peak * unit / 2**20)


class Bench:
    """Both ways to have the same ligands docked."""

    def __init__(self, folder: Path, ligands: int, store: Store) -> None:
        self.folder = folder
        self.ligands = ligands
        self.store = store
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        tool = self.bin / "vina"
        tool.write_text(TOOL.format(python=sys.executable, ligand_s=LIGAND_S))
        tool.chmod(0o755)
        self.text = LIGAND.read_bytes()
        self.body = b"".join(
            b"MODEL %d\nREMARK  Name = L%06d\n" % (number, number) + self.text + b"ENDMDL\n"
            for number in range(ligands)
        )

    def bare(self) -> Spent:
        """The tool alone, over files that are there already."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            work = Path(name)
            (work / "out").mkdir()
            names = [f"{number}.pdbqt" for number in range(self.ligands)]
            for each in names:
                (work / each).write_bytes(self.text)
            command = [str(self.bin / "vina"), "--dir", "out", "--batch", *names]
            return spend(command, work, dict(os.environ))

    def started_each(self) -> Spent:
        """The tool alone, started for each ligand as most scripts do."""
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            work = Path(name)
            (work / "out").mkdir()
            for number in range(self.ligands):
                (work / f"{number}.pdbqt").write_bytes(self.text)
            loop = 'for each in *.pdbqt; do "$0" --dir out --batch "$each"; done'
            command = ["/bin/sh", "-c", loop, str(self.bin / "vina")]
            return spend(command, work, dict(os.environ))

    def worker(self, prefix: str) -> Spent:
        """The worker over one input of a run."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        receptor = {"receptor": ("receptor.pdbqt", b"ATOM\n" * 40_000)}
        given = ("ligands.pdbqt", self.body)
        shard = Shard(self.store, prefix, "vina", OPTIONS, given, receptor)
        environment = shard.environment(scratch, path=self.bin)
        spent = spend([sys.executable, "-m", "worker"], scratch, environment)
        if not any(key.endswith(".done") for key in shard.names("markers")):
            raise SystemExit("the worker ended with 0 and left no marker")
        return spent


def main() -> None:
    """Print the median and the least of both, and their ratios."""
    ligands = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder, s3() as store:
        bench = Bench(Path(folder), ligands, store)
        # Compiles what is not yet, and has files in memory that a system may give up meanwhile.
        first = Bench(Path(folder) / "first", 1, store)
        first.worker("first/")
        started = [bench.started_each()]
        bare, worker = [], []
        for number in range(repeats):
            first.bare()
            bare.append(bench.bare())
            first.worker(f"first-{number}/")
            worker.append(bench.worker(f"out-{number}/"))
    rows = []
    median = statistics.median(spent.wall_s for spent in bare)
    least = min(spent.wall_s for spent in bare)
    ways = (("bare tool", bare), ("bare tool, a start a ligand", started), ("worker", worker))
    for name, spents in ways:
        wall_s = statistics.median(spent.wall_s for spent in spents)
        least_s = min(spent.wall_s for spent in spents)
        figures = (
            *(f"{wall_s:.3f}", f"{wall_s / median:.4f}"),
            *(f"{least_s:.3f}", f"{least_s / least:.4f}"),
            f"{statistics.median(spent.cpu_s for spent in spents):.2f}",
            f"{max(spent.peak_mib for spent in spents):.1f}",
        )
        rows.append((f"{ligands:,}", name, *figures))
    table(("ligands", "", "s", "ratio", "least s", "ratio", "CPU s", "MiB"), rows)


if __name__ == "__main__":
    main()
