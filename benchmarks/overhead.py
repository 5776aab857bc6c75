"""What the worker costs over the bare tool: one input of 1,000 ligands that take 50 ms each.

The tool is a stand-in that obeys vina's batch contract and sleeps for each ligand; it runs bare
over 1,000 files, and under the worker over one object in S3, which is moto's in a process beside.
The two take turns. Cutting the file, starting, polling, packing and sending are all the worker's.

usage: python benchmarks/overhead.py [LIGANDS] [REPEATS]      (1,000 and 3 by default)
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
from _measure import table
from moto.server import ThreadedMotoServer

from drydock.keys import ControlKeys
from drydock.store import Store
from drydock.task_document import PinnedAsset, PinnedObject, TaskDocument
from drydock.tasks import Record, encode_tasks

ROOT = Path(__file__).resolve().parent.parent
CONTROL, DATA, RUN_ID = "control", "data", "0123456789abcdef"
LIGAND = ROOT / "examples" / "vina" / "ligands" / "caffeine.pdbqt"
OPTIONS = {"center": [0, 0, 0], "size": [10, 10, 10]}
ACCOUNT = {
    "AWS_ACCESS_KEY_ID": "benchmark",
    "AWS_SECRET_ACCESS_KEY": "benchmark",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
TOOL = """#!{python} -SE
import sys, time
words = sys.argv[1:]
out, ligands = words[words.index("--dir") + 1], words[words.index("--batch") + 1 :]
print("Computing Vina grid ... done.", flush=True)
for name in ligands:
    time.sleep(0.05)
    with open(name) as ligand:
        pose = ligand.read()
    with open(out + "/" + name.removesuffix(".pdbqt") + "_out.pdbqt", "w") as poses:
        for model in range(1, 10):
            result = "REMARK VINA RESULT: %9.3f %9.3f %9.3f\\n" % (model / 4 - 9, 0, 0)
            poses.write("MODEL %d\\n%s" % (model, result))
            poses.write(pose + "ENDMDL\\n")
"""


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, seconds of CPU with all children, and the peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def spend(command: list[str], folder: Path, environment: dict[str, str]) -> Spent:
    """Run a command that must end with 0."""
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    if status:
        raise SystemExit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Spent(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 2**20)


class Bench:
    """Both ways to have the same ligands docked."""

    def __init__(self, folder: Path, ligands: int, endpoint: str) -> None:
        self.folder = folder
        self.ligands = ligands
        self.endpoint = endpoint
        self.bin = folder / "bin"
        self.bin.mkdir()
        tool = self.bin / "vina"
        tool.write_text(TOOL.format(python=sys.executable))
        tool.chmod(0o755)
        self.text = LIGAND.read_bytes()
        client = boto3.client("s3", endpoint_url=endpoint)
        for bucket in (CONTROL, DATA):
            client.create_bucket(Bucket=bucket)
        self.store = Store(client)
        body = b"".join(
            b"MODEL %d\nREMARK  Name = L%06d\n" % (number, number) + self.text + b"ENDMDL\n"
            for number in range(ligands)
        )
        self.input = self._pin("in/ligands.pdbqt", body)
        self.receptor = self._pin("receptor.pdbqt", b"ATOM\n" * 40_000)

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

    def worker(self, prefix: str) -> Spent:
        """The worker over one input of a run."""
        scratch = self.folder / "scratch"
        scratch.mkdir(exist_ok=True)
        environment = os.environ | {
            "S3_TASK_LOCATION": f"s3://{CONTROL}/{self._round(prefix)}",
            "AWS_BATCH_JOB_ARRAY_INDEX": "0",
            "AWS_ENDPOINT_URL": self.endpoint,
            "SHRTCACHE": str(scratch),
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        }
        spent = spend([sys.executable, "-m", "worker"], scratch, environment)
        markers = [found.key for found in self.store.list(DATA, f"{prefix}markers/")]
        if not any(key.endswith(".done") for key in markers):
            raise SystemExit("the worker ended with 0 and left no marker")
        return spent

    def _pin(self, key: str, body: bytes) -> PinnedObject:
        return PinnedObject(f"s3://{DATA}/{key}", self.store.put(DATA, key, body), len(body))

    def _round(self, prefix: str) -> str:
        """Write what EnumerateInputs and SubmitShard would; returns the task document's key."""
        keys = ControlKeys(RUN_ID)
        tasks_key = keys.round_tasks(0, 0, "a")
        record = Record(0, 0, self.input.uri, self.input.etag, self.input.size)
        self.store.put(CONTROL, tasks_key, encode_tasks([record]))
        document = TaskDocument(
            run_id=RUN_ID,
            shard=0,
            epoch=1,
            owner="arn:aws:states:us-east-1:123456789012:execution:benchmark:one",
            round=0,
            tool="vina",
            options=OPTIONS,
            assets={"receptor": PinnedAsset(self.receptor.uri, (self.receptor,))},
            dockfiles=None,
            output_bucket=DATA,
            output_prefix=prefix,
            tasks_bucket=CONTROL,
            tasks_key=tasks_key,
            run_document_key=keys.run_document(),
            inputs_per_job=1,
            size=1,
            vcpus=1,
            gpus=0,
            attempt_seconds=3600,
            checkpoint_seconds=0,
            kms_key_id=None,
            variables=(),
        )
        key = keys.round_document(0, 0, "a")
        self.store.put(CONTROL, key, document.to_json())
        return key


def serve() -> None:
    """Be moto's S3; says its address in one line and ends with standard input."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()


@contextmanager
def s3() -> Iterator[str]:
    """S3 in a process of its own, so that its work is not counted."""
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield server.stdout.readline().strip()
    finally:
        server.stdin.close()
        server.wait()


def main() -> None:
    """Print medians of both and their ratio."""
    ligands = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    os.environ |= ACCOUNT
    with tempfile.TemporaryDirectory() as folder, s3() as endpoint:
        bench = Bench(Path(folder), ligands, endpoint)
        bare, worker = [], []
        for number in range(repeats):
            bare.append(bench.bare())
            worker.append(bench.worker(f"out-{number}/"))
    rows = []
    base = statistics.median(spent.wall_s for spent in bare)
    for name, all_spent in (("bare tool", bare), ("worker", worker)):
        wall_s = statistics.median(spent.wall_s for spent in all_spent)
        cpu_s = statistics.median(spent.cpu_s for spent in all_spent)
        peak = max(spent.peak_mib for spent in all_spent)
        figures = (f"{wall_s:.3f}", f"{wall_s / base:.4f}", f"{cpu_s:.2f}", f"{peak:.1f}")
        rows.append((f"{ligands:,}", name, *figures))
    table(("ligands", "", "s", "ratio", "CPU s", "MiB"), rows)


if __name__ == "__main__":
    if "--serve" in sys.argv:
        serve()
    else:
        main()
