"""All histories of a small world, not some: a search through every choice that there is.

At each effect any process may go next, and a bounded number of effects may go wrong in every way
that is asked for. At each choice the moment is kept; the search goes on with the first option and
comes back for the others later (:mod:`tests.simulation.recall`). Where a state was seen before, all
that can follow from it has been left for later already, and the search turns back. The list of
choices that led to a history is its script: it replays in a kernel that recalls nothing.

What makes states equal: what lasts (the world's own digest), what each process has learned (it is
a function of that), who is ready, and which timers run and what they will do. Time stands still
while anybody is ready. States must not go round in a circle: nobody may go on for ever.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from tests.simulation.kernel import Effect, Fault, Kernel, Process
from tests.simulation.recall import Choice, Faults, Recalling

Script = tuple[int, ...]
State = bytes
# Effects of one history, at most.
_LIMIT = 20_000


class World(Protocol):
    """What is searched: made once for a search, and brought back to moments of it."""

    kernel: Kernel

    def begin(self) -> float | None:
        """Start what comes next, where nothing is left to do; until when it goes on.

        None when nothing comes any more.
        """

    def check(self) -> None:
        """Raise AssertionError when something does not hold that must."""

    def keep(self) -> Callable[[], None]:
        """Take note of everything that can change; what is returned brings it back."""

    def digest(self, rest: str) -> str:
        """The state as text: everything that lasts (objects, jobs, messages), then the rest.

        Names that were made up (unique ones) may be replaced by others throughout the text.
        """

    def about(self, process: Process) -> str:
        """What a process does, apart from what it learns: the function and what it was given."""

    def told(self, effect: str, answer: Any) -> str:
        """What a process learns from an effect's answer, as text."""


Build = Callable[[Kernel], World]


class Violated(AssertionError):
    """A history in which something does not hold; ``script`` replays it."""

    def __init__(self, script: Script, story: str, cause: BaseException) -> None:
        self.script = script
        numbers = ",".join(map(str, script))
        super().__init__(f"{story}\n\n--replay {numbers}\n{cause!r}")


class Trail(NamedTuple):
    """The choices that led somewhere, the last one first."""

    before: Trail | None
    chosen: int

    def script(self) -> Script:
        """From the first one on."""
        chosen, trail = [], self
        while trail.before is not None:
            chosen.append(trail.chosen)
            trail = trail.before
        return tuple(reversed(chosen))


class Later(NamedTuple):
    """An option that was left, how to come back to it, and the state that it goes on from."""

    bring_back: Callable[[], None]
    choice: Choice
    at: int
    before: State | None
    trail: Trail


@dataclass
class Graph:
    """What was searched so far, and what is left.

    ``later`` is by how much has gone wrong: the less, the sooner. So a state after the last fault
    that may be is known where it was met with fewer: whatever can follow now could follow then.
    """

    seen: set[State] = field(default_factory=set)
    # Those in which nothing need go wrong any more, without what only bears on that.
    calm: set[State] = field(default_factory=set)
    later: dict[int, list[Later]] = field(default_factory=dict)
    after: dict[State, set[State]] = field(default_factory=dict)

    def is_new(self, state: State, before: State | None) -> bool:
        """Note that a state follows from another; whether nobody was there before."""
        if before is not None:
            self.after.setdefault(before, set()).add(state)
        if state in self.seen:
            return False
        self.seen.add(state)
        return True

    def next(self) -> Later | None:
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
class Explored:
    """How much was searched."""

    histories: int = 0
    states: int = 0
    pruned: int = 0


