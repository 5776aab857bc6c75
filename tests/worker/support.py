"""A shard in S3 as the functions would have made it, and ways to run a worker over it."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from drydock.keys import ControlKeys, RunKeys
from drydock.markers import parse_done, parse_failed, parse_marker_name
from drydock.parts import parse_part_record
from drydock.store import Store
from drydock.task_document import PinnedAsset, PinnedObject, TaskDocument
from drydock.tasks import Record, encode_tasks

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "vina"
CONTROL, DATA = "drydock-control", "drydock-data"
RUN_ID = "0123456789abcdef"
OPTIONS = {
    "center": [12.8, 95.1, 58.6],
    "size": [14, 14, 14],
    "exhaustiveness": 1,
    "seed": 1,
    "max_evals": 2000,
    "num_modes": 2,
}


@dataclass
class Shard:
    """One round of one shard. ``inputs`` are (key, body) pairs; None as a body: not there."""

    store: Store
    inputs: list[tuple[str, bytes | None]]
    options: dict = field(default_factory=lambda: dict(OPTIONS))
    receptor: bytes = b""
    prefix: str = "out/"
    inputs_per_job: int = 1
    checkpoint_seconds: int = 0
    attempt_seconds: int = 3600
    tool: str = "vina"
    epoch: int = 1
    vcpus: int = 1
    gpus: int = 0
    variables: tuple = ()
    dockfiles: PinnedAsset | None = None
    more_assets: dict = field(default_factory=dict)

    def __post_init__(self):
        self.keys = RunKeys(RUN_ID, self.prefix)
        self.records = []
        for place, (key, body) in enumerate(self.inputs):
            etag = self.store.put(DATA, key, body) if body is not None else "0" * 32
            self.records.append(Record(place, place, f"s3://{DATA}/{key}", etag, len(body or b"")))
        receptor = self.receptor or (EXAMPLE / "receptor.pdbqt").read_bytes()
        etag = self.store.put(DATA, "assets/receptor.pdbqt", receptor)
        pinned = PinnedObject(f"s3://{DATA}/assets/receptor.pdbqt", etag, len(receptor))
        self.asset = PinnedAsset(pinned.uri, (pinned,))
        self.write_round()

    def write_round(self):
        """Put the task list and the task document."""
        control = ControlKeys(RUN_ID)
        tasks_key = control.round_tasks(0, 0, "a")
        self.store.put(CONTROL, tasks_key, encode_tasks(self.records))
        document = TaskDocument(
            run_id=RUN_ID,
            shard=0,
            epoch=self.epoch,
            owner="arn:aws:states:us-east-1:123456789012:execution:drydock:one",
            round=0,
            tool=self.tool,
            options=self.options,
            assets={"receptor": self.asset} | self.more_assets,
            dockfiles=self.dockfiles,
            output_bucket=DATA,
            output_prefix=self.prefix,
            tasks_bucket=CONTROL,
            tasks_key=tasks_key,
            run_document_key=control.run_document(),
            inputs_per_job=self.inputs_per_job,
            size=len(self.records),
            vcpus=self.vcpus,
            gpus=self.gpus,
            attempt_seconds=self.attempt_seconds,
            checkpoint_seconds=self.checkpoint_seconds,
            kms_key_id=None,
            variables=self.variables,
        )
        self.document_key = control.round_document(0, 0, "a")
        self.store.put(CONTROL, self.document_key, document.to_json())

    def environment(self, scratch, child=0, attempt=1, **extra):
        """The environment of one child, as Batch would set it."""
        return {
            "S3_TASK_LOCATION": f"s3://{CONTROL}/{self.document_key}",
            "AWS_BATCH_JOB_ARRAY_INDEX": str(child),
            "AWS_BATCH_JOB_ID": f"job:{child}",
            "AWS_BATCH_JOB_ATTEMPT": str(attempt),
            "SHRTCACHE": str(scratch),
            "AWS_EC2_METADATA_DISABLED": "true",
            **extra,
        }

    def names(self, folder):
        """The names of the objects below a folder."""
        return [found.key.removeprefix(folder) for found in self.store.list(DATA, folder)]

    def markers(self):
        return self.names(self.keys.markers_folder(0))

    def marker(self, name):
        body = self.store.get(DATA, self.keys.markers_folder(0) + name).body
        parsed = parse_marker_name(name)
        return parse_done(body, parsed) if parsed.kind == "done" else parse_failed(body, parsed)

    def part_records(self):
        folder = self.keys.parts_folder(0)
        return [
            parse_part_record(self.store.get(DATA, folder + name).body)
            for name in self.names(folder)
            if name.endswith(".json")
        ]

    def rows(self):
        """The rows of all done inputs along their chains of parts."""
        rows = []
        for name in self.markers():
            if not name.endswith(".done"):
                continue
            for summary in self.marker(name):
                rows += [row for part in summary.chain for row in self.rows_of(part)]
        return sorted(rows, key=lambda row: (row["index"], row["ligand"]))

    def rows_of(self, part):
        scores = next(output for output in part.outputs if output.name == "scores")
        body = self.store.get(DATA, scores.key, etag=scores.etag).body
        assert len(body) == scores.size
        return [json.loads(line) for line in gzip.decompress(body).splitlines()]

    def results(self):
        """What a run must come to, however it was interrupted: rows without where they lie."""
        where = ("poses", "first_byte", "length")
        return [{k: v for k, v in row.items() if k not in where} for row in self.rows()]


def ligand(name):
    """One of the example's small ligands."""
    return (ROOT / "examples" / "vina" / "ligands" / f"{name}.pdbqt").read_bytes()


def bundle(*texts):
    """Ligands in MODEL/ENDMDL blocks."""
    return b"".join(
        b"MODEL %d\n" % (number + 1) + text + b"ENDMDL\n" for number, text in enumerate(texts)
    )


def start_worker(shard, scratch, endpoint, child=0, attempt=1, before=(), **extra):
    """The worker as a process of its own."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("DRYDOCK_")
    }
    environment |= shard.environment(scratch, child, attempt, **extra)
    environment |= {
        "AWS_ENDPOINT_URL": endpoint,
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
    }
    return subprocess.Popen(
        [sys.executable, *(before or ("-m", "worker"))],
        env=environment,
        cwd=scratch,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, seconds=120):
    """Exit code, events and stderr of a worker."""
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        raise
    events = [json.loads(line) for line in stdout.splitlines()]
    return process.returncode, events, stderr


def until(met, seconds=60):
    """Wait for something that happens soon."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def first_ligand_is_finished(base):
    """Wait until a worker has finished one of an input's ligands."""
    rows = "drydock-*/*/part-1/rows.jsonl"
    return until(lambda: any(path.stat().st_size for path in base.glob(rows)))
