"""One history: a small world, its users, and everything that goes wrong, as a function of a seed.

First everything may go wrong. Then faults end, and all that goes on has to come to an end. Then
the run's owner starts the request again until nothing is left to do that can be done. What must
hold is looked at all the while, and at the end.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from drydock.keys import parse_job_name
from drydock.run_document import RunDocument, parse_run_document
from local.batch.model import Job
from tests.simulation import invariants
from tests.simulation.account import CONTROL, DATA, IMAGE, INTAKE
from tests.simulation.chance import Seeded, Weather
from tests.simulation.containers import TOY, simulated
from tests.simulation.executions import Execution
from tests.simulation.kernel import Endless, Kernel
from tests.simulation.plan import (
    CALM_AFTER_S,
    FAILS,
    HOPELESS,
    INPUT,
    OUTPUT,
    Action,
    Input,
    Plan,
    plan_of,
)
from tests.simulation.s3 import Stored
from tests.simulation.stack import Stack
from tests.simulation.users import act
from tests.simulation.watch import Violated, Watch

REQUEST_KEY = "a-run.json"
_STEP_S = 60.0
# All that goes on when faults end has to come to an end within this time.
_PATIENCE_S = 2 * 86_400.0
_STARTS = 8
_LIMIT = 400_000


@dataclass
class Result:
    """What came of a history."""

    history: History
    violated: Violated | None

    @property
    def seed(self) -> int:
        """The history's seed."""
        return self.history.plan.seed


