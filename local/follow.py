"""One execution seen from outside, as its owner sees it: in S3, Batch and Step Functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from drydock.detection import list_markers, run_keys
from drydock.documents import Documents
from drydock.errors import NotFound
from drydock.keys import ControlKeys, owner_claim, parse_job_name
from drydock.run_document import RunDocument
from drydock.shard_document import Round, ShardDocument, parse_shard_document
from drydock.store import Store
from drydock.tasks import parse_tasks

if TYPE_CHECKING:
    from mypy_boto3_batch import BatchClient
    from mypy_boto3_stepfunctions import SFNClient

_DESCRIBED_AT_A_TIME = 100
_ENDED = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True)
class Attempt:
    """One start of a container, and why it ended (Batch's words)."""

    machine: str
    reason: str
    exit_code: int | None


@dataclass(frozen=True)
class Child:
    """An array's child, or a plain job (index 0): what one container works through."""

    job_id: str
    shard: int
    round: int
    index: int
    status: str
    machine: str
    attempts: tuple[Attempt, ...]

    @property
    def interrupted(self) -> bool:
        """Whether an attempt ended without settling its inputs and another one was needed."""
        return any(attempt.exit_code != 0 for attempt in self.attempts)


@dataclass(frozen=True)
class Snapshot:
    """What is so now. ``inputs`` is None until the manifest is whole."""

    status: str
    inputs: int | None
    settled: int
    round: int
    children: tuple[Child, ...]

    @property
    def running(self) -> tuple[Child, ...]:
        """The children whose container runs."""
        return tuple(child for child in self.children if child.status == "RUNNING")

    @property
    def interrupted(self) -> int:
        """How many children had to be started again, in their array or in a later round."""
        return sum(1 for child in self.children if child.interrupted)

    @property
    def machines(self) -> frozenset[str]:
        """The machines on which something runs."""
        return frozenset(child.machine for child in self.running)


class Execution:
    """An execution of the state machine, and the run that it drives once it has one."""

    def __init__(
        self,
        *,
        store: Store,
        batch: BatchClient,
        states: SFNClient,
        control_bucket: str,
        arn: str,
    ) -> None:
        self.arn = arn
        self._store = store
        self._batch = batch
        self._states = states
        self._control = control_bucket
        self._run_id: str | None = None
        self._ended: dict[str, tuple[Child, ...]] = {}

    def describe(self) -> dict[str, Any]:
        """DescribeExecution's answer."""
        return dict(self._states.describe_execution(executionArn=self.arn))

    def run(self) -> RunDocument | None:
        """The run that this execution opened an epoch of; None before it did."""
        try:
            if self._run_id is None:
                claim = self._store.get(self._control, owner_claim(self.arn))
                self._run_id = str(json.loads(claim.body)["run_id"])
            return Documents(self._store, self._control).run(self._run_id).value
        except NotFound:
            return None

    def shard_sizes(self, run: RunDocument) -> dict[int, int] | None:
        """Inputs a shard, by its number; None before the manifest is whole."""
        try:
            found = self._store.get(run.output_bucket, run_keys(run).shards())
        except NotFound:
            return None
        return {item["shard"]: item["inputs"] for item in json.loads(found.body)}

    def shard(self, run: RunDocument, shard: int) -> ShardDocument | None:
        """The shard's control document, if it has one."""
        try:
            found = self._store.get(self._control, ControlKeys(run.run_id).shard_document(shard))
        except NotFound:
            return None
        return parse_shard_document(found.body)

    def rounds(self, run: RunDocument) -> list[tuple[int, Round]]:
        """Shard and round of everything that this execution's epoch submitted."""
        documents = [self.shard(run, shard) for shard in self.shard_sizes(run) or {}]
        return [
            (document.shard, each)
            for document in documents
            if document is not None
            for each in document.rounds
            if each.epoch == run.epoch
        ]

    def look(self) -> Snapshot:
        """Everything that the progress line shows."""
        status = str(self.describe()["status"])
        run = self.run()
        sizes = None if run is None else self.shard_sizes(run)
        if run is None or sizes is None:
            return Snapshot(status, None, 0, 0, ())
        settled = sum(
            len(list_markers(self._store, run, shard, inputs).speakers)
            for shard, inputs in sizes.items()
        )
        rounds = [each.number for _, each in self.rounds(run)]
        return Snapshot(
            status, sum(sizes.values()), settled, max(rounds, default=0), self.children(run)
        )

    def is_at_work(self, child: Child) -> bool:
        """Whether an input of a child has no marker yet: its container may run on for a moment
        when all have one.
        """
        run = self.run()
        if run is None:
            return False
        sizes = self.shard_sizes(run) or {}
        (found,) = (
            each
            for shard, each in self.rounds(run)
            if (shard, each.number) == (child.shard, child.round)
        )
        key = ControlKeys(run.run_id).round_tasks(child.shard, child.round, found.unique)
        tasks = parse_tasks(self._store.get(self._control, key).body)
        pack = int(run.current.request["inputs_per_job"])
        settled = list_markers(self._store, run, child.shard, sizes[child.shard]).speakers
        own = tasks[child.index * pack : (child.index + 1) * pack]
        return any(record.place not in settled for record in own)

    def children(self, run: RunDocument) -> tuple[Child, ...]:
        """What this execution's epoch submitted to Batch, child by child."""
        jobs = [each.job_id for _, each in self.rounds(run) if each.job_id is not None]
        found: list[Child] = []
        for parent in self._described(jobs):
            identity = parse_job_name(parent["jobName"])
            if identity is None:
                continue
            job_id = parent["jobId"]
            if job_id not in self._ended:
                children = tuple(
                    _child(detail, identity.shard, identity.round)
                    for detail in self._children_of(parent)
                )
                if parent["status"] in _ENDED:
                    self._ended[job_id] = children
                found.extend(children)
            else:
                found.extend(self._ended[job_id])
        return tuple(found)

    def _children_of(self, parent: dict[str, Any]) -> Iterator[dict[str, Any]]:
        size = parent.get("arrayProperties", {}).get("size")
        if size is None:
            yield parent
            return
        yield from self._described([f"{parent['jobId']}:{index}" for index in range(size)])

    def _described(self, jobs: list[str]) -> Iterator[dict[str, Any]]:
        for start in range(0, len(jobs), _DESCRIBED_AT_A_TIME):
            some = jobs[start : start + _DESCRIBED_AT_A_TIME]
            for detail in self._batch.describe_jobs(jobs=some)["jobs"]:
                yield dict(detail)


def _child(detail: dict[str, Any], shard: int, round_number: int) -> Child:
    container = detail.get("container", {})
    return Child(
        job_id=detail["jobId"],
        shard=shard,
        round=round_number,
        index=detail.get("arrayProperties", {}).get("index", 0),
        status=detail["status"],
        machine=_machine(container),
        attempts=tuple(
            Attempt(
                machine=_machine(attempt.get("container", {})),
                reason=attempt.get("statusReason", ""),
                exit_code=attempt.get("container", {}).get("exitCode"),
            )
            for attempt in detail.get("attempts", [])
        ),
    )


def _machine(container: dict[str, Any]) -> str:
    return str(container.get("containerInstanceArn", "")).rpartition("/")[2]
