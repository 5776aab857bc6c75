"""What settling a shard took: rounds, attempts, what interrupted them and the seconds lost to that.

Told from the rounds of the shard's document, from the attempts that markers name, and from what
AWS Batch says of the children that did not end well at once. Batch forgets its jobs after some
days; what it does not say any more is left out, and the figures are then said to be ``at_least``.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from drydock.failures import classify
from drydock.job_views import AttemptView
from drydock.parts import PartOutputs
from drydock.shard_document import Round


@dataclass(frozen=True, slots=True)
class Effort:
    """What a shard or a run took.

    ``jobs`` are the children that its rounds had, ``on_demand_jobs`` those of them that were not
    on Spot. ``interruptions`` counts the attempts that ended otherwise than well, by class.
    ``lost_seconds`` are those of them from which nothing was kept; None when nobody knows.
    """

    rounds: int = 0
    jobs: int = 0
    on_demand_jobs: int = 0
    attempts: int = 0
    interruptions: dict[str, int] = field(default_factory=dict)
    lost_seconds: float | None = 0.0
    at_least: bool = False

    @property
    def on_demand_share(self) -> float:
        """Which part of the jobs ran On-Demand, 0 to 1."""
        return round(self.on_demand_jobs / self.jobs, 4) if self.jobs else 0.0

    @property
    def interrupted(self) -> int:
        """How many attempts ended otherwise than well."""
        return sum(self.interruptions.values())

    def as_json(self) -> dict[str, Any]:
        """The figures as plain data."""
        return {
            "rounds": self.rounds,
            "jobs": self.jobs,
            "attempts": self.attempts,
            "interruptions": dict(sorted(self.interruptions.items())),
            "lost_seconds": self.lost_seconds,
            "on_demand_share": self.on_demand_share,
            "at_least": self.at_least,
        }


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What markers and parts say of attempts: each job's highest, and the seconds that count.

    A job is a child of an array (``<array>:<index>``) or a plain job.
    """

    highest: dict[str, int]
    kept_s: dict[tuple[str, int], float]


@dataclass(frozen=True, slots=True)
class Child:
    """What Batch says of a job: its attempts, and the class under which a round counts it."""

    attempts: tuple[AttemptView, ...]
    failed_as: str | None = None


def witness(
    settled_by: Iterable[tuple[str | None, int | None]], parts: Iterable[PartOutputs]
) -> Witnessed:
    """Gather what the attempts that settled inputs, and the parts that count, tell."""
    highest: dict[str, int] = {}
    kept_s: dict[tuple[str, int], float] = {}

    def see(job_id: str | None, attempt: int | None, seconds: float) -> None:
        if job_id is None or attempt is None:
            return
        highest[job_id] = max(attempt, highest.get(job_id, 0))
        kept_s[job_id, attempt] = kept_s.get((job_id, attempt), 0.0) + seconds

    for job_id, attempt in settled_by:
        see(job_id, attempt, 0.0)
    for part in parts:
        see(part.job_id, part.attempt, part.seconds)
    return Witnessed(highest, kept_s)


def array_of(job_id: str) -> str:
    """The id of a child's array; a plain job's own."""
    return job_id.partition(":")[0]


def tally(
    rounds: Iterable[Round],
    witnessed: Witnessed,
    children: Mapping[str, Child],
    *,
    remains: bool = False,
    reopened: Collection[int] = (),
) -> Effort:
    """Add up what the rounds took; ``children`` are the jobs that Batch was asked about.

    ``remains`` says whether inputs do, ``reopened`` in which epochs failures were opened again: of
    a round that left some inputs, Batch must have told something.
    """
    retried: dict[str, dict[str, int]] = {}
    for job_id, attempt in witnessed.highest.items():
        retried.setdefault(array_of(job_id), {})[job_id] = attempt
    answered: dict[str, dict[str, Child]] = {}
    for job_id, child in children.items():
        answered.setdefault(array_of(job_id), {})[job_id] = child
    ordered = sorted(rounds, key=lambda each: each.number)
    left_some = [_left_some(each, after, reopened) for each, after in pairwise(ordered)]
    return add_up_efforts(
        _of_round(
            each,
            retried.get(each.job_id, {}),
            answered.get(each.job_id, {}),
            witnessed,
            is_untold=is_followed and not each.failures,
        )
        for each, is_followed in zip(ordered, [*left_some, remains], strict=False)
        if each.job_id is not None
    )