@dataclass
class History:
    """One history. ``suppressed`` names faults, inputs and actions that are left out of it."""

    plan: Plan
    chooser: Seeded
    kernel: Kernel = field(init=False)
    stack: Stack = field(init=False)
    watch: Watch = field(init=False)
    calm_since: float | None = None

    def __post_init__(self) -> None:
        plan = self.plan
        self.kernel = Kernel(self.chooser, limit=_LIMIT)
        self.stack = Stack(
            self.kernel,
            machines=plan.machines,
            SHARD_SIZE=str(plan.shard_size),
            RECONCILE_SECONDS=str(plan.reconcile_s),
        )
        self.watch = Watch(self.stack)

    def run(self) -> Violated | None:
        """Run it to its end; the first thing that did not hold, or None."""
        try:
            with simulated():
                self._play()
        except Violated as violated:
            return self.watch.violated or violated
        except Endless as endless:
            return Violated(invariants.everything_ends, str(endless))
        finally:
            self.kernel.abandon()
        return self.watch.violated

    def _play(self) -> None:
        self.watch.begin()
        self.stack.bus.start_schedules()
        for each in self.plan.inputs:
            if each.repeats is None:
                self.put(DATA, each.key, each.planted().to_json())
        if self.plan.is_list:
            listed = "".join(f"s3://{DATA}/{each.key}\n" for each in self.plan.inputs)
            self.put(DATA, f"lists/{INPUT[:-1]}.txt", listed.encode())
        self.put(INTAKE, REQUEST_KEY, self.request_body())
        for action in self.plan.actions:
            self.kernel.after(action.at_s, self._acting(action))
        self._until_quiet_or(CALM_AFTER_S)
        self.chooser.is_over = True
        self.calm_since = self.kernel.now
        self.kernel.note(None, "nothing goes wrong any more")
        dead = len(self.stack.queues.dead)
        self._until_quiet()
        invariants.check_ends(self)
        for number in range(_STARTS):
            if invariants.is_finished(self):
                break
            self._start_again(number)
            self._until_quiet()
            invariants.check_ends(self)
        self._pass(20 * 60)
        invariants.check(self, dead)

    def _start_again(self, number: int) -> None:
        change = self.plan.changes[number] if number < len(self.plan.changes) else {}
        # Nobody goes on who does not pay for it.
        change = change | {"stop_after_usd": None}
        self.kernel.note("the owner", f"starts the request again, with {change or 'no change'}")
        if number % 2:
            self.put(INTAKE, REQUEST_KEY, self.request_body(change))
        else:
            self.stack.states.start(self.request(change))

    def _acting(self, action: Action) -> Callable[[], None]:
        def begin_action() -> None:
            self.kernel.spawn(action.name, "user", lambda: act(self, action))

        return begin_action

    # -- time

    def _pass(self, seconds: float) -> None:
        """Let time pass."""
        until = self.kernel.now + seconds
        at = self.kernel.now
        while at < until:
            at = min(at + _STEP_S, until)
            self.kernel.run(until=at)
            self.kernel.now = max(self.kernel.now, at)
            self._look()

    def _until_quiet_or(self, seconds: float) -> None:
        """Let time pass until nothing goes on and users have done what they do."""
        until = self.kernel.now + seconds
        busy_until = self.kernel.now + max((a.at_s for a in self.plan.actions), default=0.0)
        self._pass(_STEP_S)
        while self.kernel.now < until and not (self.kernel.now > busy_until and self.is_quiet()):
            self._pass(_STEP_S)

    def _until_quiet(self) -> None:
        """Let time pass until nothing goes on any more but the schedules."""
        until = self.kernel.now + _PATIENCE_S
        self._pass(_STEP_S)
        while not self.is_quiet():
            if self.kernel.now > until:
                raise Violated(invariants.everything_ends, self._what_goes_on())
            self._pass(_STEP_S)

    def is_quiet(self) -> bool:
        """Whether nothing goes on and nothing is under way."""
        stack = self.stack
        return not (
            stack.states.running()
            or any(True for _ in self.active_jobs())
            or stack.queues.waiting()
            or stack.bus.digest()
        )

    def _what_goes_on(self) -> str:
        stack = self.stack
        return (
            f"executions {[each.name for each in stack.states.running()]}, "
            f"jobs {[job.spec.name for job in self.active_jobs()]}, "
            f"{stack.queues.waiting()} messages, events {stack.bus.digest()[:3]}"
        )

    def _look(self) -> None:
        if self.kernel.effects >= _LIMIT:
            raise Violated(invariants.everything_ends, f"more than {_LIMIT} effects")
        if self.watch.violated is not None:
            raise self.watch.violated
        invariants.functions_do_not_break(self)
        if self.calm_since is not None:
            invariants.check_leaks(self)

    # -- what is there

    def request(self, change: dict[str, Any] | None = None) -> dict[str, Any]:
        """The request of this history."""
        given = (
            f"s3://{DATA}/lists/{INPUT[:-1]}.txt" if self.plan.is_list else f"s3://{DATA}/{INPUT}"
        )
        return {
            "name": "a-run",
            "input": given,
            "output": f"s3://{DATA}/{OUTPUT}",
            "tool": TOY,
            "options": {},
            "image": IMAGE,
            **self.plan.request,
            **(change or {}),
        }

    def request_body(self, change: dict[str, Any] | None = None) -> bytes:
        """The request as it is uploaded."""
        return json.dumps(self.request(change)).encode()

    def put(self, bucket: str, key: str, body: bytes) -> None:
        """A user puts an object, which never fails."""
        etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
        self.stack.s3.change(bucket, key, Stored(body, etag))

    def planned(self, index: int) -> Input:
        """The input at an index of the manifest."""
        return self.plan.inputs[index]

    def is_hopeless(self, planned: Input) -> bool:
        """Whether nothing helps an input."""
        return planned.behaviour in HOPELESS

    def failures_of(self, planned: Input) -> set[str]:
        """The classes that an input may fail with."""
        own = {FAILS[planned.behaviour]} if planned.behaviour in FAILS else set()
        return own | ({"input_changed"} if (DATA, planned.key) in self.watch.meddled else set())

    def figures(self) -> Counter[str]:
        """What happened in it, as counts."""
        stack, deeds = self.stack, Counter(each.deed for each in self.plan.actions)
        return Counter(
            {
                "inputs": len(self.plan.inputs),
                "epochs": sum(len(run.epochs) for run in self.runs()),
                "executions": len(stack.states.executions),
                "jobs": len(stack.batch.parents),
                "attempts of containers": stack.batch.attempts,
                "invocations of functions": sum(stack.lambdas.calls.values()),
                "requests to AWS": self.kernel.effects,
                **{f"a user {deed}": count for deed, count in deeds.items()},
            }
        )

    def runs(self) -> list[RunDocument]:
        """All runs of the stack."""
        return [
            parse_run_document(found.body)
            for key, found in self.stack.s3.buckets[CONTROL].items()
            if key.startswith("runs/") and key.count("/") == 2 and key.endswith("/run.json")
        ]

    def living_runs(self) -> list[RunDocument]:
        """The run that lives in the output: whoever empties that has its run forgotten."""
        card = self.stack.s3.buckets[DATA].get(f"{OUTPUT}run.json")
        run_id = None if card is None else json.loads(card.body)["run_id"]
        return [run for run in self.runs() if run.run_id == run_id]

    def executions(self) -> Iterator[Execution]:
        """All executions, as they were started."""
        yield from self.stack.states.executions.values()

    def active_jobs(self) -> Iterator[Job]:
        """Jobs of ours that have not ended: arrays and plain jobs."""
        for job in self.stack.batch.active():
            if parse_job_name(job.spec.name) is not None:
                yield job


def history_of(
    seed: int, suppressed: frozenset[str] = frozenset(), *, is_calm: bool = False
) -> History:
    """The history of a seed, without what is suppressed."""
    weather = Weather.calm() if is_calm else Weather.of(seed)
    plan = plan_of(seed).without(suppressed)
    return History(plan, Seeded(seed, weather, suppressed))
