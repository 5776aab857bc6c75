"""Amazon EventBridge: the rules of the project's own template, and its schedules.

An event of a durable source comes at least once, late or twice as it may be, in no order; one of a
best-effort source perhaps never. https://docs.aws.amazon.com/eventbridge/latest/userguide/
eb-service-event-delivery-level.html. That a durable one is lost as well is a chance of its own.
"""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.simulation.kernel import Timer
from tests.simulation.resources import ACCOUNT, REGION, Rule, arn, resources

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

BEST_EFFORT = ("aws.states", "aws.ec2")
_SOON_S = (0.2, 3.0)
_LATE_S = (3.0, 600.0)
_AGAIN_S = 30.0
_MOST_TRIES = 185
_ABSENT = object()


class Bus:
    """The default bus. ``undelivered`` are the events that no target took."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._kernel = stack.kernel
        self._rules = resources(stack.settings).rules
        self._numbers = itertools.count(1)
        self._schedules: dict[str, Timer] = {}
        self._under_way: list[str] = []
        self.published = 0
        self.lost = 0
        self.delivered = 0
        self.undelivered: list[tuple[str, dict[str, Any]]] = []

    def publish(self, event: dict[str, Any]) -> None:
        """Put an event of an AWS service: source, detail-type and detail, and resources."""
        self.published += 1
        fitting = [each for each in self._rules if each.pattern and fits(each.pattern, event)]
        if fitting:
            whole = self._enveloped(event)
            for rule in fitting:
                self._hand_over(rule, whole)

    def start_schedules(self) -> None:
        """Let the template's schedules fire, each for the first time within its period."""
        for rule in self._rules:
            if rule.period_s is not None and rule.name not in self._schedules:
                first_s = self._kernel.chooser.between(f"{rule.name} first", 1.0, rule.period_s)
                self._fire_in(rule, rule.period_s, first_s)

    def stop_schedules(self) -> None:
        """Let none fire any more: a history ends when nothing else is left to do."""
        for timer in self._schedules.values():
            timer.cancel()
        self._schedules.clear()

    def digest(self) -> list[str]:
        """The events under way, as a value to compare."""
        return sorted(self._under_way)

    def _fire_in(self, rule: Rule, period_s: float, seconds: float) -> None:
        def fire_schedule() -> None:
            event = {
                "source": "aws.events",
                "detail-type": "Scheduled Event",
                "resources": [arn("events", f"rule/{rule.name}")],
                "detail": {},
            }
            self._hand_over(rule, self._enveloped(event))
            self._fire_in(rule, period_s, period_s)

        self._schedules[rule.name] = self._kernel.after(seconds, fire_schedule)

    def _enveloped(self, event: dict[str, Any]) -> dict[str, Any]:
        at = datetime.fromtimestamp(self._kernel.now, UTC)
        envelope = {
            "version": "0",
            "id": f"{next(self._numbers):08x}-0000-4000-8000-000000000000",
            "account": ACCOUNT,
            "time": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": REGION,
            "resources": [],
        }
        return envelope | event

    def _hand_over(self, rule: Rule, event: dict[str, Any]) -> None:
        chooser, what = self._kernel.chooser, told(rule, event)
        effort = "event lost" if event["source"] in BEST_EFFORT else "durable event lost"
        if chooser.happens(what, effort):
            self._kernel.note("eventbridge", f"{what} is lost")
            self.lost += 1
            return
        # What is under way does not change any more, and each that gets it gets its own.
        text = json.dumps(event) if rule.constant is None else rule.constant
        for target in rule.targets:
            bounds = _LATE_S if chooser.happens(what, "event late") else _SOON_S
            seconds = chooser.between(what, *bounds)
            self._deliver_in(seconds, target, text, what)
            if chooser.happens(what, "event doubled"):
                # Half of them while the first is being handled, or soon after that.
                gap = chooser.between(f"{what} again", 0.0, 1.0)
                self._deliver_in(seconds + _LATE_S[1] * gap**6, target, text, what)

    def _deliver_in(
        self, seconds: float, target: str, text: str, what: str, tries: int = 1
    ) -> None:
        def deliver_event() -> None:
            self._under_way.remove(text)
            event = json.loads(text)
            try:
                self._deliver(target, text, event, what)
            except ClientError as error:
                self._kernel.note("eventbridge", f"{target} does not take {what}: {error}")
                if tries < _MOST_TRIES:
                    self._deliver_in(_AGAIN_S, target, text, what, tries + 1)
                else:
                    self.undelivered.append((target, event))

        self._under_way.append(text)
        self._kernel.after(seconds, deliver_event)

    def _deliver(self, target: str, text: str, event: dict[str, Any], what: str) -> None:
        self.delivered += 1
        self._kernel.note("eventbridge", f"{what} to {target.rpartition(':')[2]}")
        match target.split(":")[2]:
            case "sqs":
                self.stack.queues.send(target, text, what)
            case "lambda":
                self.stack.lambdas.invoke_later(target, event, what)
            case "states":
                self.stack.states.start(event)
            case service:
                raise AssertionError(f"the simulator delivers nothing to {service}")


def told(rule: Rule, event: dict[str, Any]) -> str:
    """An event and its rule in a few words, the same in each replay."""
    detail = event["detail"]
    subject = detail.get("jobId") or detail.get("name") or detail.get("object", {}).get("key", "")
    words = [rule.name, str(subject), str(detail.get("status", ""))]
    return " ".join(word for word in words if word)


def fits(pattern: dict[str, Any], event: dict[str, Any]) -> bool:
    """Whether an event fits a pattern.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
    """
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(fits(each, event) for each in wanted):
                return False
        elif isinstance(wanted, dict):
            inner = event.get(name)
            if not fits(wanted, inner if isinstance(inner, dict) else {}):
                return False
        elif not _any_fits(wanted, event.get(name, _ABSENT)):
            return False
    return True


def _any_fits(wanted: list[Any], found: Any) -> bool:
    values = found if isinstance(found, list) else [found]
    return any(_fits_one(each, value) for each in wanted for value in values)


def _fits_one(wanted: Any, found: Any) -> bool:
    if not isinstance(wanted, dict):
        return type(wanted) is type(found) and wanted == found
    ((operator, operand),) = wanted.items()
    if operator == "exists":
        return (found is not _ABSENT) == operand
    if found is _ABSENT:
        return False
    match operator, operand:
        case "prefix", str():
            return isinstance(found, str) and found.startswith(operand)
        case "suffix", str():
            return isinstance(found, str) and found.endswith(operand)
        case "anything-but", dict():
            return not _fits_one(operand, found)
        case "anything-but", list():
            return found not in operand
        case "anything-but", _:
            return found != operand
    raise AssertionError(f"the simulator does not know the pattern {wanted}")
