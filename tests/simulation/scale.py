"""A million inputs in virtual time: what they ask of AWS, counted, beside what is aimed at.

usage: python -m tests.simulation.scale [--inputs 1000000] [--pack 1] [--children 3000]
       [--record FILE]

First all inputs in shards of 10,000 while 5 % of the machines are reclaimed an hour, then one shard
that nothing interrupts, then storms that take all machines of so many children away at once, and
last the memory that the functions need for a whole shard. Ends with 1 if a count is above its aim.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from drydock.detection import detect_restarts
from drydock.run_document import parse_run_document
from tests.simulation.account import CONTROL
from tests.simulation.counts import of_shards
from tests.simulation.crowd import Crowd
from tests.simulation.executions import Execution
from tests.simulation.resources import template

SHARD = 10_000
KIB = 1024
MIB = 2**20
BATCH_CALLS_A_SECOND = 50
# docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerOverride.html
MAX_OVERRIDES_CHARS = 8192
# A whole turn of AggregateShard at 10,000 inputs.
_ROWS = 20
# So many shards may be worked on at a time.
_AT_ONCE = 40
_TRACED = (
    "EnumerateInputs",
    "DetectRestarts",
    "SubmitShard",
    "ResubmitInterrupted",
    "AggregateShard",
    "MergeResults",
)


@dataclass(frozen=True)
class Figure:
    """A count, the most that is aimed at (None: it is only told), and what others need."""

    what: str
    count: float
    most: float | None = None
    others: str = ""

    @property
    def holds(self) -> bool:
        return self.most is None or self.count <= self.most


def run_of(crowd: Crowd) -> Execution:
    """Run it; every input has to be settled and nothing may break.

    Raises:
        AssertionError: something is wrong with the run, or with the simulation.
    """
    execution = crowd.run()
    assert execution.status == "SUCCEEDED", (execution.error, execution.cause)
    assert not crowd.stack.lambdas.broken, crowd.stack.lambdas.broken[:3]
    assert not crowd.stack.queues.dead
    told = crowd.accounting()
    assert told["done"] + told["failed"] == told["inputs"] == crowd.inputs
    return execution


def of_many(crowd: Crowd, execution: Execution) -> list[Figure]:
    """What a run of many shards took."""
    counts, states, told = crowd.counts, crowd.stack.states, crowd.accounting()
    shards = len(execution.children)
    transitions = of_shards(counts.transitions, execution)
    # The functions that a Map of many shards or a storm of events calls: the sweep is beside.
    asked = {
        call: sum(counts.of(f"batch {call}", function) for function in _TRACED)
        for call in ("SubmitJob", "DescribeJobs", "ListJobs", "TerminateJobs")
    }
    s3 = sum(count for (_, call), count in counts.calls.items() if call.startswith("s3 "))
    return [
        Figure("shards", shards),
        Figure("containers started", crowd.stack.batch.attempts),
        Figure("machines reclaimed", crowd.reclaimed),
        Figure("attempts that were interrupted", sum(told["interruptions"].values())),
        Figure("rounds", told["rounds"], others="an array a shard at the least"),
        *(Figure(f"{call} a shard", count / shards) for call, count in asked.items() if count),
        Figure("Batch's calls by the sweep, in all", counts.of("batch ListJobs", "StopRun")),
        Figure(
            "Batch's calls in the busiest second behind the start",
            counts.busiest_second(after_start(crowd)),
            BATCH_CALLS_A_SECOND,
        ),
        Figure(
            "SubmitJob in the busiest second",
            counts.busiest_second(counts.submitted_at),
            BATCH_CALLS_A_SECOND,
        ),
        Figure("Batch's calls in the busiest second", counts.busiest_second(counts.batch_at)),
        Figure("transitions of a shard, the most", max(transitions), 10, "20,000 (one an input)"),
        Figure("transitions in all", states.transitions, others="2 an input"),
        Figure("S3 requests of the functions, an input", s3 / crowd.inputs),
        Figure("messages in the queue, in all", crowd.stack.queues.sent),
        Figure("largest state, bytes", states.largest_state, 8 * KIB),
        Figure("largest payload, bytes", states.largest_payload, 8 * KIB),
        *sizes(counts.largest),
    ]


def after_start(crowd: Crowd) -> list[float]:
    """When Batch was called, but for the first minute, in which the Map begins its shards."""
    first = min(crowd.counts.batch_at)
    return [at for at in crowd.counts.batch_at if at > first + 60.0]


def sizes(largest: Counter[str]) -> list[Figure]:
    """The largest of what is sent and kept."""
    limits = {"container overrides": MAX_OVERRIDES_CHARS, "control document: rounds": 8 * KIB}
    limits["answer of a function"] = 8 * KIB
    return [
        Figure(f"largest {what}, bytes", size, limits.get(what))
        for what, size in sorted(largest.items())
    ]


def of_one_quiet_shard(inputs: int = SHARD) -> list[Figure]:
    """What one shard takes that nothing interrupts."""
    crowd = Crowd(inputs, shard_size=inputs, reclaims_an_hour=0, start_failures=0, forgets=False)
    run_of(crowd)
    calls = crowd.counts.of_shard[0]
    submits = sum(count for (_, call), count in calls.items() if call == "SubmitJob")
    lists, remains = _lists_to_detect(crowd)
    assert remains == 0
    failed = crowd.accounting()["failed"]
    thousands = -(-inputs // 1000)
    return [
        Figure("SubmitJob", submits, 1, "1; ~9 calls an input"),
        Figure("DescribeJobs and ListJobs", sum(calls.values()) - submits, 2, "0; see above"),
        Figure(
            f"list requests to find what remains ({failed} failed)",
            lists,
            thousands + failed // 1000,
            f"{inputs:,} HEAD; {4 * thousands} lists of all outputs",
        ),
    ]


def _lists_to_detect(crowd: Crowd) -> tuple[int, int]:
    """The list requests that DetectRestarts makes once all markers are there; what remains."""
    objects = crowd.stack.s3.buckets[CONTROL]
    (key,) = (key for key in objects if key.endswith("/run.json"))
    run = parse_run_document(objects[key].body)
    calls = crowd.stack.s3.calls
    before = calls["ListObjectsV2"]
    detected = detect_restarts(crowd.stack.services(), run.run_id, 0, run.owner)
    return calls["ListObjectsV2"] - before, detected["remains"]


def of_storms(children: int, shard_size: int, *, storms: int, limit: int | None) -> list[Figure]:
    """What it takes when all machines of so many children go at once, ``storms`` times.

    Batch starts children again by itself; with the third storm it gives them up, all at once.
    """
    crowd = Crowd(
        children,
        shard_size=shard_size,
        machines=-(-children // 96),
        reclaims_an_hour=0,
        start_failures=0,
        storms=tuple(300.0 * number for number in range(1, storms + 1)),
        most_a_second=limit,
    )
    run_of(crowd)
    counts = crowd.counts
    return [
        Figure("children taken away at once", min(crowd.storm_children)),
        Figure("rounds", crowd.accounting()["rounds"]),
        Figure(
            "Batch's calls in the busiest second behind the start",
            counts.busiest_second(after_start(crowd)),
            BATCH_CALLS_A_SECOND,
        ),
        Figure("Batch's calls in the busiest second", counts.busiest_second(counts.batch_at)),
        Figure("of them refused and tried again", crowd.kernel.refused),
    ]


def of_memory(inputs: int = SHARD) -> list[Figure]:
    """The most memory that a call of each function took for a whole shard, in MiB."""
    crowd = Crowd(inputs, shard_size=inputs, rows=_ROWS, traced=_TRACED)
    run_of(crowd)
    return [
        Figure(f"{name}, MiB", found / MIB, _allowed_mib(name) / 2)
        for name, found in crowd.counts.peak_bytes.items()
    ]


def _allowed_mib(name: str) -> int:
    document = template()
    given = document["Globals"]["Function"]["MemorySize"]
    properties = document["Resources"][f"{name}Function"]["Properties"]
    return int(properties.get("MemorySize", given))


def main() -> int:
    """Print all figures; 1 if one is above its aim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--pack", type=int, default=1, help="inputs a child")
    parser.add_argument("--children", type=int, default=3000, help="children of a storm")
    parser.add_argument("--record", type=Path, help="keep what the bill needs of it, as JSON")
    given = parser.parse_args()
    # Millions of objects live long: looking through all of them again and again takes hours.
    gc.set_threshold(200_000, 50, 1000)
    holds = True
    for title, figures in _passes(given.inputs, given.pack, given.children, given.record):
        say(f"== {title}")
        for figure in figures:
            holds = holds and figure.holds
            _print(figure)
    return 0 if holds else 1


