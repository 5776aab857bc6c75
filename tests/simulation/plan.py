"""What a history is about, drawn from its seed: a small world, and what its users do to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal

from tests.simulation.toy import Planted

INPUT, OUTPUT = "input/", "out/"
# Until then everything may go wrong; from then on nothing does.
CALM_AFTER_S = 2.5 * 3600

Deed = Literal[
    "uploads again",
    "starts again",
    "stops",
    "stops now",
    "stops the execution",
    "redrives",
    "terminates a job",
    "cuts a marker",
    "overwrites an output",
    "removes an output",
    "changes an input",
    "empties the output",
    "loses outputs",
]
_DEEDS: tuple[tuple[Deed, int], ...] = (
    ("uploads again", 3),
    ("starts again", 2),
    ("stops", 2),
    ("stops now", 2),
    ("stops the execution", 3),
    ("redrives", 2),
    ("terminates a job", 2),
    ("cuts a marker", 1),
    ("overwrites an output", 1),
    ("removes an output", 1),
    ("changes an input", 1),
)
Behaviour = Literal[
    "works",
    "is bad",
    "dies once",
    "dies at one place",
    "is killed once",
    "needs memory",
    "needs a container's memory",
    "needs too much memory",
    "never ends",
    "forgets",
]
_BEHAVIOURS: tuple[Behaviour, ...] = (
    "is bad",
    "dies once",
    "dies at one place",
    "is killed once",
    "needs memory",
    "needs a container's memory",
    "needs too much memory",
    "never ends",
    "forgets",
)
# Nothing helps these: they remain, however often the request is started again.
HOPELESS: tuple[Behaviour, ...] = ("needs too much memory", "never ends")
FAILS: dict[Behaviour, str] = {"is bad": "bad_input", "dies at one place": "tool_failed"}
_MEMORY_MIB, _TOO_MUCH_MIB = 5000, 100_000


@dataclass(frozen=True)
class Input:
    """One input: how much work it is, and how it behaves behind ``at`` units."""

    number: int
    units: int
    unit_s: float
    behaviour: Behaviour = "works"
    at: int = 0
    repeats: int | None = None

    @property
    def name(self) -> str:
        """How plans and stories call it."""
        return f"input {self.number}"

    @property
    def key(self) -> str:
        """Where it lies in the data bucket."""
        number = self.number if self.repeats is None else self.repeats
        return f"{INPUT}{number:02d}.toy"

    def planted(self, salt: str = "") -> Planted:
        """What the toy is to do with it; the salt makes another object of it."""
        work = Planted(self.units, self.unit_s, self.at, salt=f"{self.number}{salt}")
        match self.behaviour:
            case "is bad":
                return replace(work, bad=True)
            case "dies once":
                return replace(work, dies="once")
            case "dies at one place":
                return replace(work, dies="place")
            case "is killed once":
                return replace(work, dies="elsewhere")
            case "needs memory":
                return replace(work, dies="memory", needs_mib=_MEMORY_MIB)
            case "needs a container's memory":
                return replace(work, dies="container", needs_mib=_MEMORY_MIB)
            case "needs too much memory":
                return replace(work, dies="memory", needs_mib=_TOO_MUCH_MIB)
            case "never ends":
                return replace(work, hangs=True)
            case "forgets":
                return replace(work, forgets=True)
        return work


@dataclass(frozen=True)
class Action:
    """What a user does at a time; ``aim`` (0 to 1) says to which of several things."""

    number: int
    at_s: float
    deed: Deed
    aim: float

    @property
    def name(self) -> str:
        """How plans and stories call it."""
        return f"user {self.number} {self.deed}"


@dataclass(frozen=True)
class Plan:
    """A whole history, but for what goes wrong in it."""

    seed: int
    inputs: tuple[Input, ...]
    actions: tuple[Action, ...]
    is_list: bool
    shard_size: int
    machines: int
    reconcile_s: int
    request: dict[str, Any] = field(default_factory=dict)
    changes: tuple[dict[str, Any], ...] = ()

    def names(self) -> Iterator[str]:
        """What can be taken out of it."""
        for each in (*self.inputs[1:], *self.actions):
            yield each.name

    def without(self, names: frozenset[str]) -> Plan:
        """The plan without some of its inputs and actions."""
        gone = {each.number for each in self.inputs if each.name in names}
        return Plan(
            self.seed,
            tuple(
                each for each in self.inputs if each.number not in gone and each.repeats not in gone
            ),
            tuple(each for each in self.actions if each.name not in names),
            self.is_list,
            self.shard_size,
            self.machines,
            self.reconcile_s,
            self.request,
            self.changes,
        )


def plan_of(seed: int) -> Plan:
    """The plan of a seed."""
    chance = Random(f"plan {seed}")
    is_list = chance.random() < 0.3
    count = chance.choice((1, 2, 3, 3, 4, 5, 6, 8))
    inputs = tuple(_input(chance, number, is_list) for number in range(count))
    actions = tuple(_action(chance, number) for number in range(chance.choice((0, 0, 1, 2, 3, 5))))
    request = {
        "inputs_per_job": chance.choice((1, 1, 2, 3)),
        "checkpoint_seconds": chance.choice((0, 0, 120)),
        "attempt_seconds": chance.choice((600, 1800, 7200)),
        "max_rounds": chance.choice((2, 3, 8)),
    }
    actions += _emptying(Random(f"emptying {seed}"), len(actions))
    actions += _losing(Random(f"losing {seed}"), len(actions))
    request |= _costs(Random(f"costs {seed}"))
    changes = tuple(_change(chance) for _ in range(8))
    return Plan(
        seed,
        inputs,
        actions,
        is_list,
        shard_size=chance.choice((1, 2, 3, 8)),
        machines=chance.choice((1, 2, 3)),
        reconcile_s=chance.choice((1800, 3600, 21600)),
        request=request,
        changes=changes,
    )


def _input(chance: Random, number: int, is_list: bool) -> Input:  # noqa: FBT001
    behaviour: Behaviour = "works"
    if chance.random() < 0.2:
        behaviour = chance.choice(_BEHAVIOURS)
    repeats = None
    if is_list and number and chance.random() < 0.2:
        repeats, behaviour = 0, "works"
    units, unit_s = chance.choice((1, 2, 3, 5)), chance.choice((2.0, 20.0, 90.0))
    return Input(number, units, unit_s, behaviour, chance.randrange(units), repeats)


def _action(chance: Random, number: int) -> Action:
    deeds = [deed for deed, weight in _DEEDS for _ in range(weight)]
    at_s = chance.choice((10.0, 60.0, 600.0, CALM_AFTER_S)) * chance.random()
    return Action(number, round(at_s, 1), chance.choice(deeds), chance.random())


def _emptying(chance: Random, number: int) -> tuple[Action, ...]:
    """Now and then a user wants the same work anew, in the same place."""
    if chance.random() >= 0.06:
        return ()
    return (Action(number, round(3600 * chance.random(), 1), "empties the output", 0.0),)


def _losing(chance: Random, number: int) -> tuple[Action, ...]:
    """Now and then something removes outputs again and again, as a rule of a bucket's would."""
    if chance.random() >= 0.04:
        return ()
    return (Action(number, 0.0, "loses outputs", 0.0),)


def _costs(chance: Random) -> dict[str, Any]:
    """A pilot too small to fail, and a budget that may well be spent; none in most histories."""
    costs: dict[str, Any] = {}
    if chance.random() < 0.3:
        costs["pilot"] = chance.choice((1, 2))
    if chance.random() < 0.3:
        costs["stop_after_usd"] = chance.choice((0.00005, 0.0003, 0.003))
    return costs


def _change(chance: Random) -> dict[str, Any]:
    """What is different when the same request is started again: nothing that makes it another."""
    change: dict[str, Any] = {}
    if chance.random() < 0.3:
        change["max_rounds"] = chance.choice((2, 8))
    if chance.random() < 0.3:
        change["inputs_per_job"] = chance.choice((1, 2, 3))
    if chance.random() < 0.3:
        change["retry_failed"] = ["input_changed", "bad_input", "tool_failed"]
    return change
