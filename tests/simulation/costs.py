"""What keeps a run from costing more than it may: budgets, pilots, and an end to what is in vain.

As in :mod:`tests.simulation.watch` each rule's docstring is the sentence of its violation.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drydock.budget import parse_spend
from drydock.keys import RunKeys, parse_job_name
from drydock.run_document import RunDocument, parse_run_document
from drydock.shard_document import ShardDocument
from tests.simulation.told import Violated

if TYPE_CHECKING:
    from tests.simulation.kernel import Process
    from tests.simulation.stack import Stack


@dataclass
class Overspent:
    """Who found out that which epoch of which run has spent more than it may."""

    found: list[tuple[Process, str, int]] = field(default_factory=list)

    def look(self, stack: Stack, run_id: str, body: bytes) -> None:
        """A run's meters were written."""
        run = _run(stack, run_id)
        finder = stack.kernel.current
        if run is None or finder is None or run.active_stop is not None:
            return
        cap = run.current.request["stop_after_usd"]
        if cap is not None and parse_spend(body).usd(stack.settings.vcpu_hour_usd) > cap:
            self.found.append((finder, run_id, run.epoch))

    def check(self, stack: Stack, stops: list[tuple[str, int]]) -> None:
        """Raise what :func:`budgets_stop_runs` says."""
        for finder, run_id, epoch in self.found:
            went_well = finder.ended.is_set and not finder.dead and finder.error is None
            run = _run(stack, run_id)
            if (
                went_well
                and run is not None
                and run.epoch == epoch
                and (run_id, epoch) not in stops
            ):
                raise Violated(budgets_stop_runs, f"{finder.name} let epoch {epoch} go on")


def budgets_stop_runs() -> None:
    """Who finds that a run has spent more than its budget stops it."""


def pilots_come_first(stack: Stack, job: str) -> None:
    """Nothing but the pilot is submitted before the pilot was judged."""
    identity = parse_job_name(job)
    assert identity is not None
    run = _run(stack, identity.run_id)
    if run is None or not run.pilot or identity.shard == 0:
        return
    key = RunKeys(run.run_id, run.output_prefix).result("pilot.json")
    verdict = stack.s3.buckets[run.output_bucket].get(key)
    if verdict is None or json.loads(verdict.body)["run_id"] != run.run_id:
        raise Violated(pilots_come_first, f"{job} was submitted")


def vain_work_ends(stack: Stack, run_id: str, old: ShardDocument, new: ShardDocument) -> None:
    """No round begins in an epoch whose markers had to be removed as often as it may have rounds
    without progress."""
    run = _run(stack, run_id)
    if run is None or old.epoch != new.epoch or new.epoch != run.epoch:
        return
    if old.voidings >= int(run.current.request["max_rounds"]):
        raise Violated(vain_work_ends, f"round {len(old.rounds)} behind {old.voidings} removals")


def _run(stack: Stack, run_id: str) -> RunDocument | None:
    found = stack.s3.buckets[stack.settings.control_bucket].get(f"runs/{run_id}/run.json")
    return None if found is None else parse_run_document(found.body)
