"""A whole stack on the embedded AWS for tests: upload requests, follow what they start."""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drydock.errors import NotFound
from drydock.markers import InputSummary, parse_done, parse_marker_name
from drydock.store import Store
from local.deploy import EMBEDDED_PARAMETERS, STACK_IMAGE, deploy
from local.embedded import EmbeddedAws
from local.follow import Child, Execution, Snapshot

ROOT = Path(__file__).parents[2]
LIGANDS = ROOT / "examples" / "vina" / "ligands"
RECEPTOR = ROOT / "examples" / "vina" / "receptor.pdbqt"
LIMIT_S = 240.0

# A small box and few evaluations: what is tested is not Vina.
QUICK = {
    "center": [12.8, 95.1, 58.6],
    "size": [8, 8, 8],
    "exhaustiveness": 1,
    "max_evals": 500,
    "num_modes": 1,
}


@dataclass(frozen=True)
class Outcome:
    """How an execution ended, and what it left."""

    execution: Execution
    described: dict[str, Any]
    snapshot: Snapshot
    accounts: dict[str, Any] | None
    top: list[dict[str, str]]
    failures: list[dict[str, str]]

    @property
    def status(self) -> str:
        """The execution's status."""
        return self.described["status"]

    @property
    def children(self) -> tuple[Child, ...]:
        """Everything that this epoch submitted."""
        return self.snapshot.children

    def counts(self) -> tuple[int, int, int, int]:
        """Done, failed, skipped, remaining."""
        assert self.accounts is not None
        return tuple(self.accounts[name] for name in ("done", "failed", "skipped", "remaining"))