class _Search:
    """One search; ``trail`` and ``before`` are where it is."""

    def __init__(self, build: Build, faults: Faults, most_faults: int) -> None:
        self.kernel = kernel = Recalling(faults, most_faults, _LIMIT)
        self.world = world = build(kernel)
        kernel.about, kernel.told = world.about, world.told
        self.graph, self.explored = Graph(), Explored()
        self.trail, self.before = Trail(None, 0), None

    def follow(self) -> None:
        """Go on to the end, or to where somebody has been."""
        while True:
            choice = self.kernel.advance()
            if choice is not None:
                if not self._leaves_others(choice):
                    self.explored.pruned += 1
                    return
                self._take(choice, 0)
            elif (until := self.world.begin()) is not None:
                self.kernel.until(until)
            else:
                self.world.check()
                self.explored.histories += 1
                return

    def go_back(self, later: Later) -> None:
        """Take an option that was left."""
        later.bring_back()
        self.trail, self.before = later.trail, later.before
        self._take(later.choice, later.at)

    def _take(self, choice: Choice, at: int) -> None:
        self.trail = Trail(self.trail, at)
        self.kernel.take(choice, at)

    def _leaves_others(self, choice: Choice) -> bool:
        """Leave all options but the first for later; False where somebody has been here."""
        graph, kernel, before = self.graph, self.kernel, self.before
        is_last = kernel.injected == kernel.most_faults
        calm, states = self._states(choice)
        state = states[-1]
        is_known = (is_last and calm in graph.calm) or not graph.seen.isdisjoint(states[:-1])
        if is_known or not graph.is_new(state, before):
            return False
        if not is_last and not choice.what:
            graph.calm.add(calm)
        self.before = state
        bring_back, goes_wrong = self._keep(), choice.process is not None
        graph.later.setdefault(kernel.injected + goes_wrong, []).extend(
            Later(bring_back, choice, at, None if goes_wrong else state, self.trail)
            for at in range(len(choice.options) - 1, 0, -1)
        )
        return True

    def _keep(self) -> Callable[[], None]:
        kernel, world = self.kernel.keep(), self.world.keep()

        def bring_back() -> None:
            kernel()
            world()

        return bring_back

    def _states(self, choice: Choice) -> tuple[State, list[State]]:
        """The state but for what bears on faults alone, and the whole one.

        Before that the whole ones as they would be had less gone wrong: more could follow.
        """
        world, kernel = self.world, self.kernel
        ready = choice.options if choice.process is None else (choice.process,)
        described = sorted(
            (
                "\1".join(
                    (
                        world.about(process),
                        "ready" if process in ready else "",
                        *(() if process.step is None else ("begun", process.step.learned)),
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
        if kernel.injected == kernel.most_faults:
            return calm.digest(), [calm.digest()]
        written = [process.written > 0 for _, _, process in described]
        states = []
        for injected in range(kernel.injected + 1):
            state = calm.copy()
            state.update(f"{choice.what} {injected} {written}".encode())
            states.append(state.digest())
        return calm.digest(), states


def explore(
    build: Build,
    faults: Faults,
    most_faults: int,
    told: Callable[[Explored, Trail], None] | None = None,
) -> Explored:
    """Search all histories of the world that ``build`` makes.

    ``faults`` says what may go wrong with an effect, given how many writes its process had before.
    ``told`` hears of each history that was searched, to its end or to where somebody had been.

    Raises:
        Violated: with the first history in which something does not hold.
    """
    search = _Search(build, faults, most_faults)
    graph, explored = search.graph, search.explored
    later: Later | None = None
    try:
        while True:
            if later is not None:
                search.go_back(later)
            search.follow()
            explored.states = len(graph.seen)
            if told is not None:
                told(explored, search.trail)
            later = graph.next()
            if later is None:
                break
    except Exception as cause:
        script = search.trail.script()
        raise Violated(script, tell(build, faults, most_faults, script), cause) from cause
    finally:
        search.kernel.forget_all()
    assert not graph.has_circle(), "something can go on for ever"
    return explored


@dataclass
class Scripted:
    """A chooser that replays a script and then takes the first choice."""

    script: Script
    faults: Faults
    most_faults: int
    taken: int = 0
    written: Counter[Process] = field(default_factory=Counter)
    injected: int = 0

    def pick(self, ready: list[Process]) -> int:
        # By name: the order in which they became ready says nothing of what can follow.
        order = sorted(range(len(ready)), key=lambda at: ready[at].name)
        return order[self._choose()]

    def fault(self, effect: Effect) -> Fault | None:
        if self.injected >= self.most_faults:
            return None
        faults = list(self.faults(effect, self.written[effect.process]))
        self.written[effect.process] += effect.writes
        chosen = self._choose() if faults else 0
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

    def mark(self, process: Process) -> int:
        """Nobody asks what a process has learned."""
        del process
        return 0

    def forget(self, process: Process, mark: int) -> None:
        """Nobody asks what a process has learned."""

    def _choose(self) -> int:
        self.taken += 1
        return self.script[self.taken - 1] if self.taken <= len(self.script) else 0


def replay(build: Build, faults: Faults, most_faults: int, script: Script) -> World:
    """Run one history again, without recalling anything.

    Raises:
        AssertionError: what does not hold in it.
    """
    world = _scripted(build, faults, most_faults, script)
    _run(world)
    return world


def tell(build: Build, faults: Faults, most_faults: int, script: Script) -> str:
    """The story of one history."""
    world = _scripted(build, faults, most_faults, script)
    try:
        _run(world)
    except Exception as error:  # noqa: BLE001 - it is why the story is told
        world.kernel.note(None, repr(error))
    finally:
        world.kernel.abandon()
    began = world.kernel.began
    return "\n".join(f"{n.at - began:9.2f} s  {n.who}: {n.what}" for n in world.kernel.story)


def _scripted(build: Build, faults: Faults, most_faults: int, script: Script) -> World:
    return build(Kernel(Scripted(script, faults, most_faults), _LIMIT, latency_s=0))


def _run(world: World) -> None:
    until: float | None = math.inf
    while until is not None:
        world.kernel.run(until)
        until = world.begin()
    world.check()


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
