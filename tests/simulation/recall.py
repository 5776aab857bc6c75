"""What a process does next is a function of what it was given and has learned; this remembers it.

A search through histories comes by the same moments of the same processes over and over. Here a
handler's code runs only as far as nobody has seen it go yet: each effect that it wants is kept as
a :class:`Step`, with one step after it for each answer. A process that goes where another went
before is moved along these steps, and its effects alone are carried out. Where it leaves them the
code is run from its beginning, is told all answers anew, and goes on with the last one.

So a moment of a history is the world's contents and a step for each process: it can be kept and
brought back, and nothing that led to it need be done again. The world must be one and the same
throughout, and change by effects, by :meth:`Recalling.aside`, and by what happens between them
alone. Time stands still while anybody is ready: a process has one time from beginning to end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import greenlet
from botocore.exceptions import ReadTimeoutError

from tests.simulation.keeping import keep
from tests.simulation.kernel import Effect, Endless, Fault, Kernel, Killed, Kind, Process
from tests.simulation.recalled import Ended, Memory, Notes, Step, Wanted, anew

Faults = Callable[[Effect, int], Iterable[Fault]]


@dataclass(eq=False)
class Walker(Process):
    """A process that is moved along steps. ``step`` is None until it has begun."""

    do: Callable[[], Any] = lambda: None
    step: Step | None = None
    # How many of its effects wrote something.
    written: int = 0


class Choice(NamedTuple):
    """Who goes next, or what goes wrong with the effect of the process whose turn it is."""

    process: Walker | None
    options: tuple[Any, ...]

    @property
    def what(self) -> str:
        """The effect."""
        return "" if self.process is None else self.process.step.wanted.name


class _Actor:
    """The code of a process, run as far as somebody went."""

    def __init__(self, kernel: Recalling, walker: Walker) -> None:
        self._kernel = kernel
        self.process = Process(kernel, walker.name, walker.kind)
        self.asides: list[Callable[[], None]] = []
        self._greenlet = greenlet.greenlet(self._run, parent=greenlet.getcurrent())
        self._do = walker.do

    def go_on(self, *learned: Any) -> Wanted | Ended:
        """Learn an answer and how it is told, and go on to the next effect."""
        self.asides.clear()
        return self._acting(self._greenlet.switch, *learned)

    def leave(self) -> None:
        """Go on no further."""
        if self._greenlet and not self._greenlet.dead:
            self.process.dead = True
            self._acting(self._greenlet.throw, Killed)

    def _acting(self, do: Callable[..., Any], *given: Any) -> Any:
        kernel = self._kernel
        before = kernel.actor, kernel.current
        kernel.actor, kernel.current = self, self.process
        try:
            return do(*given)
        finally:
            kernel.actor, kernel.current = before

    def _run(self) -> Ended:
        try:
            result, error = self._do(), None
        except Exception as raised:  # noqa: BLE001 - whoever waits for it learns of it
            result, error = None, raised
        return Ended(result, error, self.process.error_name)


class Recalling(Kernel):
    """A kernel whose processes are moved along the steps that are known.

    ``about`` tells what a process was given, ``told`` what an answer tells; of all that ``faults``
    allows ``most_faults`` may go wrong in a history.
    """

    def __init__(self, faults: Faults, most_faults: int, limit: int = 20_000) -> None:
        self._notes = Notes()
        super().__init__(self._notes, limit, latency_s=0)
        self._limit = limit
        self._memory = Memory()
        self._faults, self.most_faults, self.injected = faults, most_faults, 0
        # Whose turn it is, when it has an effect before it.
        self._turn: Walker | None = None
        self.actor: _Actor | None = None
        self.about: Callable[[Process], str] = lambda process: process.name
        self.told: Callable[[str, Any], str] = lambda name, answer: f"{name}: {answer!r}"
        self.observe = self._observe

    # -- the search's side

    def until(self, at: float) -> None:
        """Go on until a time, from where nothing is left to do until then."""
        self._until = at

    def advance(self) -> Choice | None:
        """Go on to the next choice; None when nothing is left to do."""
        while True:
            if self._turn is not None:
                faults = self._possible(self._turn)
                if faults:
                    return Choice(self._turn, (None, *faults))
                self._perform(self._turn, None)
                continue
            self._fire_due()
            if self.effects > self._limit:
                raise Endless(f"more than {self._limit} effects")
            if len(self._ready) > 1:
                return Choice(None, tuple(sorted(self._ready, key=lambda each: each.name)))
            if self._ready:
                self._begin(self._ready.pop())
            elif (timer := self._earliest()) is None or timer.at > self._until:
                return None
            else:
                self.now = max(self.now, timer.at)

    def take(self, choice: Choice, at: int) -> None:
        """Take one of the options."""
        if choice.process is None:
            self._ready.remove(choice.options[at])
            self._begin(choice.options[at])
        else:
            self._perform(choice.process, choice.options[at])

    def keep(self) -> Callable[[], None]:
        """Take note of everything; what is returned brings it back."""
        due = sorted(each for each in self._timers if not each[2].cancelled)
        events = [process.ended for process in self.processes]
        bring_back = keep(
            (self, *self.processes, *events),
            (self.processes, self._ready, *(event._then for event in events)),
        )

        def restore() -> None:
            bring_back()
            self._timers[:] = due
            for _, _, timer in due:
                timer.cancelled = False

        return restore

    def forget_all(self) -> None:
        """Leave every process whose code has been run."""
        self._memory.leave_all()

    # -- the processes' side

    def spawn(self, name: str, kind: Kind, do: Callable[[], Any]) -> Process:
        process = Walker(self, name, kind, do=do)
        self.processes.append(process)
        self.wake(process)
        return process

    def effect(self, name: str, do: Callable[[], Any], *, writes: bool) -> Any:
        process = self.current
        if process is None:
            return do()
        if process.dead:
            raise Killed
        answer, told = self._hub.switch(Wanted(name, do, writes))
        if process.dead:
            raise Killed
        self._notes.learned[process].append(told)
        if isinstance(answer, Exception):
            raise answer.with_traceback(None)
        return answer

    def aside(self, do: Callable[[], None]) -> None:
        if self.actor is None:
            do()
        else:
            self.actor.asides.append(do)

    def note(self, who: Process | str | None, what: str) -> None:
        """Nobody reads the story of a history in which all is well."""

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody sleeps here: {seconds} s")

    def bury(self, process: Process) -> None:
        raise AssertionError(f"{process.name} lives while time goes on")

    def _observe(self, process: Process, effect: str, answer: Any) -> None:
        self._notes.learned[process].append(self.told(effect, answer))

    # -- moving along

    def _begin(self, process: Walker) -> None:
        if process.step is None:
            self._arrive(process, self._first(process))
        else:
            self._turn = process

    def _arrive(self, process: Walker, step: Step) -> None:
        process.step = step
        for do in step.asides:
            do()
        if isinstance(step.wanted, Ended):
            process.result, process.error, name = step.wanted
            process.error_name = name or process.error_name
            process.ended.set()
            return
        process.effects += 1
        self.effects += 1
        if self.commutes(step.wanted.name) or self._is_alone_until(self.now):
            self._turn = process
        else:
            self.wake(process)

    def _possible(self, process: Walker) -> list[Fault]:
        if self.injected >= self.most_faults:
            return []
        name, _, writes = process.step.wanted
        effect = Effect(process, process.effects - 1, name, writes)
        return list(self._faults(effect, process.written))

    def _perform(self, process: Walker, fault: Fault | None) -> None:
        step, self._turn = process.step, None
        process.written += step.wanted.writes
        self.injected += fault is not None
        self.current = process
        try:
            answer = self._answer(step.wanted, fault)
        finally:
            self.current = None
        if isinstance(answer, Killed):
            process.dead, process.error = True, answer
            process.ended.set()
            return
        told = self.told(step.wanted.name, answer)
        after = step.after.get(told)
        if after is None:
            after = self._learn(process, step, answer, told)
        self._arrive(process, after)

    def _answer(self, wanted: Wanted, fault: Fault | None) -> Any:
        kind = None if fault is None else fault.kind
        if kind == "dies before":
            return Killed()
        if kind in ("lost answer", "dies after", "doubled"):
            self._unheard(wanted.do)
        elif kind is not None:
            raise AssertionError(f"a fault of a kind that is not searched through: {kind}")
        if kind == "dies after":
            return Killed()
        if kind == "lost answer":
            return ReadTimeoutError(endpoint_url=wanted.name)
        try:
            return wanted.do()
        except Exception as error:  # noqa: BLE001 - it is an answer
            return error

    # -- running code

    def _first(self, process: Walker) -> Step:
        key = (process.name, self.about(process), round(self.now, 6))
        found = self._memory.first.get(key)
        if found is None:
            actor = self._actor(process)
            found = self._memory.first[key] = self._step(None, None, "", actor, actor.go_on())
        return found

    def _learn(self, process: Walker, step: Step, answer: Any, told: str) -> Step:
        actor = self._memory.taken(step) or self._played_again(process, step)
        step.after[told] = self._step(step, answer, told, actor, actor.go_on(anew(answer), told))
        return step.after[told]

    def _step(
        self, before: Step | None, answer: Any, told: str, actor: _Actor, wanted: Wanted | Ended
    ) -> Step:
        learned = "\1".join(self._notes.learned[actor.process])
        step = Step(before, answer, told, wanted, learned, list(actor.asides))
        if isinstance(wanted, Ended):
            del self._notes.learned[actor.process]
        else:
            self._memory.wait(step, actor)
        return step

    def _played_again(self, process: Walker, step: Step) -> _Actor:
        actor = self._actor(process)
        wanted, path = actor.go_on(), []
        while step.before is not None:
            path.append(step)
            step = step.before
        for each in reversed(path):
            wanted = actor.go_on(anew(each.answer), each.told)
            expected = each.wanted
            assert isinstance(wanted, Wanted), f"{process.name} ended, not {expected}"
            assert wanted.name == expected.name, f"{process.name}: {wanted}, not {expected}"
        return actor

    def _actor(self, process: Walker) -> _Actor:
        actor = _Actor(self, process)
        self._notes.learned[actor.process] = []
        return actor