def _passes(inputs: int, pack: int, children: int, record: Path | None):
    # It needs run_of of here.
    from tests.costs import counting

    began = time.process_time()
    crowd = Crowd(inputs, pack, traced=("EnumerateInputs", "MergeResults"), progress=_progress)
    seconds = counting.time_invocations(crowd)
    execution = run_of(crowd)
    figures = of_many(crowd, execution)
    cpu_s, mib = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    took = f"{crowd.hours:.1f} virtual hours; {cpu_s:,.0f} s of CPU, {mib / KIB:,.0f} MiB"
    if record is not None:
        counted = counting.of_run(crowd, execution, seconds)
        counted |= {"cpu_s": round(cpu_s), "peak_mib": round(mib / KIB)}
        record.write_text(json.dumps(counted, indent=2) + "\n", encoding="utf-8")
    yield f"{inputs:,} inputs, {pack} a child ({took})", figures
    memory = [(f"{name}, MiB", found / MIB) for name, found in crowd.counts.peak_bytes.items()]
    yield "memory for all inputs", [Figure(what, found) for what, found in memory]
    del crowd, execution
    yield f"{SHARD:,} inputs, nothing interrupted", of_one_quiet_shard()
    each = -(-children // _AT_ONCE)
    for storms, said in ((1, "one storm"), (3, "three storms")):
        title = f"{said} over {children:,} children in {_AT_ONCE} shards"
        yield title, of_storms(children, each, storms=storms, limit=None)
    title = f"the same, Batch refuses what is above {BATCH_CALLS_A_SECOND} a second"
    yield title, of_storms(children, each, storms=3, limit=BATCH_CALLS_A_SECOND)
    yield f"memory for a shard of {SHARD:,} inputs, {_ROWS} molecules each", of_memory()


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{text} ")


def say(line: str) -> None:
    """Print a line at once: the next may take minutes."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _print(figure: Figure) -> None:
    count = f"{figure.count:,.2f}".rstrip("0").rstrip(".")
    aim = "" if figure.most is None else f"<= {figure.most:,.0f}"
    mark = "" if figure.holds else "  MISSED"
    say(f"{figure.what:56} {count:>12}  {aim:10}  {figure.others}{mark}".rstrip())


if __name__ == "__main__":
    sys.exit(main())
