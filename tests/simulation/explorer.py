"""All histories of a small world, not some: a search through every choice that a chooser has.

At each effect any process may go next, and a bounded number of effects may go wrong in every way
that is asked for. A history is the list of choices that led to it; the search replays a list and
goes on with the first choice at each point, leaving the others for later. Where a state was seen
before, all that can follow from it has been left for later already, and the search turns back.

What makes states equal: what lasts (the world's own digest), what each process has learned (it is
a function of that), who is ready, and which timers run and what they will do. Time stands still
while anybody is ready. States must not go round in a circle: nobody may go on for ever.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.simulation.kernel import Effect, Fault, Kernel, Process

Script = tuple[int, ...]
State = bytes


class World(Protocol):
    """What is searched: made anew for each history."""

    kernel: Kernel

    def run(self) -> None:
        """Run the history to its end."""

    def check(self) -> None:
        """Raise AssertionError when something does not hold that must."""

    def digest(self, rest: str) -> str:
        """The state as text: everything that lasts (objects, jobs, messages), then the rest.

        Names that were made up (unique ones) may be replaced by others throughout the text.
        """

    def about(self, process: Process) -> str:
        """What a process does, apart from what it learns: the function and what it was given."""

    def told(self, effect: str, answer: Any) -> str:
        """What a process learns from an effect's answer, as text."""


class SeenBefore(BaseException):
    """This state was reached in another way; what follows is known or left for later."""


class Violated(AssertionError):
    """A history in which something does not hold; ``script`` replays it."""

    def __init__(self, script: Script, story: str, cause: BaseException) -> None:
        self.script = script
        numbers = ",".join(map(str, script))
        super().__init__(f"{story}\n\n--replay {numbers}\n{cause!r}")


@dataclass
class Graph:
    """What was searched so far, and what is left.

    ``later`` are scripts by how much has gone wrong in them, each with the state it goes on from:
    the less, the sooner. So a state after the last fault that may be is known where it was met
    with fewer: whatever can follow now could follow then.
    """

    seen: set[State] = field(default_factory=set)
    # Those in which nothing need go wrong any more, without what only bears on that.
    calm: set[State] = field(default_factory=set)
    later: dict[int, list[tuple[Script, State | None]]] = field(
        default_factory=lambda: {0: [((), None)]}
    )
    after: dict[State, set[State]] = field(default_factory=dict)

    def is_new(self, state: State, before: State | None) -> bool:
        """Note that a state follows from another; whether nobody was there before."""
        if before is not None:
            self.after.setdefault(before, set()).add(state)
        if state in self.seen:
            return False
        self.seen.add(state)
        return True

    def next(self) -> tuple[Script, State | None] | None:
        """What to go on with."""
        for faults in sorted(self.later):
            if self.later[faults]:
                return self.later[faults].pop()
        return None

    def has_circle(self) -> bool:
        """Whether something could go on for ever: states are taken away that nothing leads to."""
        leading = Counter(state for following in self.after.values() for state in following)
        free = [state for state in self.after if not leading[state]]
        while free:
            for state in self.after.pop(free.pop(), ()):
                leading[state] -= 1
                if not leading[state]:
                    free.append(state)
        return bool(self.after)


@dataclass
class Scripted:
    """A chooser that replays a script and then takes the first choice, telling of the others."""

    script: Script
    faults: Callable[[Effect, int], Iterable[Fault]]
    most_faults: int
    graph: Graph = field(default_factory=Graph)
    before: State | None = None
    world: World | None = None
    taken: list[int] = field(default_factory=list)
    learned: dict[Process, list[str]] = field(default_factory=dict)
    written: Counter[Process] = field(default_factory=Counter)
    injected: int = 0

    def pick(self, ready: list[Process]) -> int:
        # By name: the order in which they became ready says nothing of what can follow.
        order = sorted(range(len(ready)), key=lambda at: ready[at].name)
        return order[self._choose(len(ready), ready, "")]

    def fault(self, effect: Effect) -> Fault | None:
        if self.injected >= self.most_faults:
            return None
        faults = list(self.faults(effect, self.written[effect.process]))
        self.written[effect.process] += effect.writes
        if not faults:
            return None
        chosen = self._choose(1 + len(faults), [effect.process], effect.name)
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
        assert self.world is not None
        self.learned.setdefault(process, []).append(self.world.told(effect, answer))

    def mark(self, process: Process) -> int:
        """How much a process has learned so far."""
        return len(self.learned.setdefault(process, []))

    def forget(self, process: Process, mark: int) -> None:
        """A process begins anew: what it learned since a mark has no bearing any more."""
        del self.learned[process][mark:]

    def _choose(self, options: int, ready: list[Process], what: str) -> int:
        depth = len(self.taken)
        if depth < len(self.script):
            self.taken.append(self.script[depth])
            return self.script[depth]
        graph, before, is_last = self.graph, self.before, self.injected == self.most_faults
        calm, states = self._states(ready, what)
        state = states[-1]
        is_known = (is_last and calm in graph.calm) or not graph.seen.isdisjoint(states[:-1])
        if is_known or not graph.is_new(state, before):
            raise SeenBefore
        if not is_last and not what:
            graph.calm.add(calm)
        self.before = state
        known = tuple(self.taken)
        faults = self.injected + bool(what)
        graph.later.setdefault(faults, []).extend(
            ((*known, other), None if what else state) for other in range(options - 1, 0, -1)
        )
        self.taken.append(0)
        return 0

    def _states(self, ready: list[Process], what: str) -> tuple[State, list[State]]:
        """The state but for what bears on faults alone, and the whole one.

        Before that the whole ones as they would be had less gone wrong: more could follow.
        """
        world = self.world
        assert world is not None
        kernel = world.kernel
        described = sorted(
            (
                "\1".join(
                    (
                        world.about(process),
                        "ready" if process in ready else "",
                        "begun" if process.effects else "",
                        *self.learned.get(process, ()),
                    )
                ),
                process.name,
                process,
            )
            for process in kernel.processes
            # What one has left that has ended is in the world and among the timers.
            if not process.ended.is_set
        )
        numbers = {process: str(at) for at, (_, _, process) in enumerate(described)}
        timers = sorted(f"{due} {_meaning(do, numbers, world)}" for due, do in kernel.pending())
        now = f"{kernel.now - kernel.began:.6f}"
        rest = "\0".join([now, *(text for text, _, _ in described), *timers])
        calm = hashlib.blake2b(world.digest(rest).encode(), digest_size=16)
        if self.injected == self.most_faults:
            return calm.digest(), [calm.digest()]
        written = [self.written[process] > 0 for _, _, process in described]
        states = []
        for injected in range(self.injected + 1):
            state = calm.copy()
            state.update(f"{what} {injected} {written}".encode())
            states.append(state.digest())
        return calm.digest(), states


