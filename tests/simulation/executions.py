"""One execution: a process that walks through the states of the project's own machine.

The service itself is durable: an execution's process never dies of a fault, it is ended by
StopExecution alone. What it calls may die, answer late, twice or never.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.simulation.definition import StatesError, choose, fill, matches, put_result, read_path
from tests.simulation.kernel import Event, Process

if TYPE_CHECKING:
    from tests.simulation.states import StepFunctions

Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]

# Until a state's output is the next one's input.
_TRANSITION_S = 0.03
_BEGIN_S = 0.1
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_MAX_STATE_BYTES = 262_144


@dataclass(eq=False)
class Token:
    """A task token: who waits on it, and what it was told."""

    text: str
    execution: Execution
    told: Event
    is_open: bool = True


@dataclass(eq=False)
class Level:
    """Where an execution stands, so that a redrive goes on from there."""

    state: str
    data: Any


@dataclass(eq=False)
class Execution:
    """An execution of the machine, or of the machine inside its Map (then it has a parent)."""

    service: StepFunctions
    arn: str
    machine: Mapping[str, Any]
    input: Any
    item: Mapping[str, Any] | None = None
    parent: Execution | None = None
    status: Status = "RUNNING"
    output: Any = None
    error: str | None = None
    cause: str | None = None
    started_at: float = 0.0
    ended_at: float | None = None
    redrives: int = 0
    redriven_at: float | None = None
    level: Level | None = None
    process: Process | None = None
    helpers: list[Process] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    children: list[Execution] = field(default_factory=list)
    ended: Event = field(init=False)
    child_ended: Event = field(init=False)

    def __post_init__(self) -> None:
        self.ended = Event(self.service.kernel)
        self.child_ended = Event(self.service.kernel)
        self.started_at = self.service.kernel.now
        self.level = Level(str(self.machine["StartAt"]), self.input)

    @property
    def name(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition(":")[2]

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self.status == "RUNNING"

    def begin(self) -> None:
        """Start its process, at its first state or where it was."""
        kernel = self.service.kernel
        label = f"execution {self.name}" + (f" redrive {self.redrives}" if self.redrives else "")
        self.process = kernel.spawn(label, "execution", self._run)

    def abort(self, error: str | None, cause: str | None) -> None:
        """End it where it stands; functions that it called go on."""
        if not self.is_running:
            return
        for child in self.children:
            child.abort(None, "the Map Run was aborted")
        self._end("ABORTED", error=error, cause=cause)
        for process in (self.process, *self.helpers):
            if process is not None:
                process.kill()

    def redrive(self) -> None:
        """Go on from the state that did not succeed, with the same ARN."""
        self.status, self.error, self.cause, self.ended_at = "RUNNING", None, None, None
        self.ended = Event(self.service.kernel)
        self.redrives += 1
        self.redriven_at = self.service.kernel.now
        self.service.announce(self)
        self.begin()

    @property
    def context(self) -> dict[str, Any]:
        """The context object, ``$$``."""
        found: dict[str, Any] = {"Execution": {"Id": self.arn, "Name": self.name}}
        if self.item is not None:
            found["Map"] = {"Item": self.item}
        return found

    # -- the walk

    def _run(self) -> None:
        kernel = self.service.kernel
        kernel.sleep(_BEGIN_S)
        assert self.level is not None
        while True:
            name, data = self.level.state, self.level.data
            state = self.machine["States"][name]
            kernel.sleep(_TRANSITION_S)
            self.service.count(state, data)
            try:
                if state["Type"] == "Fail":
                    self._fail(state, data)
                    return
                following, output = self._step(name, state, data)
            except StatesError as error:
                self._end("FAILED", error=error.name, cause=error.cause)
                return
            if following is None:
                self._end("SUCCEEDED", output=output)
                return
            self.level = Level(following, output)

    def _fail(self, state: Mapping[str, Any], data: Any) -> None:
        def text(field: str) -> str | None:
            if f"{field}Path" in state:
                return str(read_path(state[f"{field}Path"], data, self.context))
            return state.get(field)

        self._end("FAILED", error=text("Error"), cause=text("Cause"))

    def _step(self, name: str, state: Mapping[str, Any], data: Any) -> tuple[str | None, Any]:
        """Do one state; the state that follows it, and its output."""
        if state["Type"] == "Choice":
            return choose(state, data, self.context), data
        retries: dict[int, int] = {}
        while True:
            try:
                result = self._result(name, state, data)
                break
            except StatesError as error:
                self.service.kernel.note(self.process, f"{name}: {error.name} {error.cause[:200]}")
                if self._waited_for_retry(state, error, retries):
                    continue
                for rule in state.get("Catch", ()):
                    if matches(rule, error):
                        caught = {"ResultPath": rule.get("ResultPath", "$")}
                        return str(rule["Next"]), put_result(caught, data, error.output)
                raise
        output = put_result(state, data, result)
        if len(json.dumps(output)) > _MAX_STATE_BYTES:
            raise StatesError("States.DataLimitExceeded", name)
        return (None if state.get("End") else str(state["Next"])), output

    def _result(self, name: str, state: Mapping[str, Any], data: Any) -> Any:
        given = read_path(state["InputPath"], data, self.context) if "InputPath" in state else data
        if state["Type"] == "Pass":
            return (
                fill(state["Parameters"], given, self.context) if "Parameters" in state else given
            )
        if state["Type"] == "Map":
            return self._map(name, state, given)
        answer = self._task(name, state, given)
        if "ResultSelector" in state:
            try:
                return fill(state["ResultSelector"], answer, self.context)
            except StatesError as error:
                raise StatesError("States.Runtime", error.cause) from error
        return answer

    def _waited_for_retry(
        self, state: Mapping[str, Any], error: StatesError, retries: dict[int, int]
    ) -> bool:
        for number, rule in enumerate(state.get("Retry", ())):
            if not matches(rule, error):
                continue
            used = retries.get(number, 0)
            if used >= rule.get("MaxAttempts", 3):
                return False
            retries[number] = used + 1
            wait_s = rule.get("IntervalSeconds", 1) * rule.get("BackoffRate", 2.0) ** used
            wait_s = min(wait_s, rule.get("MaxDelaySeconds", wait_s))
            chooser = self.service.kernel.chooser
            if rule.get("JitterStrategy") == "FULL":
                wait_s = chooser.between(f"{self.name} waits before a retry", 0.0, wait_s)
            self.service.kernel.sleep(wait_s)
            return True
        return False

    # -- tasks

    def _task(self, name: str, state: Mapping[str, Any], data: Any) -> Any:
        resource = state["Resource"]
        context = self.context
        timeout_s = float(state.get("TimeoutSeconds", 99_999_999))
        if "TimeoutSecondsPath" in state:
            timeout_s = float(read_path(state["TimeoutSecondsPath"], data, context))
        token: Token | None = None
        if resource.endswith(".waitForTaskToken"):
            token = self.service.new_token(self)
            context["Task"] = {"Token": token.text}
        elif not resource.endswith("lambda:invoke"):
            raise AssertionError(f"the simulator does not know {resource}")
        given = fill(state["Parameters"], data, context)
        answered = token.told if token is not None else Event(self.service.kernel)
        helper = self.service.kernel.spawn(
            f"{self.name} {name} {self.service.number()}",
            "execution",
            lambda: self._call(given, answered, failures_alone=token is not None),
        )
        self.helpers.append(helper)
        is_answered = answered.wait(timeout_s)
        self.helpers.remove(helper)
        if token is not None:
            token.is_open = False
        if not is_answered:
            # The function that was called goes on; nobody listens any more.
            helper.kill()
            raise StatesError("States.Timeout", f"{name} took longer than {timeout_s} s")
        if isinstance(answered.value, StatesError):
            raise answered.value
        return answered.value

    def _call(self, given: Mapping[str, Any], answered: Event, *, failures_alone: bool) -> None:
        """Invoke a function and hand on what it says; with a token its success says nothing."""
        try:
            payload = self.service.invoke(given["FunctionName"], given["Payload"])
        except StatesError as error:
            answered.set(error)
            return
        if not failures_alone:
            answered.set({"StatusCode": 200, "Payload": payload})

    # -- the Map

    def _map(self, name: str, state: Mapping[str, Any], data: Any) -> Any:
        items = self._items(state, data)
        most = state.get("MaxConcurrency", 0)
        if "MaxConcurrencyPath" in state:
            most = read_path(state["MaxConcurrencyPath"], data, self.context)
        known = {child.item["Index"]: child for child in self.children if child.item is not None}
        if not self.redrives or not any(child.status == "ABORTED" for child in self.children):
            known, self.children = {}, []
        waiting = iter(enumerate(items))
        running: list[Execution] = []
        while True:
            for index, value in self._next(waiting, running, most or len(items)):
                running.append(self._child(name, state, data, index, value, known.get(index)))
            if not running:
                break
            self.child_ended = Event(self.service.kernel)
            if all(child.is_running for child in running):
                self.child_ended.wait()
            running = [child for child in running if child.is_running]
        failed = sum(child.status != "SUCCEEDED" for child in self.children)
        if items and 100.0 * failed / len(items) > state.get("ToleratedFailurePercentage", 0):
            raise StatesError("States.ExceedToleratedFailureThreshold", f"{failed} items failed")
        results = [child.output for child in self.children]
        if "ResultWriter" in state:
            return {"MapRunArn": f"{self.arn}/{name}", "ResultWriterDetails": {}}
        return results

    @staticmethod
    def _next(
        waiting: Iterator[tuple[int, Any]], running: list[Execution], most: int
    ) -> Iterator[tuple[int, Any]]:
        while len(running) < most:
            try:
                yield next(waiting)
            except StopIteration:
                return

    def _items(self, state: Mapping[str, Any], data: Any) -> list[Any]:
        where = fill(state["ItemReader"]["Parameters"], data, self.context)
        # The service itself reads, and tries until it has read.
        found = self.service.stack.s3.buckets[where["Bucket"]].get(where["Key"])
        if found is None:
            raise StatesError("States.ItemReaderFailed", f"there is no {where['Key']}")
        items = json.loads(found.body)
        if not isinstance(items, list):
            raise StatesError("States.ItemReaderFailed", "the items are no array")
        return items

    def _child(
        self,
        name: str,
        state: Mapping[str, Any],
        data: Any,
        index: int,
        value: Any,
        known: Execution | None,
    ) -> Execution:
        if known is not None:
            if known.status != "SUCCEEDED":
                known.redrive()
            return known
        item = {"Index": index, "Value": value}
        context = self.context | {"Map": {"Item": item}}
        selected = fill(state["ItemSelector"], data, context) if "ItemSelector" in state else value
        machine = state["ItemProcessor"]
        arn = f"{self.arn}/{state.get('Label', name)}:{self.name}-{self.service.number()}-{index}"
        child = Execution(self.service, arn, machine, selected, item, self)
        self.children.append(child)
        child.begin()
        return child

    def _end(
        self,
        status: Status,
        *,
        output: Any = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        self.status, self.output, self.error, self.cause = status, output, error, cause
        self.ended_at = self.service.kernel.now
        for token in self.tokens:
            token.is_open = False
        told = f"ends {status}" + (f": {error}: {cause}" if error or cause else "")
        self.service.kernel.note(self.process, told)
        self.service.announce(self)
        self.ended.set()
        if self.parent is not None:
            self.parent.child_ended.set()