def _left_some(submitted: Round, after: Round, reopened: Collection[int]) -> bool:
    """Whether a round did not settle all of its inputs, seen from the one after it."""
    if submitted.epoch == after.epoch:
        return True
    if any(submitted.epoch < epoch <= after.epoch for epoch in reopened):
        return False
    return after.settled_before < submitted.settled_before + submitted.size


def _of_round(
    submitted: Round,
    highest: Mapping[str, int],
    children: Mapping[str, Child],
    witnessed: Witnessed,
    *,
    is_untold: bool,
) -> Effort:
    interruptions: Counter[str] = Counter()
    # Children of which nobody asked have ended well at their first attempt, or are only counted.
    counted = Counter(submitted.failures)
    attempts, lost_s = submitted.jobs, 0.0
    for job_id, child in children.items():
        attempts += len(child.attempts) - 1
        if child.failed_as is not None:
            counted[child.failed_as] -= 1
        for number, attempt in enumerate(child.attempts, start=1):
            failure_class = _class_of(attempt)
            if failure_class is None:
                continue
            interruptions[failure_class] += 1
            lost_s += max(0.0, _seconds_of(attempt) - witnessed.kept_s.get((job_id, number), 0.0))
    not_asked = {job: highest[job] for job in highest.keys() - children.keys() if highest[job] > 1}
    attempts += sum(attempt - 1 for attempt in not_asked.values())
    only_counted = +counted
    interruptions.update(only_counted)
    is_unknown = bool(not_asked or only_counted or is_untold)
    return Effort(
        rounds=1,
        jobs=submitted.jobs,
        on_demand_jobs=submitted.jobs if submitted.queue == "on-demand" else 0,
        attempts=attempts,
        interruptions=dict(interruptions),
        lost_seconds=None if is_unknown and not children else round(lost_s, 3),
        at_least=is_unknown,
    )


def interrupted_at(children: Iterable[Child]) -> list[tuple[str, float]]:
    """The class and the time of each attempt that did not end well, where Batch tells the time."""
    return [
        (failure_class, attempt.stopped_at)
        for child in children
        for attempt in child.attempts
        if attempt.stopped_at is not None and (failure_class := _class_of(attempt)) is not None
    ]


def _class_of(attempt: AttemptView) -> str | None:
    """The class of an attempt's end; None when its container ended well."""
    if attempt.exit_code == 0:
        return None
    verdict = classify(attempt.status_reason, attempt.container_reason, attempt.exit_code)
    return verdict.failure_class


def _seconds_of(attempt: AttemptView) -> float:
    if attempt.started_at is None or attempt.stopped_at is None:
        return 0.0
    return max(0.0, attempt.stopped_at - attempt.started_at)


def add_up_efforts(efforts: Iterable[Effort]) -> Effort:
    """What several took together; what one of them does not know makes the sum ``at_least``."""
    numbers: Counter[str] = Counter()
    interruptions: Counter[str] = Counter()
    lost: list[float | None] = []
    at_least = False
    for each in efforts:
        for name in ("rounds", "jobs", "on_demand_jobs", "attempts"):
            numbers[name] += getattr(each, name)
        interruptions.update(each.interruptions)
        at_least = at_least or each.at_least
        lost.append(each.lost_seconds if each.interruptions or each.at_least else None)
    known = [seconds for seconds in lost if seconds is not None]
    return Effort(
        **{name: numbers[name] for name in ("rounds", "jobs", "on_demand_jobs", "attempts")},
        interruptions=dict(interruptions),
        lost_seconds=round(sum(known), 3) if known or not at_least else None,
        at_least=at_least,
    )
