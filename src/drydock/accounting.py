"""The accounts of a shard and of a run: every input of the manifest in exactly one column."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from drydock.errors import Malformed


@dataclass(frozen=True, slots=True)
class Accounts:
    """How the inputs ended, and what it took. ``interrupted_rounds`` made another round needed."""

    inputs: int
    done: int
    failed: int
    skipped: int
    remaining: int
    molecules: int = 0
    failed_molecules: int = 0
    rounds: int = 0
    parts: int = 0
    seconds: float = 0.0
    strange_markers: int = 0
    voided_markers: int = 0
    failures: dict[str, int] = field(default_factory=dict)

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
        """The accounts as plain data."""
        return asdict(self)


def add_up(accounts: Iterable[Accounts]) -> Accounts:
    """The accounts of a run from those of its shards."""
    numbers: dict[str, float] = dict.fromkeys(_NUMBERS, 0)
    failures: dict[str, int] = {}
    for each in accounts:
        for name in _NUMBERS:
            numbers[name] += getattr(each, name)
        for failure_class, count in each.failures.items():
            failures[failure_class] = failures.get(failure_class, 0) + count
    counts = {name: int(number) for name, number in numbers.items() if name != "seconds"}
    return Accounts(**counts, seconds=numbers["seconds"], failures=failures)


_NUMBERS = (
    "inputs",
    "done",
    "failed",
    "skipped",
    "remaining",
    "molecules",
    "failed_molecules",
    "rounds",
    "parts",
    "seconds",
    "strange_markers",
    "voided_markers",
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ends: ``error`` names the execution's failure, None when every input is settled."""

    status: str
    error: str | None
    cause: str | None


def verdict(accounts: Accounts, stop_reason: str | None, stop_text: str | None) -> Verdict:
    """Say how a run ends from its accounts and its stop."""
    if accounts.remaining == 0:
        return Verdict("done", None, None)
    told = f"{accounts.remaining} of {accounts.inputs} inputs remain"
    if stop_reason == "misconfiguration":
        return Verdict("stopped", "RunMisconfigured", f"{stop_text} ({told})")
    if stop_reason is not None:
        return Verdict("stopped", "RunStopped", f"{stop_text} ({told})")
    return Verdict(
        "incomplete", "RunIncomplete", f"{told}; starting the same request again goes on with them"
    )
