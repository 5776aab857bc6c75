"""What a run spends, from what of it runs at each look: a meter a shard, and pure arithmetic.

A meter adds up vCPU-seconds between looks, as many running children as the mean of both looks saw.
A look that comes twice adds nothing; one that comes late counts for an hour at most, for nobody
knows what ran meanwhile. What settled inputs say they took is the least that a shard has used.
"""

import json
from dataclasses import asdict, dataclass, field, replace

from drydock.errors import Malformed

# How often budgets are looked at: the template's schedule.
PERIOD_S = 300.0
MAX_GAP_S = 3600.0
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """A shard's newest job at a look. Times are seconds since 1970; ``ended_at`` None: it goes on.

    ``vcpus`` are those of all its children that run.
    """

    job_id: str
    vcpus: int
    began_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Meter:
    """What a shard has used, and what of it ran at the last look.

    ``settled_in`` is the epoch whose accounts of the shard were compared with it.
    """

    vcpu_seconds: float = 0.0
    job_id: str = ""
    vcpus: int = 0
    looked_at: float = 0.0
    settled_in: int = 0


@dataclass(frozen=True, slots=True)
class Spend:
    """The document: a meter for each shard that ever ran."""

    meters: dict[int, Meter] = field(default_factory=dict)

    @property
    def vcpu_seconds(self) -> float:
        """What the run has used, over all of its epochs."""
        return sum(meter.vcpu_seconds for meter in self.meters.values())

    def usd(self, vcpu_hour_usd: float) -> float:
        """What that costs."""
        return self.vcpu_seconds / _HOUR_S * vcpu_hour_usd

    def to_json(self) -> bytes:
        """The object's bytes."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def parse_spend(body: bytes) -> Spend:
    """Read the document.

    Raises:
        Malformed: the object is no such document.
    """
    try:
        meters = json.loads(body)["meters"]
        return Spend({int(shard): Meter(**meter) for shard, meter in meters.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise Malformed(f"no document of what a run spends: {body[:80]!r}") from error


def measure(meter: Meter, sample: Sample, now: float) -> Meter:
    """The meter after a look at the shard's newest job.

    Of a job that another one followed since the last look, the time up to that one counts.
    """
    if sample.job_id != meter.job_id:
        meter = replace(_passed(meter, 0, sample.began_at), job_id=sample.job_id, vcpus=0)
    if sample.ended_at is None:
        return _passed(meter, sample.vcpus, now)
    return _passed(meter, 0, sample.ended_at)


def _passed(meter: Meter, vcpus: int, until: float) -> Meter:
    """The meter at a later time; at an earlier one it stays as it is."""
    if until < meter.looked_at:
        return meter
    gap_s = min(until - meter.looked_at, MAX_GAP_S)
    used = (meter.vcpus + vcpus) / 2 * gap_s
    return replace(meter, vcpu_seconds=meter.vcpu_seconds + used, vcpus=vcpus, looked_at=until)


def settle(meter: Meter, vcpu_seconds: float, epoch: int) -> Meter:
    """The meter after the shard's accounts: it has used no less than they say."""
    return replace(meter, vcpu_seconds=max(meter.vcpu_seconds, vcpu_seconds), settled_in=epoch)


@dataclass(frozen=True, slots=True)
class Overshoot:
    """By how much a run may cost more than its cap: until the next look, and to finish inputs."""

    unseen_usd: float
    finishing_usd: float


def overshoot(vcpus: int, attempt_seconds: int, vcpu_hour_usd: float) -> Overshoot:
    """The most that so many vCPUs at a time may cost after the cap is reached."""
    an_hour = vcpus * vcpu_hour_usd
    return Overshoot(an_hour * PERIOD_S / _HOUR_S, an_hour * attempt_seconds / _HOUR_S)


def announcement(cap_usd: float, vcpus: int, attempt_seconds: int, vcpu_hour_usd: float) -> str:
    """What a user with a budget is told at the start."""
    more = overshoot(vcpus, attempt_seconds, vcpu_hour_usd)
    return (
        f"stop_after_usd: {cap_usd:g} USD are looked at every {PERIOD_S / 60:.0f} minutes; until "
        f"then up to {more.unseen_usd:.2f} USD more may be spent, and up to "
        f"{more.finishing_usd:.2f} USD while inputs that run are finished ({vcpus} vCPUs at a "
        f"time, {vcpu_hour_usd:g} USD each an hour)"
    )


def sentence(spent_usd: float, cap_usd: float, vcpus: int, more: Overshoot) -> str:
    """Why a run is stopped by its budget."""
    return (
        f"about {spent_usd:.2f} USD are spent, stop_after_usd is {cap_usd:g}; the {vcpus} vCPUs "
        f"that run may cost up to {more.finishing_usd:.2f} USD more while they finish their inputs"
    )
