"""Empty, cut and missing markers and outputs: how many inputs count as done that are not.

A shard of inputs that were all worked on; then one in six has its marker emptied, its marker cut,
an output cut, emptied or removed. The real AggregateShard and DetectRestarts look at it, over moto
in this process; the baselines are the two common questions: is there an output, is there a marker?

usage: python -m tests.figures.accepted [INPUTS]      (120 by default)
"""

import os
import sys
from collections import Counter
from collections.abc import Callable

from moto import mock_aws

from benchmarks._figures import Figure
from benchmarks._measure import table
from drydock.errors import NotFound
from drydock.keys import RunKeys
from drydock.resubmission import resubmit_interrupted
from tests.steps.world import DATA, World

KINDS = ("whole", "marker empty", "marker cut", "output cut", "output empty", "output missing")


class Damaged:
    """A shard of that many inputs; what was done to each place."""

    def __init__(self, inputs: int) -> None:
        self.world = World(SHARD_SIZE=str(inputs))
        self.inputs = inputs
        self.world.inputs(inputs)
        self.run_id = self.world.start()
        self.keys = RunKeys(self.run_id, "out/")
        self.world.submit(self.run_id)
        (job,) = self.world.batch.live()
        self.world.work(job)
        resubmit_interrupted(self.world.services, self.world.ended(job))
        for place in range(inputs):
            self._damage(place)

    def kind(self, place: int) -> str:
        """What is wrong with an input."""
        return KINDS[place % len(KINDS)]

    def output(self, place: int) -> str:
        """The key of its scores."""
        return f"{self.keys.input_folder(0, place)}scores.0.jsonl.gz"

    def marker(self, place: int) -> str:
        """The key of its marker."""
        return self.keys.done_marker(0, place, place)

    def _damage(self, place: int) -> None:
        what, _, how = self.kind(place).partition(" ")
        if not how:
            return
        key = self.marker(place) if what == "marker" else self.output(place)
        body = self.world.get(DATA, key)
        if how == "missing":
            self.world.remove(DATA, key)
        else:
            self.world.put(DATA, key, b"" if how == "empty" else body[: len(body) // 2])

    def is_there(self, key: str) -> bool:
        """A HEAD."""
        try:
            self.world.store.head(DATA, key)
        except NotFound:
            return False
        return True


def by_output(shard: Damaged) -> Counter[str]:
    """Done is what has an output."""
    return Counter(
        shard.kind(place) for place in range(shard.inputs) if shard.is_there(shard.output(place))
    )


def by_marker(shard: Damaged) -> Counter[str]:
    """Done is what has a marker."""
    return Counter(
        shard.kind(place) for place in range(shard.inputs) if shard.is_there(shard.marker(place))
    )


def ours(shard: Damaged) -> Counter[str]:
    """What is done once AggregateShard has looked, which believes no marker without its outputs."""
    shard.world.aggregate(shard.run_id)
    found = by_marker(shard)
    assert shard.world.detect(shard.run_id)["remains"] == shard.inputs - found.total()
    return found


@mock_aws
def main() -> None:
    """Print how many of each kind count as done."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    shard = Damaged(inputs)
    ways: dict[str, Callable[[Damaged], Counter[str]]] = {
        "an output is there": by_output,
        "a marker is there": by_marker,
        "ours": ours,
    }
    found = {name: way(shard) for name, way in ways.items()}
    rows = [
        (name, *(f"{counts[kind]}" for kind in KINDS), f"{counts.total() - counts['whole']}")
        for name, counts in found.items()
    ]
    table(("done is", *KINDS, "wrongly"), rows)
    bad = inputs - sum(shard.kind(place) == "whole" for place in range(inputs))
    wrong = {name: counts.total() - counts["whole"] for name, counts in found.items()}
    Figure(
        f"of {bad} inputs with a damaged marker or output, taken for done",
        f"{wrong['an output is there']} (an output is there)",
        f"{wrong['ours']}",
        "",
        "0",
        wrong["ours"] == 0 and found["ours"]["whole"] == inputs - bad,
    ).tell()


if __name__ == "__main__":
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    main()