class World:
    """The stack of template.yaml, with a receptor in its data bucket."""

    def __init__(self, aws: EmbeddedAws, **parameters: str) -> None:
        self.aws = aws
        # A lost event must fail a test here, not be made good by the reconciliation.
        self.parameters = {**EMBEDDED_PARAMETERS, "ReconcileSeconds": "900", **parameters}
        self.stack = deploy(aws, ROOT / "template.yaml", self.parameters)
        self.store = Store(aws.client("s3"), None)
        self.states = aws.client("stepfunctions")
        self.batch = aws.client("batch")
        self.data = self.stack.data_buckets[0]
        self.put("receptor.pdbqt", RECEPTOR.read_bytes())

    def put(self, key: str, body: bytes) -> str:
        """Put an object into the data bucket; return its URI."""
        self.store.put(self.data, key, body)
        return f"s3://{self.data}/{key}"

    def get(self, key: str) -> bytes | None:
        """An object of the data bucket, or None."""
        try:
            return self.store.get(self.data, key).body
        except NotFound:
            return None

    def put_ligands(self, name: str, **inputs: tuple[str, ...]) -> None:
        """Put inputs below `<name>/in/`: each of one or several ligands of the example."""
        for stem, ligands in inputs.items():
            self.put(f"{name}/in/{stem}.pdbqt", bundle(*ligands))

    def request(self, name: str, **fields: Any) -> dict[str, Any]:
        """A request over `<name>/in/`."""
        options = QUICK | fields.pop("options", {})
        return {
            "name": name,
            "input": f"s3://{self.data}/{name}/in/",
            "output": f"s3://{self.data}/{name}/out",
            "tool": "vina",
            "options": options,
            "assets": {"receptor": f"s3://{self.data}/receptor.pdbqt"},
        } | fields

    def upload(self, key: str, body: bytes | dict[str, Any]) -> Execution:
        """Upload to the intake bucket; return the execution that the upload starts."""
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        before = {found.arn for found in self.executions()}
        self.store.put(self.stack.intake_bucket, key, text)
        return until(
            lambda: next((e for e in self.executions() if e.arn not in before), None), "a start"
        )

    def executions(self) -> list[Execution]:
        """All executions, the newest first."""
        page = self.states.list_executions(stateMachineArn=self.stack.state_machine_arn)
        return [
            Execution(
                store=self.store,
                batch=self.batch,
                states=self.states,
                control_bucket=self.stack.control_bucket,
                arn=found["executionArn"],
            )
            for found in page["executions"]
        ]

    def finish(self, execution: Execution) -> Outcome:
        """Wait until an execution ends."""
        until(lambda: execution.describe()["status"] != "RUNNING", "the execution's end", 0.1)
        run = execution.run()
        results = "" if run is None else f"{run.output_prefix}results/"
        accounts = self.get(f"{results}accounting.json") if run else None
        return Outcome(
            execution,
            execution.describe(),
            execution.look(),
            None if accounts is None else json.loads(accounts),
            self._rows(f"{results}top.csv"),
            self._rows(f"{results}failures.csv"),
        )

    def do(self, name: str, **fields: Any) -> Outcome:
        """Upload a request and wait until its run ends."""
        return self.finish(self.upload(f"{name}.json", self.request(name, **fields)))

    def rejection(self, key: str) -> list[str]:
        """The problems beside a refused upload."""
        body = self.store.get(self.stack.intake_bucket, f"{key}.rejected.json").body
        return json.loads(body)["problems"]

    def running(self, execution: Execution, index: int) -> Child:
        """A child, once its container runs."""
        return self.child(execution, lambda c: c.index == index and c.status == "RUNNING")

    def child(self, execution: Execution, wanted: Callable[[Child], bool]) -> Child:
        """The first child that is as wanted, once there is one."""
        return until(
            lambda: next((c for c in execution.look().children if wanted(c)), None), "a child", 0.1
        )

    def kill(self, child: Child) -> None:
        """SIGKILL to a child's processes: no signal that it could heed, no notice."""
        self.aws.batch._scheduler.running[child.job_id].handle.kill()

    def part_records(self, execution: Execution) -> list[str]:
        """Keys of the parts that interrupted attempts left."""
        run = execution.run()
        prefix = f"{run.output_prefix}parts/"
        return [found.key for found in self.store.list(run.output_bucket, prefix)]

    def summaries(self, execution: Execution) -> dict[int, list[InputSummary]]:
        """What the done markers say, by index: more than one is a second opinion."""
        run = execution.run()
        found: dict[int, list[InputSummary]] = {}
        for listed in self.store.list(run.output_bucket, f"{run.output_prefix}markers/"):
            name = parse_marker_name(listed.key.rpartition("/")[2])
            if name is not None and name.kind == "done":
                body = self.store.get(run.output_bucket, listed.key).body
                for summary in parse_done(body, name):
                    found.setdefault(summary.index, []).append(summary)
        return found

    def _rows(self, key: str) -> list[dict[str, str]]:
        body = self.get(key)
        lines = body.decode().splitlines() if body else []
        return [dict(zip(lines[0].split(","), line.split(","), strict=False)) for line in lines[1:]]


@contextlib.contextmanager
def world(directory: Path) -> Iterator[World]:
    """A stack of its own."""
    with EmbeddedAws(directory, machines=2, vcpus=1, stack_image=STACK_IMAGE) as aws:
        yield World(aws)
    shutil.rmtree(directory, ignore_errors=True)


def bundle(*ligands: str) -> bytes:
    """A .pdbqt of one ligand, or of several as models."""
    texts = [
        b"REMARK  Name = %s\n" % name.encode() + (LIGANDS / f"{name}.pdbqt").read_bytes()
        for name in ligands
    ]
    if len(texts) == 1:
        return texts[0]
    return b"".join(
        b"MODEL %d\n%sENDMDL\n" % (number, text) for number, text in enumerate(texts, 1)
    )


def until(probe: Callable[[], Any], what: str, every_s: float = 0.05) -> Any:
    """What the probe says once it says something; a test that waits in vain fails."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(every_s)
    raise AssertionError(f"{what} never came")
