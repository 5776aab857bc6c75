"""The steps of processes that are known, as :mod:`tests.simulation.recall` goes along them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from tests.simulation.kernel import Process

# How many processes wait where they were left for somebody who goes on there.
_WAITING = 300


class Actor(Protocol):
    """The code of a process, run as far as somebody went."""

    def leave(self) -> None:
        """Go on no further."""


@dataclass(eq=False, slots=True)
class Step:
    """A moment of a process: the effect that it wants next, or how it ended.

    ``answer`` is what it learned last, ``learned`` what it knows by now, and ``asides`` what it
    did since without an effect.
    """

    before: Step | None
    answer: Any
    told: str
    wanted: Wanted | Ended
    learned: str
    asides: list[Callable[[], None]]
    after: dict[str, Step] = field(default_factory=dict)
    # One whose code has come to this.
    actor: Actor | None = None


class Wanted(NamedTuple):
    """An effect that a process wants."""

    name: str
    do: Callable[[], Any]
    writes: bool


class Ended(NamedTuple):
    """How a process ended."""

    result: Any
    error: Exception | None
    error_name: str | None


class Notes:
    """The chooser of those whose code is run: nothing is chosen, and what they learn is noted."""

    def __init__(self) -> None:
        self.learned: dict[Process, list[str]] = {}

    def between(self, what: str, low: float, high: float) -> float:
        del what, high
        return low

    def happens(self, what: str, chance: str) -> bool:
        del what, chance
        return False

    def mark(self, process: Process) -> int:
        """How much a process has learned so far."""
        return len(self.learned[process])

    def forget(self, process: Process, mark: int) -> None:
        """A process begins anew: what it learned since a mark has no bearing any more."""
        del self.learned[process][mark:]


class Memory:
    """All steps that are known, and those whose code waits at one of them."""

    def __init__(self) -> None:
        self.first: dict[tuple[str, str, float], Step] = {}
        self._waiting: deque[Step] = deque()

    def wait(self, step: Step, actor: Actor) -> None:
        """Have an actor wait at a step."""
        step.actor = actor
        self._waiting.append(step)
        while len(self._waiting) > _WAITING:
            self._leave(self._waiting.popleft())

    def taken(self, step: Step) -> Actor | None:
        """Who waits at a step; it goes on from there."""
        actor, step.actor = step.actor, None
        return actor

    def leave_all(self) -> None:
        """Nobody goes on any more."""
        while self._waiting:
            self._leave(self._waiting.popleft())

    def _leave(self, step: Step) -> None:
        actor = self.taken(step)
        if actor is not None:
            actor.leave()


def anew(answer: Any) -> Any:
    """An answer for one more who reads it to its end."""
    if isinstance(answer, dict) and "Body" in answer:
        return {**answer, "Body": io.BytesIO(answer["Body"].getvalue())}
    return answer
