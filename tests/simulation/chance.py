"""Chance from a seed: every choice of a history is drawn from the name of what is chosen.

A draw depends on the seed, on who draws and on how often they drew before, never on what others
drew: so a fault can be taken out of a history and the others stay where they are.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.simulation.kernel import Effect, Fault, FaultKind, Process

# How likely each thing is where a history has it at all, before the history's own intensity.
FAULTS: dict[FaultKind, float] = {
    "dies before": 0.01,
    "dies after": 0.015,
    "refused": 0.015,
    "lost answer": 0.02,
    "doubled": 0.02,
    "late": 0.01,
    "stalls": 0.012,
}
CHANCES: dict[str, float] = {
    # Step Functions
    "invocation refused": 0.03,
    "invocation unheard": 0.03,
    "stale description": 0.05,
    # Lambda: each request of an invocation takes seconds
    "slow function": 0.08,
    "clock off": 0.2,
    # S3: of those that could be
    "409": 0.3,
    "answer breaks off": 0.004,
    # SQS
    "message doubled": 0.03,
    "message redelivered": 0.03,
    # EventBridge: of best-effort sources, and of those that promise delivery
    "event lost": 0.2,
    "durable event lost": 0.05,
    "event doubled": 0.1,
    "event late": 0.15,
    # Batch and its machines
    "reclaim": 0.5,
    "reclaim without notice": 0.4,
    "no capacity": 0.1,
    "stale container": 0.5,
    "new job unknown": 0.2,
    "record lost": 0.05,
    "start failure": 0.05,
    "segfault": 0.03,
    "host dies with container": 0.3,
    "container not inspected": 0.03,
    "surroundings broken": 0.03,
}
_INTENSITIES = (0.3, 1.0, 1.0, 3.0)
_LATEST_S = 400.0


@dataclass(frozen=True)
class Weather:
    """Which faults a history has, and how likely each is: most have some of the kinds alone,
    for where everything goes wrong at once much never comes to pass."""

    faults: Mapping[FaultKind, float]
    chances: Mapping[str, float]

    @staticmethod
    def calm() -> Weather:
        """Nothing goes wrong."""
        return Weather({}, {})

    @staticmethod
    def of(seed: int) -> Weather:
        """What the seed says."""
        kinds = {
            kind: rate * _INTENSITIES[int(4 * draw(seed, "intensity", kind))]
            for kind, rate in FAULTS.items()
            if draw(seed, "has", kind) < 0.5
        }
        chances = {
            name: min(0.5, rate * _INTENSITIES[int(4 * draw(seed, "intensity", name))])
            for name, rate in CHANCES.items()
            if draw(seed, "has", name) < 0.5
        }
        return Weather(kinds, chances)


def draw(seed: int, *names: object) -> float:
    """A number from 0 to 1 (excluded) that depends on the seed and the names alone."""
    text = "\0".join(map(str, (seed, *names))).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=7).digest()) / 2**56


@dataclass
class Seeded:
    """The chooser of a history. ``suppressed`` names faults that do not happen this time."""

    seed: int
    weather: Weather
    suppressed: frozenset[str] = frozenset()
    is_over: bool = False
    injected: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    _times: Counter[str] = field(default_factory=Counter)
    _turns: dict[Process, tuple[int, float]] = field(default_factory=dict)

    def pick(self, ready: list[Process]) -> int:
        """Whoever has drawn the lowest number for their next step goes on."""
        return min(range(len(ready)), key=lambda at: self._turn(ready[at]))

    def _turn(self, process: Process) -> float:
        drawn_at, drawn = self._turns.get(process, (-1, 0.0))
        if drawn_at != process.effects:
            drawn = draw(self.seed, "turn", process.name, process.effects)
            self._turns[process] = process.effects, drawn
        return drawn

    def fault(self, effect: Effect) -> Fault | None:
        process = effect.process
        if self.is_over or process.kind in ("execution", "user") or not self.weather.faults:
            return None
        drawn = draw(self.seed, "fault", process.name, effect.number)
        for kind, rate in self.weather.faults.items():
            if drawn < rate:
                return self._inject(kind, effect)
            drawn -= rate
        return None

    def _inject(self, kind: FaultKind, effect: Effect) -> Fault | None:
        if kind in ("late", "doubled") and not effect.writes:
            return None
        key = f"{effect.process.name} #{effect.number}"
        if key in self.suppressed:
            return None
        self.injected[key] = f"{kind}: {effect.name}"
        self.counts[kind] += 1
        if kind not in ("late", "stalls"):
            return Fault(kind)
        seconds = _LATEST_S ** draw(self.seed, "seconds", key)
        return Fault(kind, round(seconds, 1))

    def between(self, what: str, low: float, high: float) -> float:
        return low + (high - low) * self._draw("between", what)

    def happens(self, what: str, chance: str) -> bool:
        if chance not in CHANCES:
            raise AssertionError(f"tests/simulation/chance.py does not know {chance!r}")
        times = self._times[what]
        rate = 0.0 if self.is_over else self.weather.chances.get(chance, 0.0)
        if not rate:
            self._times[what] += 1
            return False
        if self._draw("happens", what) >= rate:
            return False
        key = f"{what} #{times}"
        if key in self.suppressed:
            return False
        self.injected[key] = chance
        self.counts[chance] += 1
        return True

    def _draw(self, how: str, what: str) -> float:
        times = self._times[what]
        self._times[what] += 1
        return draw(self.seed, how, what, times)


def total(counts: Iterable[Counter[str]]) -> Counter[str]:
    """Counts added up."""
    found: Counter[str] = Counter()
    for each in counts:
        found.update(each)
    return found
