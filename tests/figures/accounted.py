"""Inputs that a run can tell the end of, when some are corrupt, missing, doubled or never end.

Ours is a run of the real state machine, functions and worker over the simulated AWS, with a toy for
a tool. The baselines do the same inputs as peers do: a container that works through all of them and
sends its results at the end, and a container an input that is done if there is an output.

usage: python -m tests.figures.accounted [INPUTS]      (20 by default, one in five is bad)
"""

import json
import sys
from collections import Counter
from dataclasses import dataclass

from benchmarks._figures import Figure
from benchmarks._measure import table
from tests.simulation.account import DATA
from tests.simulation.chance import Seeded, Weather
from tests.simulation.history import History
from tests.simulation.plan import Behaviour, Input, Plan
from tests.simulation.toy import Planted

DAMAGED_EVERY = 5
KINDS = ("none", "corrupt", "missing", "doubled", "never ends")
# All that a run says of an input.
ENDS = ("done", "failed", "skipped", "remaining")
DEADLINE_S = 600


@dataclass(frozen=True)
class Case:
    """Inputs of which some are damaged in one way."""

    inputs: int
    kind: str

    @property
    def plan(self) -> Plan:
        """For a run of ours."""
        inputs = tuple(self._input(number) for number in range(self.inputs))
        request = {"attempt_seconds": DEADLINE_S, "max_rounds": 2, "inputs_per_job": 5}
        return Plan(1, inputs, (), True, self.inputs, 3, 21_600, request)

    def is_damaged(self, number: int) -> bool:
        """Whether it is one of those."""
        return self.kind != "none" and number % DAMAGED_EVERY == DAMAGED_EVERY - 1

    def _input(self, number: int) -> Input:
        behaviours: dict[str, Behaviour] = {"corrupt": "is bad", "never ends": "never ends"}
        if not self.is_damaged(number):
            return Input(number, 2, 20.0)
        repeats = 0 if self.kind == "doubled" else None
        return Input(number, 2, 20.0, behaviours.get(self.kind, "works"), 1, repeats)


class Missing(History):
    """Damaged inputs of the kind "missing" are named in the list and not there."""

    case: Case

    def put(self, bucket: str, key: str, body: bytes) -> None:
        gone = {
            each.key
            for each in self.plan.inputs
            if self.case.kind == "missing" and self.case.is_damaged(each.number)
        }
        if key not in gone:
            super().put(bucket, key, body)


def of_run(case: Case) -> Counter[str]:
    """How many inputs ended how, as accounting.json says."""
    history = Missing(case.plan, Seeded(1, Weather.calm()))
    history.case = case
    history.run()
    found = history.stack.s3.buckets[DATA]["out/results/accounting.json"]
    told = json.loads(found.body)
    return Counter({name: told[name] for name in ENDS})


def planted(case: Case) -> list[tuple[str, Planted | None]]:
    """What the baselines find: name and work of each input, None where there is no object."""
    found = []
    for each in case.plan.inputs:
        is_gone = case.kind == "missing" and case.is_damaged(each.number)
        found.append((each.key, None if is_gone else each.planted()))
    return found


def dock(work: Planted | None) -> str:
    """What the tool does with one input."""
    if work is None:
        raise FileNotFoundError
    if work.bad:
        raise ValueError
    if work.hangs:
        raise TimeoutError
    return "poses"


def all_at_the_end(case: Case) -> Counter[str]:
    """One container for all: what it has is sent at the end, under the inputs' names."""
    results: dict[str, str] = {}
    try:
        for name, work in planted(case):
            if name in results:
                # A folder of that name is there already.
                raise FileExistsError(name)
            results[name] = dock(work)
    except (OSError, ValueError):
        # It ends with an error, or is killed at its deadline: nothing was sent.
        return Counter()
    return Counter(done=len(results))


def one_each(case: Case) -> Counter[str]:
    """A container an input: done is what has an output; why there is none nobody knows."""
    outputs = Counter()
    for name, work in planted(case):
        try:
            outputs[name] = len(dock(work))
        except (OSError, ValueError):
            continue
    return Counter(done=len(outputs))


def main() -> None:
    """Print the share of all inputs whose end is known, for each kind of damage."""
    inputs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    ways = {"all sent at the end": all_at_the_end, "a container each": one_each, "ours": of_run}
    rows, least, theirs = [], 1.0, []
    for kind in KINDS:
        for name, way in ways.items():
            found = way(Case(inputs, kind))
            share = found.total() / inputs
            counts = [f"{found[end]}" for end in ENDS]
            rows.append((kind, name, *counts, f"{share:.0%}"))
            if name == "ours":
                least = min(least, share)
            else:
                theirs.append(share)
    table(("damage", "way", *ENDS, "accounted for"), rows)
    Figure(
        "inputs accounted for (corrupt, missing, doubled, endless ones)",
        f"{min(theirs):.0%} to {max(theirs):.0%}",
        f"{least:.0%}",
        "",
        "100%",
        least == 1.0,
    ).tell()


if __name__ == "__main__":
    main()
