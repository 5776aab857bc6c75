"""EventBridge's default bus: rules, and delivery to their targets, at least once.

Putting an event never waits for a target. A delivery that fails is tried again, ever more slowly,
until the target's retry policy ends it; then it goes to the target's dead-letter queue.
"""

import json
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from local.events import Event, aws_event
from local.names import rule_arn
from local.schedules import period_s
from local.specs import RuleSpec, TargetSpec
from local.targets import target_input
from local.timetable import Timetable

if TYPE_CHECKING:
    from moto.events.utils import EventMessageType

_LOG = logging.getLogger(__name__)
_DELIVERY_THREADS = 4
_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 10.0

Deliver = Callable[[TargetSpec, str], None]
DeadLetter = Callable[[str, bytes, Mapping[str, str]], None]


class TargetRefusedError(Exception):
    """The target will never take it: it does not exist, or the event is not what it takes.

    EventBridge does not try again; the dead-letter queue gets the event at once.
    """


@dataclass(frozen=True)
class _Delivery:
    rule: RuleSpec
    target: TargetSpec
    event: Event
    begun_s: float
    attempts: int = 0


class Bus:
    """Matches events against rules and hands them to `deliver`, on threads of its own.

    `deliver(target, text)` raises when the target did not take it; `dead_letter(queue ARN, text,
    attributes)` sends what nobody took.
    """

    def __init__(self, *, region: str, deliver: Deliver, dead_letter: DeadLetter) -> None:
        self._region = region
        self._deliver = deliver
        self._dead_letter = dead_letter
        self._rules: dict[str, RuleSpec] = {}
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._deliveries: queue.SimpleQueue[_Delivery | None] = queue.SimpleQueue()
        self._timetable = Timetable("bus-timetable")
        self._threads = [threading.Thread(target=self._match_all, name="bus-match", daemon=True)]
        self._threads += [
            threading.Thread(target=self._deliver_all, name=f"bus-deliver-{number}", daemon=True)
            for number in range(_DELIVERY_THREADS)
        ]
        for thread in self._threads:
            thread.start()

    def register(self, rule: RuleSpec) -> None:
        """Add the rule, or replace the one of that name. Raises ScheduleInvalidError."""
        every_s = period_s(rule.schedule) if rule.schedule else None
        self._rules[rule.name] = rule
        if every_s is not None:
            self._timetable.after(every_s, partial(self._fire_again, rule, every_s))

    def put(self, event: Event) -> None:
        """Accept an event; returns at once."""
        self._events.put(event)

    def fire(self, rule_name: str) -> None:
        """Run a scheduled rule now, as its schedule would. Raises KeyError for no such rule."""
        rule = self._rules[rule_name]
        arn = rule_arn(self._region, rule.name)
        event = aws_event("aws.events", "Scheduled Event", {}, region=self._region, resources=[arn])
        self._hand_over(rule, event)

    def matching(self, event: Event) -> list[str]:
        """The names of the enabled rules whose pattern the event fits."""
        return [rule.name for rule in list(self._rules.values()) if _fits(rule, event)]

    def close(self) -> None:
        """Stop delivering; what is not delivered by then is lost, as the queues are."""
        self._timetable.close()
        self._events.put(None)
        for _ in range(_DELIVERY_THREADS):
            self._deliveries.put(None)
        for thread in self._threads:
            thread.join()

    def _match_all(self) -> None:
        while (event := self._events.get()) is not None:
            for name in self.matching(event):
                self._hand_over(self._rules[name], event)

    def _hand_over(self, rule: RuleSpec, event: Event) -> None:
        if rule.enabled:
            for target in rule.targets:
                self._deliveries.put(_Delivery(rule, target, event, time.monotonic()))

    def _fire_again(self, rule: RuleSpec, every_s: int) -> None:
        if self._rules.get(rule.name) is rule:  # not replaced meanwhile
            self.fire(rule.name)
            self._timetable.after(every_s, partial(self._fire_again, rule, every_s))

    def _deliver_all(self) -> None:
        while (delivery := self._deliveries.get()) is not None:
            self._deliver_one(delivery)

    def _deliver_one(self, delivery: _Delivery) -> None:
        target = delivery.target
        text = target_input(target, delivery.rule, delivery.event)
        try:
            self._deliver(target, text)
        except Exception as error:  # noqa: BLE001 - whatever keeps a target from taking it
            _LOG.warning(
                "rule %s: %s did not take an event: %s", delivery.rule.name, target.arn, error
            )
            self._try_again(delivery, text, error)

    def _try_again(self, delivery: _Delivery, text: str, error: Exception) -> None:
        retry, attempts = delivery.target.retry, delivery.attempts + 1
        wait_s = min(_FIRST_WAIT_S * 2 ** (attempts - 1), _LONGEST_WAIT_S)
        too_old = time.monotonic() - delivery.begun_s + wait_s > retry.maximum_age_s
        if isinstance(error, TargetRefusedError) or attempts > retry.maximum_attempts or too_old:
            self._give_up(delivery, text, error)
            return
        again = _Delivery(
            delivery.rule, delivery.target, delivery.event, delivery.begun_s, attempts
        )
        self._timetable.after(wait_s, partial(self._deliveries.put, again))

    def _give_up(self, delivery: _Delivery, text: str, error: Exception) -> None:
        """EventBridge user guide, "Using dead-letter queues": the event and why, as attributes."""
        if delivery.target.dead_letter_arn is None:
            return
        attributes = {
            "RULE_ARN": rule_arn(self._region, delivery.rule.name),
            "TARGET_ARN": delivery.target.arn,
            "ERROR_CODE": type(error).__name__,
            "ERROR_MESSAGE": str(error) or type(error).__name__,
            "RETRY_ATTEMPTS": str(delivery.attempts),
        }
        try:
            self._dead_letter(delivery.target.dead_letter_arn, text.encode(), attributes)
        except Exception:  # noqa: BLE001 - a queue that is not there loses the event, on AWS too
            _LOG.exception("%s did not take a dead letter", delivery.target.dead_letter_arn)


def _fits(rule: RuleSpec, event: Event) -> bool:
    from moto.events.models import EventPattern  # noqa: PLC0415 - dear, and needed late

    if rule.pattern is None or not rule.enabled:
        return False
    pattern = EventPattern(json.dumps(rule.pattern), dict(rule.pattern))
    return bool(pattern.matches_event(cast("EventMessageType", event)))
