"""Calls of Batch and transitions of Step Functions, an input, counted in virtual time.

Ours is a whole shard of 10,000 inputs by the real state machine and functions, that nothing
interrupts; the baselines are a job an input, as an item of a Distributed Map that waits for it, and
by a client that asks for each job once a minute. Containers take ten minutes.

usage: python -m tests.figures.calls [INPUTS]      (1,000 for the baselines by default)
"""

import sys

from benchmarks._figures import Figure, ratio
from benchmarks._measure import table
from tests.simulation import peers, scale
from tests.simulation.crowd import Crowd


def of_ours() -> tuple[int, int, int]:
    """A shard's submissions, other calls of Batch, and transitions as they are charged."""
    crowd = Crowd(scale.SHARD, reclaims_an_hour=0, start_failures=0, forgets=False)
    execution = scale.run_of(crowd)
    calls = crowd.counts.of_shard[0]
    submits = sum(count for (_, call), count in calls.items() if call == "SubmitJob")
    (child,) = execution.children
    states = crowd.counts.transitions[f"execution {child.name}"]
    # The start of an execution in a Distributed Map is charged too.
    return submits, sum(calls.values()) - submits, states + 1


def main() -> None:
    """Print all three ways."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    mapped, polled = peers.of_map(inputs), peers.of_polling(inputs)
    submits, reads, transitions = of_ours()

    def row(name: str, many: int, calls: int, charged: int) -> tuple[str, ...]:
        each = (f"{calls / many:.4f}", f"{charged / many:.4f}")
        return (name, f"{many:,}", f"{calls:,}", f"{charged:,}", *each)

    table(
        (
            "way",
            "inputs",
            "calls of Batch",
            "transitions",
            "calls an input",
            "transitions an input",
        ),
        [
            row("an item of a Map a job", inputs, mapped["batch_calls"], mapped["transitions"]),
            row("a job polled each minute", inputs, polled["batch_calls"], 0),
            row("ours", scale.SHARD, submits + reads, transitions),
        ],
    )
    per_shard = scale.SHARD / inputs
    theirs = polled["batch_calls"] * per_shard
    Figure(
        f"calls of Batch for {scale.SHARD:,} inputs, nothing interrupted",
        f"{theirs:,.0f} (polled each minute; from {inputs:,})",
        f"{submits} + {reads}",
        ratio(submits + reads, theirs),
        "<= 1 + 2",
        submits <= 1 and reads <= 2,
    ).tell()
    theirs = mapped["transitions"] * per_shard
    Figure(
        f"transitions for {scale.SHARD:,} inputs, a shard",
        f"{theirs:,.0f} (an item of a Map a job; from {inputs:,})",
        f"{transitions}",
        ratio(transitions, theirs),
        "<= 10",
        transitions <= 10,
    ).tell()


if __name__ == "__main__":
    main()
