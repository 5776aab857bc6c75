"""The accounts of a shard and of a run: every input of the manifest in exactly one column."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from drydock.effort import Effort, add_up_efforts
from drydock.errors import Malformed, RunIncomplete, RunMisconfigured, RunStopped
from drydock.shard_document import Ending


@dataclass(frozen=True, slots=True)
class Accounts:
    """How the inputs ended, and what it took.

    ``strange_markers`` are objects among the markers that are none, ``voided_markers`` were not
    whole and were removed, ``late_markers`` came after the outcome was frozen and count as nothing.
    Of a shard with remaining inputs ``ending`` says how it ended and ``texts`` holds what AWS Batch
    wrote, by failure class, where the class alone does not explain it; of an ``unaggregated`` one
    what is the matter.
    """

    inputs: int
    done: int
    failed: int
    skipped: int
    remaining: int
    molecules: int = 0
    failed_molecules: int = 0
    parts: int = 0
    seconds: float = 0.0
    strange_markers: int = 0
    voided_markers: int = 0
    late_markers: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    effort: Effort = field(default_factory=Effort)
    ending: Ending | Literal["unaggregated"] | None = None
    texts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.done + self.failed + self.skipped + self.remaining != self.inputs:
            raise Malformed(
                f"the accounts do not add up: {self.done} done + {self.failed} failed + "
                f"{self.skipped} skipped + {self.remaining} remaining is not {self.inputs}"
            )

    @property
    def knows_molecules(self) -> bool:
        """Whether the tool may have any: one whose inputs are done without knows none."""
        return bool(self.molecules or not self.done)

    def as_json(self) -> dict[str, Any]:
        """The accounts for people: flat, and of what they do not know nothing is said."""
        told = asdict(self) | self.effort.as_json()
        del told["effort"]
        for name in ("ending", "texts"):
            if not told[name]:
                del told[name]
        return told


def unaggregated(inputs: int, effort: Effort) -> Accounts:
    """Of a shard whose results nobody made: all of it remains."""
    texts = {"unaggregated": _UNAGGREGATED}
    return Accounts(inputs, 0, 0, 0, inputs, effort=effort, ending="unaggregated", texts=texts)


_UNAGGREGATED = (
    "its results could not be made, for AggregateShard failed or was not reached (see the logs of "
    "AggregateShard and of the run's Map); its inputs may be settled"
)


def parse_accounts(fields: dict[str, Any]) -> Accounts:
    """Read the accounts of a shard as ``asdict`` wrote them.

    Raises:
        Malformed: they are something else.
    """
    try:
        return Accounts(**{**fields, "effort": Effort(**fields["effort"])})
    except (TypeError, KeyError) as error:
        raise Malformed("these are no accounts of a shard") from error


def add_up(accounts: Iterable[Accounts]) -> Accounts:
    """The accounts of a run from those of its shards."""
    numbers: dict[str, float] = dict.fromkeys(_NUMBERS, 0)
    failures: dict[str, int] = {}
    effort = Effort()
    for each in accounts:
        for name in _NUMBERS:
            numbers[name] += getattr(each, name)
        for failure_class, count in each.failures.items():
            failures[failure_class] = failures.get(failure_class, 0) + count
        effort = add_up_efforts((effort, each.effort))
    counts: dict[str, Any] = {name: int(n) for name, n in numbers.items() if name != "seconds"}
    seconds = round(numbers["seconds"], 3)
    return Accounts(**counts, seconds=seconds, failures=failures, effort=effort)


_NUMBERS = (
    "inputs",
    "done",
    "failed",
    "skipped",
    "remaining",
    "molecules",
    "failed_molecules",
    "parts",
    "seconds",
    "strange_markers",
    "voided_markers",
    "late_markers",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ends: ``error`` names the execution's failure, None when every input is settled."""

    status: str
    error: str | None
    cause: str | None


# An execution's cause has room for more, its output for less than 8 KiB.
_CAUSE_CHARACTERS = 2000


def verdict(accounts: Accounts, stop_reason: str | None, stop_text: str | None) -> Verdict:
    """Say how a run ends from its accounts and its stop."""
    if accounts.remaining == 0:
        return Verdict("done", None, None)
    told = f"{accounts.remaining} of {accounts.inputs} inputs remain"
    if stop_reason is None:
        return Verdict(
            "incomplete",
            RunIncomplete.__name__,
            f"{told}; results/accounting.json says why, shard by shard; starting the same request "
            "again goes on with them",
        )
    text = (stop_text or "")[:_CAUSE_CHARACTERS]
    if stop_reason == "misconfiguration":
        return Verdict("stopped", RunMisconfigured.__name__, f"{text} ({told})")
    return Verdict("stopped", RunStopped.__name__, f"{stop_reason}: {text} ({told})")
