"""Virtual time, and processes that take turns at their effects.

A process is a greenlet. It runs undisturbed until its next effect on the world (a request to AWS,
a sleep); there others may go first, and there something may go wrong with it. Who goes and what
goes wrong is the :class:`Chooser`'s to say: a seed's, or that of a search through all of them. So a
history is a function of its chooser alone and replays exactly.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import greenlet
from botocore.exceptions import ClientError, ReadTimeoutError

EPOCH_S = 1_800_000_000.0
# What an effect takes when nothing is wrong with it.
LATENCY_S = 0.02

Kind = Literal["lambda", "container", "execution", "user"]
FaultKind = Literal[
    "dies before", "dies after", "refused", "lost answer", "doubled", "late", "stalls"
]


class Killed(greenlet.GreenletExit):
    """The process is no more; nothing that it does from here on has an effect."""


class Endless(AssertionError):
    """The history does not come to an end."""


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one effect.

    ``refused`` answers an error and does nothing, ``lost answer`` does it and answers an error,
    ``doubled`` does it twice and answers the second time (an SDK's own retry), ``late`` answers an
    error and does it ``seconds`` later, ``stalls`` holds the process up for ``seconds`` before it.
    """

    kind: FaultKind
    seconds: float = 0.0


class Effect(NamedTuple):
    """An effect about to happen: whose, how many it had before, what, and whether it writes."""

    process: Process
    number: int
    name: str
    writes: bool


class Chooser(Protocol):
    """Makes every choice of a history."""

    def pick(self, ready: list[Process]) -> int:
        """Which of the processes that could go on goes on; there are at least two."""

    def fault(self, effect: Effect) -> Fault | None:
        """What goes wrong with an effect."""

    def between(self, what: str, low: float, high: float) -> float:
        """Any other number: how long a delivery takes, how much work a tool has done."""

    def happens(self, what: str, chance: str) -> bool:
        """Whether something else goes wrong; ``chance`` names how likely it is."""


class Quiet:
    """Chooses that nothing goes wrong."""

    def pick(self, ready):
        return 0

    def fault(self, effect):
        return None

    def between(self, what, low, high):
        return low

    def happens(self, what, chance):
        return False


@dataclass(eq=False)
class Process:
    """Something that runs: an invocation of a function, a container, an execution, a user."""

    kernel: Kernel
    name: str
    kind: Kind
    effects: int = 0
    dead: bool = False
    result: Any = None
    error: BaseException | None = None
    # What its caller is told, where that is not the error's class: a killed process tells nothing.
    error_name: str | None = None
    # How long each of its requests takes, where that is longer than usual.
    pace_s: float = 0.0
    ended: Event = field(init=False)
    greenlet: Any = None

    def __post_init__(self) -> None:
        self.ended = Event(self.kernel)

    def kill(self) -> None:
        """End the process where it stands, as SIGKILL does."""
        if self.dead or self.ended.is_set:
            return
        self.dead = True
        self.kernel.note(self, "is killed")
        if self.kernel.current is self:
            raise Killed
        self.kernel.bury(self)


