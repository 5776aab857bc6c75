"""All histories of a small world, not some: a search through every choice that a chooser has.

At each effect any process may go next, and a bounded number of effects may go wrong in every way
that is asked for. A history is the list of choices that led to it; the search replays a list and
goes on with the first choice at each point, leaving the others for later. Where a state was seen
before, all that can follow from it has been left for later already, and the search turns back.

What makes states equal: the world's own digest, what each process has observed so far (it is a
function of that), who is ready, and which timers run. Time stands still while anybody is ready.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.simulation.kernel import Effect, Fault, Kernel, Process

Script = tuple[int, ...]


class World(Protocol):
    """What is searched: made anew for each history."""

    kernel: Kernel

    def run(self) -> None:
        """Run the history to its end."""

    def check(self) -> None:
        """Raise AssertionError when something does not hold that must."""

    def digest(self) -> object:
        """Everything that lasts, as a value that can be compared: objects, jobs, messages."""


class SeenBefore(BaseException):
    """This state was reached in another way; what follows is known or left for later."""


class Violated(AssertionError):
    """A history in which something does not hold; ``script`` replays it."""

    def __init__(self, script: Script, world: World, cause: BaseException) -> None:
        self.script = script
        lines = [
            f"{n.at - world.kernel.began:9.2f} s  {n.who}: {n.what}" for n in world.kernel.story
        ]
        super().__init__("\n".join([*lines, "", f"script {script}", f"{cause!r}"]))


@dataclass
class Scripted:
    """A chooser that replays a script and then takes the first choice, telling of the others."""

    script: Script
    faults: Callable[[Effect], Iterable[Fault]]
    most_faults: int
    seen: set[bytes]
    later: list[Script]
    world: World | None = None
    taken: list[int] = field(default_factory=list)
    observed: dict[Process, bytes] = field(default_factory=dict)
    injected: int = 0

    def pick(self, ready: list[Process]) -> int:
        # By name: the order in which they became ready says nothing of what can follow.
        order = sorted(range(len(ready)), key=lambda at: ready[at].name)
        return order[self._choose(len(ready), ready)]

    def fault(self, effect: Effect) -> Fault | None:
        if self.injected >= self.most_faults:
            return None
        faults = list(self.faults(effect))
        if not faults:
            return None
        chosen = self._choose(1 + len(faults), [effect.process])
        if chosen == 0:
            return None
        self.injected += 1
        return faults[chosen - 1]

    def between(self, what: str, low: float, high: float) -> float:
        del what, high
        return low

    def happens(self, what: str, chance: str) -> bool:
        del what, chance
        return False

    def observe(self, process: Process, effect: str, answer: Any) -> None:
        """Take note of what a process learned."""
        seen = hashlib.blake2b(self.observed.get(process, b""), digest_size=16)
        seen.update(effect.encode())
        _feed(seen, answer)
        self.observed[process] = seen.digest()

    def _choose(self, options: int, ready: list[Process]) -> int:
        depth = len(self.taken)
        if depth < len(self.script):
            self.taken.append(self.script[depth])
            return self.script[depth]
        state = self._state(options, ready)
        if state in self.seen:
            raise SeenBefore
        self.seen.add(state)
        known = tuple(self.taken)
        self.later += [(*known, other) for other in range(options - 1, 0, -1)]
        self.taken.append(0)
        return 0

    def _state(self, options: int, ready: list[Process]) -> bytes:
        assert self.world is not None
        kernel = self.world.kernel
        state = hashlib.blake2b(digest_size=16)
        _feed(
            state,
            [
                options,
                self.injected,
                round(kernel.now - kernel.began, 6),
                sorted(process.name for process in ready),
                [
                    (p.name, p.effects, p.dead, self.observed.get(p, b""))
                    for p in sorted(kernel.processes, key=lambda process: process.name)
                    # What one has left that has ended is in the world and among the timers.
                    if not p.ended.is_set
                ],
                sorted(kernel.pending()),
                self.world.digest(),
            ],
        )
        return state.digest()


@dataclass
class Explored:
    """How much was searched."""

    histories: int = 0
    states: int = 0
    pruned: int = 0


def explore(
    build: Callable[[Scripted], World],
    faults: Callable[[Effect], Iterable[Fault]],
    most_faults: int,
    told: Callable[[Explored], None] | None = None,
) -> Explored:
    """Search all histories of the worlds that ``build`` makes.

    Raises:
        Violated: with the first history in which something does not hold.
    """
    explored, seen, later = Explored(), set[bytes](), [Script()]
    while later:
        chooser = Scripted(later.pop(), faults, most_faults, seen, later)
        _one(build, chooser, explored)
        explored.states = len(seen)
        if told is not None:
            told(explored)
    return explored


def replay(
    build: Callable[[Scripted], World],
    faults: Callable[[Effect], Iterable[Fault]],
    most_faults: int,
    script: Script,
) -> World:
    """Run one history again."""
    chooser = Scripted(script, faults, most_faults, set(), [])
    world = build(chooser)
    chooser.world = world
    world.kernel.observe = chooser.observe
    world.run()
    world.check()
    return world


def _one(build: Callable[[Scripted], World], chooser: Scripted, explored: Explored) -> None:
    world = build(chooser)
    chooser.world = world
    world.kernel.observe = chooser.observe
    try:
        world.run()
        world.check()
    except SeenBefore:
        explored.pruned += 1
    except Exception as error:
        raise Violated(tuple(chooser.taken), world, error) from error
    else:
        explored.histories += 1
    finally:
        world.kernel.abandon()


def _feed(seen: Any, value: Any) -> None:
    """Digest an answer: plain data by value, streams by their bytes, errors by their text."""
    if isinstance(value, dict):
        for key, each in value.items():
            _feed(seen, key)
            _feed(seen, each)
    elif isinstance(value, list | tuple):
        seen.update(b"[")
        for each in value:
            _feed(seen, each)
        seen.update(b"]")
    elif isinstance(value, bytes):
        seen.update(value)
    elif hasattr(value, "getvalue"):
        seen.update(value.getvalue())
    else:
        seen.update(repr(value).encode())
    seen.update(b"\0")
