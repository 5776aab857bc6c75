"""The pilot's verdict: from how a few inputs went to what the others will take.

Costs are vCPU-hours at one price; that of waiting machines, storage and transfers is not in them.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

# A run whose pilot fails more often than that, and not by a chance or two, is not worth its cost.
MAX_FAILED_SHARE = 0.5
MIN_FAILED = 3
# Student's t, two-sided 95 %, by degrees of freedom from 1.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
_T_OF_MANY = 2.1
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the pilot's inputs ended: ``seconds`` has one figure for each that is done.

    ``remaining`` ones were tried as often as the run allows, and are as bad as failed.
    """

    seconds: Sequence[float]
    failed: int
    remaining: int
    on_demand_share: float


@dataclass(frozen=True, slots=True)
class Prospects:
    """What there is to do after the pilot, and on which terms. ``spent_usd`` is gone already."""

    inputs: int
    vcpus: int
    max_vcpus: int
    vcpu_hour_usd: float
    spent_usd: float
    stop_after_usd: float | None


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure with the bounds between which it lies in 19 of 20 cases."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Spread":
        """The spread of a multiple."""
        low, likely, high = self.low * factor, self.likely * factor, self.high * factor
        return Spread(round(low, 4), round(likely, 4), round(high, 4))


@dataclass(frozen=True, slots=True)
class PilotVerdict:
    """What the pilot says. ``hours`` are with all of the stack's vCPUs; ``stop`` says why to stop.

    Without an input that is done nothing can be projected.
    """

    inputs: int
    done: int
    failed: int
    remaining: int
    failed_share: float
    on_demand_share: float
    seconds_per_input: float | None
    seconds_deviation: float | None
    vcpu_hours: Spread | None
    hours: Spread | None
    usd: Spread | None
    stop: str | None

    def as_json(self) -> dict[str, Any]:
        """The verdict as plain data."""
        return asdict(self)


def judge(outcome: Outcome, prospects: Prospects) -> PilotVerdict:
    """Say how the pilot went, what the others will take, and whether to stop."""
    done = len(outcome.seconds)
    inputs = done + outcome.failed + outcome.remaining
    bad = outcome.failed + outcome.remaining
    work = _work(outcome.seconds, prospects.inputs) if done else None
    vcpu_hours = None if work is None else work.times(prospects.vcpus / _HOUR_S)
    usd = None if vcpu_hours is None else vcpu_hours.times(prospects.vcpu_hour_usd)
    return PilotVerdict(
        inputs=inputs,
        done=done,
        failed=outcome.failed,
        remaining=outcome.remaining,
        failed_share=round(bad / inputs, 4) if inputs else 0.0,
        on_demand_share=outcome.on_demand_share,
        seconds_per_input=round(_mean(outcome.seconds), 3) if done else None,
        seconds_deviation=round(_deviation(outcome.seconds), 3) if done else None,
        vcpu_hours=vcpu_hours,
        hours=None if vcpu_hours is None else vcpu_hours.times(1 / prospects.max_vcpus),
        usd=usd,
        stop=_failed_too_often(bad, inputs, outcome) or _costs_too_much(usd, prospects),
    )


def _work(seconds: Sequence[float], inputs: int) -> Spread:
    """Seconds that so many more inputs take together, as those before them tell."""
    mean, done = _mean(seconds), len(seconds)
    t = _T[done - 2] if 2 <= done <= len(_T) + 1 else _T[0] if done == 1 else _T_OF_MANY
    # The mean of the pilot is uncertain, and so is each input that is still to come.
    half = 0.0
    if inputs:
        half = t * _deviation(seconds) * inputs * math.sqrt(1 / done + 1 / inputs)
    likely = mean * inputs
    return Spread(max(0.0, likely - half), likely, likely + half)


def _mean(seconds: Sequence[float]) -> float:
    return math.fsum(seconds) / len(seconds)


def _deviation(seconds: Sequence[float]) -> float:
    """The sample's standard deviation; of a single figure as much as the figure itself."""
    mean = _mean(seconds)
    if len(seconds) == 1:
        return mean
    return math.sqrt(math.fsum((each - mean) ** 2 for each in seconds) / (len(seconds) - 1))


def _failed_too_often(bad: int, inputs: int, outcome: Outcome) -> str | None:
    if bad < MIN_FAILED or bad <= MAX_FAILED_SHARE * inputs:
        return None
    return (
        f"the pilot's inputs do not go well: of {inputs} {outcome.failed} failed and "
        f"{outcome.remaining} remain; results/failures.csv names them"
    )


def _costs_too_much(usd: Spread | None, prospects: Prospects) -> str | None:
    """Even the low end must be above the cap: a pilot that cannot tell does not stop a run."""
    cap = prospects.stop_after_usd
    if cap is None or usd is None or prospects.spent_usd + usd.low <= cap:
        return None
    return (
        f"the pilot projects {usd.likely:.2f} USD ({usd.low:.2f} to {usd.high:.2f}) for "
        f"{prospects.inputs} more inputs, and {prospects.spent_usd:.2f} USD are spent: more than "
        f"stop_after_usd, which is {cap:g}"
    )