@dataclass(eq=False)
class Event:
    """Happens once; processes may wait for it."""

    kernel: Kernel
    is_set: bool = False
    value: Any = None
    _waiting: list[Process] = field(default_factory=list)
    _then: list[Callable[[], None]] = field(default_factory=list)

    def set(self, value: Any = None) -> None:
        if self.is_set:
            return
        self.is_set, self.value = True, value
        for process in self._waiting:
            self.kernel.wake(process)
        self._waiting.clear()
        for do in self._then:
            self.kernel.after(0, do)
        self._then.clear()

    def then(self, do: Callable[[], None]) -> None:
        """Do something once it has happened; outside of any process, so it must not wait."""
        if self.is_set:
            self.kernel.after(0, do)
        else:
            self._then.append(do)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for it; False when the time was over first."""
        process = self.kernel.acting()
        if not self.is_set:
            self._waiting.append(process)
            timer = None if timeout_s is None else self.kernel.after(timeout_s, self._over(process))
            self.kernel.pause()
            if timer is not None:
                timer.cancel()
        return self.is_set

    def _over(self, process: Process) -> Callable[[], None]:
        def over() -> None:
            if process in self._waiting:
                self._waiting.remove(process)
                self.kernel.wake(process)

        return over


@dataclass(eq=False, slots=True)
class Timer:
    """Something that will be done at a time, unless it is cancelled."""

    at: float
    do: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Noted(NamedTuple):
    """A line of the story."""

    at: float
    who: str
    what: str


class Kernel:
    """Runs processes in virtual time. ``limit`` bounds the effects of a history."""

    def __init__(
        self, chooser: Chooser, limit: int = 200_000, latency_s: float = LATENCY_S
    ) -> None:
        self.chooser = chooser
        self.began = EPOCH_S
        self.now = EPOCH_S
        self.observe: Callable[[Process, str, Any], None] | None = None
        # Effects before which nobody need go first, for they commute with all others'.
        self.commutes: Callable[[str], bool] = lambda name: False
        self._latency_s = latency_s
        self.current: Process | None = None
        self.story: list[Noted] = []
        self.effects = 0
        self._limit = limit
        self._until = math.inf
        self._ready: list[Process] = []
        self.processes: list[Process] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._dead: list[Process] = []
        self._hub = greenlet.getcurrent()

    # -- for whoever builds a world

    def spawn(self, name: str, kind: Kind, do: Callable[[], Any]) -> Process:
        """Start a process; it runs once it is picked. ``ended`` is set when it has ended."""
        process = Process(self, name, kind)

        def body() -> None:
            try:
                process.result = do()
            except Killed as killed:
                process.dead, process.error = True, killed
            except Exception as error:  # noqa: BLE001 - whoever waits for it learns of it
                process.error = error
            process.ended.set()

        process.greenlet = greenlet.greenlet(body, parent=self._hub)
        self.processes.append(process)
        self.wake(process)
        return process

    def after(self, seconds: float, do: Callable[[], None]) -> Timer:
        """Do something later; outside of any process, so it must not wait."""
        timer = Timer(self.now + max(0.0, seconds), do)
        heapq.heappush(self._timers, (timer.at, next(self._numbers), timer))
        return timer

    def run(self, until: float | None = None) -> None:
        """Run until nothing is left to do, or until a time.

        Raises:
            Endless: there were more effects than ``limit``.
        """
        self._until = math.inf if until is None else until
        while True:
            self._fire_due()
            self._bury_dead()
            if self.effects > self._limit:
                raise Endless(f"more than {self._limit} effects")
            if self._ready:
                self._resume(self._next())
                continue
            timer = self._earliest()
            if timer is None or (until is not None and timer.at > until):
                return
            self.now = max(self.now, timer.at)

    def pending(self) -> list[tuple[float, Callable[[], None]]]:
        """What will be done in how many seconds from now."""
        return [
            (round(timer.at - self.now, 6), timer.do)
            for _, _, timer in self._timers
            if not timer.cancelled
        ]

    def abandon(self) -> None:
        """Unwind every process that has not ended: the history goes on no further."""
        for process in self.processes:
            if process.greenlet and not process.greenlet.dead:
                process.dead = True
                self.current = process
                process.greenlet.throw(Killed)
        self.current = None

    def note(self, who: Process | str | None, what: str) -> None:
        """Add a line to the story."""
        name = who.name if isinstance(who, Process) else who or "the world"
        self.story.append(Noted(self.now, name, what))

    # -- for what processes do

    def acting(self) -> Process:
        """The process that runs."""
        if self.current is None:
            raise AssertionError("nobody acts: only a process can wait")
        return self.current

    def effect(self, name: str, do: Callable[[], Any], *, writes: bool) -> Any:
        """Have an effect on the world, or suffer what goes wrong with it.

        Outside of any process it simply happens: set-up and checks are no part of the history.
        """
        process = self.current
        if process is None:
            return do()
        if process.dead:
            raise Killed
        number, process.effects = process.effects, process.effects + 1
        self.effects += 1
        if process.pace_s:
            self.after(process.pace_s, lambda: self.wake(process))
            self.pause()
        elif not self.commutes(name) and not self._is_alone_until(self.now):
            self.wake(process)
            self.pause()
        fault = self._chosen_fault(Effect(process, number, name, writes))
        self.now += self._latency_s
        self.note(process, name if fault is None else f"{name}: {fault.kind} {fault.seconds or ''}")
        if self.observe is None:
            return do() if fault is None else self._faulty(process, fault, name, do)
        return self._observed(process, fault, name, do)

    def aside(self, do: Callable[[], None]) -> None:
        """Do something that no other process can tell, between two effects."""
        do()

    def sleep(self, seconds: float) -> None:
        """Have the acting process sleep."""
        process = self.acting()
        if process.dead:
            raise Killed
        process.effects += 1
        self.effects += 1
        until = self.now + max(0.0, seconds)
        if self._is_alone_until(until):
            self.now = until
        else:
            self.after(seconds, lambda: self.wake(process))
            self.pause()

    def _is_alone_until(self, at: float) -> bool:
        """Whether nobody else can go first, so that giving way would change nothing."""
        if self._ready or self._dead or self.effects > self._limit or at > self._until:
            return False
        timer = self._earliest()
        return timer is None or timer.at > at

    def pause(self) -> None:
        """Give way until somebody wakes the acting process."""
        process = self.acting()
        if not process.dead:
            self._hub.switch()
        if process.dead:
            raise Killed

    def wake(self, process: Process) -> None:
        """Let a process go on once it is picked."""
        if not process.dead and process not in self._ready:
            self._ready.append(process)

    def bury(self, process: Process) -> None:
        """Have a killed process unwind before anybody else goes on."""
        if process in self._ready:
            self._ready.remove(process)
        self._dead.append(process)

    def _faulty(self, process: Process, fault: Fault, name: str, do: Callable[[], Any]) -> Any:
        if fault.kind == "dies before":
            process.kill()
        if fault.kind == "refused":
            raise ClientError({"Error": {"Code": "SlowDown", "Message": "slow down"}}, name)
        if fault.kind == "late":
            self.after(fault.seconds, lambda: self._unheard(do))
            raise ReadTimeoutError(endpoint_url=name)
        if fault.kind == "stalls":
            self.sleep(fault.seconds)
            return do()
        if fault.kind == "doubled":
            self._unheard(do)
            return do()
        self._unheard(do)
        if fault.kind == "dies after":
            process.kill()
        raise ReadTimeoutError(endpoint_url=name)

    def _chosen_fault(self, effect: Effect) -> Fault | None:
        try:
            return self.chooser.fault(effect)
        except BaseException:
            # A search that turns back here: what unwinds now has no effect any more.
            effect.process.dead = True
            raise

    def _observed(
        self, process: Process, fault: Fault | None, name: str, do: Callable[[], Any]
    ) -> Any:
        assert self.observe is not None
        try:
            answer = do() if fault is None else self._faulty(process, fault, name, do)
        except Exception as error:
            self.observe(process, name, error)
            raise
        self.observe(process, name, answer)
        return answer

    def _unheard(self, do: Callable[[], Any]) -> None:
        """Do something whose answer, good or bad, nobody hears."""
        try:
            do()
        except ClientError as error:
            self.note(None, f"an answer that nobody hears: {error}")

    def _fire_due(self) -> None:
        while (timer := self._earliest()) is not None and timer.at <= self.now:
            heapq.heappop(self._timers)
            timer.do()

    def _earliest(self) -> Timer | None:
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][2] if self._timers else None

    def _bury_dead(self) -> None:
        while self._dead:
            process = self._dead.pop(0)
            self.current = process
            process.greenlet.throw(Killed)
            self.current = None
            # One that is killed before its start has not unwound.
            process.error = process.error or Killed()
            process.ended.set()

    def _next(self) -> Process:
        at = 0 if len(self._ready) == 1 else self.chooser.pick(self._ready)
        return self._ready.pop(at)

    def _resume(self, process: Process) -> None:
        self.current = process
        try:
            process.greenlet.switch()
        finally:
            self.current = None
