"""What a person reads at the end: the best molecules, what was interrupted, and the accounting."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from drydock.detection import run_keys
from drydock.errors import NotFound
from drydock.keys import ControlKeys
from drydock.markers import InputSummary, parse_done, parse_marker_name
from drydock.plain import plain
from drydock.run_document import RunDocument
from drydock.store import Store
from drydock.tasks import Record, parse_tasks
from local.follow import Child, Execution

BEST_SHOWN = 10
FAILURES_SHOWN = 10
INTERRUPTIONS_SHOWN = 10


@dataclass(frozen=True)
class Account:
    """The run's own account beside what the manifest says."""

    manifest: int
    fields: Mapping[str, Any]

    def adds_up(self) -> bool:
        """Whether every input of the manifest is in exactly one column, and none remains."""
        columns = [int(self.fields[name]) for name in ("done", "failed", "skipped", "remaining")]
        inputs = int(self.fields["inputs"])
        return columns[-1] == 0 and sum(columns) == inputs == self.manifest

    def in_words(self) -> str:
        """The accounting line."""
        read = self.fields
        settled = read["inputs"] - read["remaining"]
        molecules, lost = read["molecules"], read["failed_molecules"]
        # What knows no molecules has none to tell of.
        told = f"{molecules} of {molecules + lost} molecules, " if molecules or lost else ""
        return (
            f"{told}{settled} of {read['inputs']} inputs settled: {read['done']} done, "
            f"{read['failed']} failed, {read['skipped']} skipped, {read['remaining']} remaining"
        )


class Report:
    """Prints what became of one run."""

    def __init__(
        self, *, console: Console, store: Store, control_bucket: str, run: RunDocument
    ) -> None:
        self._console = console
        self._store = store
        self._control = control_bucket
        self._run = run
        self._keys = run_keys(run)
        self._uniques: dict[tuple[int, int], str] = {}

    def account(self, manifest: int) -> Account | None:
        """The accounting that MergeResults wrote; None when there is none."""
        body = self._result("accounting.json")
        return None if body is None else Account(manifest, json.loads(body))

    def best(self) -> None:
        """The best molecules with their scores."""
        body = self._result("top.csv")
        rows = list(csv.DictReader(io.StringIO(body.decode()))) if body else []
        if not rows:
            return
        table = Table(box=None, pad_edge=False)
        table.add_column("", justify="right")
        table.add_column("molecule")
        table.add_column("score", justify="right")
        table.add_column("input")
        for rank, row in enumerate(rows[:BEST_SHOWN], 1):
            name = row.get("input", "").rpartition("/")[2]
            score = f"{float(row['score']):.3f}"
            table.add_row(str(rank), Text(plain(row["id"])), score, Text(plain(name)))
        self._console.print(
            f"The best {min(BEST_SHOWN, len(rows))} of {len(rows)} molecules (kcal/mol):"
        )
        self._console.print(table)

    def interruptions(
        self, execution: Execution, children: Iterable[Child], reclaimed: Collection[str]
    ) -> None:
        """What was interrupted, and by which path it was submitted again."""
        interrupted = [child for child in children if child.interrupted]
        rounds = execution.rounds(self._run)
        self._uniques = {(shard, each.number): each.unique for shard, each in rounds}
        first = {shard: each.number for shard, each in reversed(rounds)}
        again = [(shard, each) for shard, each in rounds if each.number > first[shard]]
        if not interrupted and not again:
            self._say("Nothing was interrupted.")
            return
        for child in interrupted[:INTERRUPTIONS_SHOWN]:
            self._say(f"Interrupted: {self._name(child)}")
            for number, attempt in enumerate(child.attempts, 1):
                if attempt.exit_code != 0:
                    machine = attempt.machine + " (reclaimed)" * (attempt.machine in reclaimed)
                    ended = "" if attempt.exit_code is None else f", exit code {attempt.exit_code}"
                    self._say(f"  attempt {number} on {machine}: {attempt.reason}{ended}")
            self._say(f"  {self._path(child)}")
        more = len(interrupted) - INTERRUPTIONS_SHOWN
        if more > 0:
            self._say(f"  … and {more} more")
        for shard, each in again:
            self._say(
                f"Resubmitted as round {each.number} of shard {shard}: the {each.size} inputs that "
                f"remained, when EventBridge told that the job of the round before had ended"
            )

    def failures(self) -> None:
        """What settled as failed, with class and reason."""
        body = self._result("failures.csv")
        rows = list(csv.DictReader(io.StringIO(body.decode()))) if body else []
        for row in rows[:FAILURES_SHOWN]:
            told = ", ".join(f"{name} {value}" for name, value in row.items() if value)
            self._say(f"Failed: {told}")
        for name in sorted({row["class"] for row in rows}):
            self._say(f"What to do: docs/failures.md#{name}")
        if len(rows) > FAILURES_SHOWN:
            self._say(f"… and {len(rows) - FAILURES_SHOWN} more in failures.csv")

    def _path(self, child: Child) -> str:
        if child.status == "SUCCEEDED":
            starts = len(child.attempts)
            return (
                f"resubmitted by Batch in the same array (retry): settled by attempt {starts}"
                + (self._continued(child))
            )
        return f"not settled in round {child.round}: left to the next round"

    def _continued(self, child: Child) -> str:
        """Says so when the input was not begun anew but continued after an earlier part."""
        for record in self._records(child):
            folder = self._keys.markers_folder(child.shard)
            for found in self._store.list(self._run.output_bucket, folder):
                name = parse_marker_name(found.key[len(folder) :])
                if (
                    name is None
                    or name.kind != "done"
                    or not name.first <= record.place <= name.last
                ):
                    continue
                body = self._store.get(self._run.output_bucket, found.key).body
                for summary in parse_done(body, name):
                    if summary.place == record.place and len(summary.chain) > 1:
                        return f", which went on after {self._last_kept(summary)}"
        return ""

    def _last_kept(self, summary: InputSummary) -> str:
        return "the last finished molecule" if summary.molecules else "its last checkpoint"

    def _name(self, child: Child) -> str:
        inputs = ", ".join(record.uri.rpartition("/")[2] for record in self._records(child)) or "?"
        return f"{inputs} (shard {child.shard}, round {child.round}, child {child.index})"

    def _records(self, child: Child) -> list[Record]:
        """The inputs that a child was given."""
        unique = self._uniques[child.shard, child.round]
        key = ControlKeys(self._run.run_id).round_tasks(child.shard, child.round, unique)
        records = parse_tasks(self._store.get(self._control, key).body)
        pack = self._run.current.request["inputs_per_job"]
        return records[child.index * pack : (child.index + 1) * pack]

    def _result(self, name: str) -> bytes | None:
        try:
            key = f"{self._run.output_prefix}results/{name}"
            return self._store.get(self._run.output_bucket, key).body
        except NotFound:
            return None

    def _say(self, text: str) -> None:
        self._console.print(plain(text), highlight=False, markup=False, soft_wrap=True)