@dataclass
class Explored:
    """How much was searched."""

    histories: int = 0
    states: int = 0
    pruned: int = 0


def explore(
    build: Callable[[Scripted], World],
    faults: Callable[[Effect, int], Iterable[Fault]],
    most_faults: int,
    told: Callable[[Explored], None] | None = None,
) -> Explored:
    """Search all histories of the worlds that ``build`` makes.

    ``faults`` says what may go wrong with an effect, given how many writes its process had before.

    Raises:
        Violated: with the first history in which something does not hold.
    """
    explored, graph = Explored(), Graph()
    while (found := graph.next()) is not None:
        script, before = found
        chooser = Scripted(script, faults, most_faults, graph, before)
        cause = _one(build, chooser, explored)
        if cause is not None:
            script = tuple(chooser.taken)
            raise Violated(script, tell(build, faults, most_faults, script), cause) from cause
        explored.states = len(graph.seen)
        if told is not None:
            told(explored)
    assert not graph.has_circle(), "something can go on for ever"
    return explored


def replay(
    build: Callable[[Scripted], World],
    faults: Callable[[Effect, int], Iterable[Fault]],
    most_faults: int,
    script: Script,
) -> World:
    """Run one history again.

    Raises:
        AssertionError: what does not hold in it.
    """
    world = _built(build, Scripted(script, faults, most_faults))
    world.run()
    world.check()
    return world


def _built(build: Callable[[Scripted], World], chooser: Scripted) -> World:
    world = build(chooser)
    chooser.world = world
    world.kernel.observe = chooser.observe
    return world


def _one(
    build: Callable[[Scripted], World], chooser: Scripted, explored: Explored
) -> Exception | None:
    world = _built(build, chooser)
    # Nobody reads the story of a history in which all is well.
    world.kernel.note = lambda who, what: None  # type: ignore[method-assign]
    try:
        world.run()
        world.check()
    except SeenBefore:
        explored.pruned += 1
    except Exception as error:  # noqa: BLE001 - the search tells of it
        return error
    else:
        explored.histories += 1
    finally:
        world.kernel.abandon()
    return None


def tell(
    build: Callable[[Scripted], World],
    faults: Callable[[Effect, int], Iterable[Fault]],
    most_faults: int,
    script: Script,
) -> str:
    """The story of one history."""
    world = _built(build, Scripted(script, faults, most_faults))
    try:
        world.run()
        world.check()
    except Exception as error:  # noqa: BLE001 - it is why the story is told
        world.kernel.note(None, repr(error))
    finally:
        world.kernel.abandon()
    began = world.kernel.began
    return "\n".join(f"{n.at - began:9.2f} s  {n.who}: {n.what}" for n in world.kernel.story)


def _meaning(do: Callable[[], Any], numbers: dict[Process, str], world: World) -> str:
    """What a timer will do: its code, and what that was given."""
    parts = [getattr(do, "__qualname__", "")]
    for cell in getattr(do, "__closure__", None) or ():
        value = cell.cell_contents
        if isinstance(value, Process):
            ended = (world.about(value), str(value.result), type(value.error).__name__)
            parts.append(numbers.get(value) or "\2".join(ended))
        elif isinstance(value, str | int | float | dict | list | tuple):
            parts.append(repr(value))
    return "\1".join(parts)
