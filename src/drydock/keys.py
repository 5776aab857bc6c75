"""Where everything lies in S3: the only place that knows the layout.

Two roots: the stack's control bucket (:class:`ControlKeys`) and the user's output prefix
(:class:`RunKeys`). Every method returns a key, never a URI.
"""

import hashlib
import re
from typing import NamedTuple

INTAKE_REJECTED_SUFFIX = ".rejected.json"

_JOB_NAME = re.compile(r"drydock-([0-9a-f]{16})-([0-9]{6,})-([0-9]+)")


def job_name(run_id: str, shard: int, round_number: int) -> str:
    """The deterministic name of a round's job: whoever knows the round can find the job."""
    return f"drydock-{run_id}-{shard:06d}-{round_number}"


class JobIdentity(NamedTuple):
    """What a job's name says."""

    run_id: str
    shard: int
    round: int


def parse_job_name(name: str) -> JobIdentity | None:
    """Read a job's name; None for a job that is not ours."""
    match = _JOB_NAME.fullmatch(name)
    if match is None:
        return None
    return JobIdentity(match[1], int(match[2]), int(match[3]))


class ControlKeys(NamedTuple):
    """Keys of one run in the control bucket."""

    run_id: str

    @property
    def root(self) -> str:
        """Everything of the run's control."""
        return f"runs/{self.run_id}/"

    def run_document(self) -> str:
        """Who owns the run, in which epoch, and its stop."""
        return f"{self.root}run.json"

    def assets(self) -> str:
        """Key and ETag of everything that the run rests on."""
        return f"{self.root}assets.json"

    def begun_shard(self, shard: int) -> str:
        """The slices of a shard that enumeration has cut so far."""
        return f"{self.root}manifest/{shard:06d}.begun"

    def told(self, epoch: int, what: str) -> str:
        """That people were told of something, once an epoch."""
        return f"{self.root}told/{epoch}-{what}"

    def shard_document(self, shard: int) -> str:
        """The shard's rounds and how it ended."""
        return f"{self.root}shards/{shard:06d}.json"

    def spend(self) -> str:
        """What the run has spent, shard by shard."""
        return f"{self.root}spend.json"

    def round_tasks(self, shard: int, round_number: int, unique: str) -> str:
        """A round's task list."""
        return f"{self.root}rounds/{shard:06d}/{round_number}-{unique}.tasks"

    def round_document(self, shard: int, round_number: int, unique: str) -> str:
        """What a round's children share."""
        return f"{self.root}rounds/{shard:06d}/{round_number}-{unique}.json"

    def frozen(self, shard: int, unique: str) -> str:
        """A frozen outcome."""
        return f"{self.root}frozen/{shard:06d}-{unique}"

    def tokens_folder(self, shard: int) -> str:
        """The waiting task tokens of a shard."""
        return f"tokens/{self.run_id}/{shard:06d}/"

    def token(self, shard: int, task_token: str) -> str:
        """One waiting task token."""
        digest = hashlib.sha256(task_token.encode()).hexdigest()
        return f"{self.tokens_folder(shard)}{digest}"


def start_claim(bucket: str, key: str, sequencer: str) -> str:
    """The claim of one upload: the same event delivered twice names the same claim."""
    digest = hashlib.sha256(f"{bucket}\n{key}\n{sequencer}".encode()).hexdigest()
    return f"starts/{digest}"


class RunKeys(NamedTuple):
    """Keys of one run below its output prefix (which is empty or ends in a slash)."""

    run_id: str
    prefix: str

    def run_card(self) -> str:
        """Says which run lives here; put once."""
        return f"{self.prefix}run.json"

    def manifest_folder(self) -> str:
        """Everything of the manifest."""
        return f"{self.prefix}manifest/"

    def manifest_tasks(self, shard: int) -> str:
        """A shard: its task list, put once."""
        return f"{self.manifest_folder()}{shard:06d}.tasks"

    def manifest_list(self, shard: int) -> str:
        """The same shard as a DOCK 3.8 list."""
        return f"{self.manifest_folder()}{shard:06d}.txt"

    def manifest_slices(self, shard: int) -> str:
        """The same shard as a table, when its inputs are slices."""
        return f"{self.manifest_folder()}{shard:06d}.tsv"

    def shards(self) -> str:
        """The Map's items; the last object that enumeration writes."""
        return f"{self.manifest_folder()}shards.json"

    def pilot_items(self) -> str:
        """The Map's items before the others: the pilot's shard alone."""
        return f"{self.manifest_folder()}pilot.json"

    def shard_folder(self, shard: int) -> str:
        """What tools wrote for a shard's inputs."""
        return f"{self.prefix}shards/{shard:06d}/"

    def input_folder(self, shard: int, place: int) -> str:
        """What a tool wrote for one input, part by part."""
        return f"{self.shard_folder(shard)}{place}/"

    def markers_folder(self, shard: int) -> str:
        """A shard's markers."""
        return f"{self.prefix}markers/{self.run_id}/{shard:06d}/"

    def done_marker(self, shard: int, first: int, last: int) -> str:
        """A contiguous range of places that one attempt did itself."""
        return f"{self.markers_folder(shard)}{first:05d}-{last:05d}.done"

    def failed_marker(self, shard: int, place: int, epoch: int, failure_class: str) -> str:
        """An input that is settled as failed."""
        return f"{self.markers_folder(shard)}{place:05d}.{epoch}.{failure_class}.failed"

    def skipped_marker(self, shard: int, place: int) -> str:
        """An input that repeats another."""
        return f"{self.markers_folder(shard)}{place:05d}.skipped"

    def parts_folder(self, shard: int) -> str:
        """A shard's part records."""
        return f"{self.prefix}parts/{self.run_id}/{shard:06d}/"

    def part_record(self, shard: int, place: int, part: int) -> str:
        """What an unfinished part left."""
        return f"{self.parts_folder(shard)}{place:05d}.{part}.json"

    def misconfigured(self, shard: int, round_number: int) -> str:
        """A worker's sentence on why nothing in this run can work; the first one wins."""
        return f"{self.parts_folder(shard)}misconfigured.{round_number}.txt"

    def results_folder(self) -> str:
        """What a scientist opens."""
        return f"{self.prefix}results/"

    def shard_results_folder(self, shard: int) -> str:
        """What AggregateShard made of one shard, for MergeResults."""
        return f"{self.results_folder()}shards/{shard:06d}/"

    def shard_accounts(self, shard: int) -> str:
        """A shard's accounts, as AggregateShard wrote them last."""
        return f"{self.shard_results_folder(shard)}accounts.json"

    def result(self, name: str) -> str:
        """One file of the results."""
        return f"{self.results_folder()}{name}"


def parse_part_record_name(name: str) -> tuple[int, int] | None:
    """Place and part of a part record's name (``00042.3.json``); None for anything else."""
    match = re.fullmatch(r"([0-9]{5})\.(0|[1-9][0-9]*)\.json", name)
    return (int(match[1]), int(match[2])) if match else None


def owner_claim(execution_arn: str) -> str:
    """Which run an execution owns, for whoever hears that the execution ended."""
    return f"owners/{hashlib.sha256(execution_arn.encode()).hexdigest()}"
