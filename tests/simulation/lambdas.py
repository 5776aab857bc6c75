"""AWS Lambda: invocations of the real handlers, each a process that may die at any effect.

An execution environment runs one invocation at a time and is kept for the next; one whose
invocation was killed is not. Powertools' logs and metrics are silent, its batch processor is real.
"""

from __future__ import annotations

import functools
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import aws_lambda_powertools
import greenlet

from drydock import concurrency
from drydock.errors import DrydockError
from tests.simulation.kernel import Kernel, Process
from tests.simulation.resources import Function, arn, resources

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

_FUNCTIONS = Path(__file__).parents[2] / "functions"
# https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
_RETRIES_S = (60.0, 120.0)
# What a request of a slow invocation takes.
_PACE_S = (0.3, 6.0)


class Silent:
    """Powertools' Logger, Metrics and single metric, saying nothing."""

    def __init__(self, *args: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def inject_lambda_context(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        return handler

    log_metrics = inject_lambda_context

    def info(self, *args: Any, **keys: Any) -> None: ...

    debug = warning = error = exception = add_metric = add_dimension = info


class Serial:
    """The pool of ``concurrency.each`` where time is virtual: one after the other.

    As in a pool, any may be the first, and what was asked for is done even where something before
    it fails.
    """

    def __init__(self, max_workers: int) -> None:
        del max_workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None: ...

    def map(self, do: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        given = list(items)
        results: list[Any] = [None] * len(given)
        failures: dict[int, Exception] = {}
        first = _first(len(given))
        for at in (*range(first, len(given)), *range(first)):
            try:
                results[at] = do(given[at])
            except Exception as error:  # noqa: BLE001 - raised below
                failures[at] = error
        if failures:
            raise failures[min(failures)]
        return iter(results)


def _first(count: int) -> int:
    """Which of so many things a pool begins with."""
    process = getattr(greenlet.getcurrent(), "process", None)
    if count < 2 or process is None:
        return 0
    what = f"{process.name} #{process.effects} begins with"
    return min(int(process.kernel.chooser.between(what, 0, count)), count - 1)


_threads = concurrency.ThreadPoolExecutor


def _pool(max_workers: int) -> Any:
    """Threads for whoever is no simulated process."""
    return (Serial if greenlet.getcurrent().parent else _threads)(max_workers=max_workers)


concurrency.ThreadPoolExecutor = _pool
# The story tells what goes wrong.
logging.getLogger("drydock").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Context:
    """Lambda's context object, as far as handlers use it."""

    kernel: Kernel
    aws_request_id: str
    function_name: str
    invoked_function_arn: str
    deadline: float
    memory_limit_in_mb: str = "512"

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is killed."""
        return max(0, int((self.deadline - self.kernel.now) * 1000))


@functools.cache
def _code(module: str) -> CodeType:
    path = _FUNCTIONS / f"{module}.py"
    return compile(path.read_text(encoding="utf-8"), str(path), "exec")


_idle: dict[str, list[ModuleType]] = defaultdict(list)


@contextmanager
def _environment(module: str) -> Iterator[ModuleType]:
    """An environment of a function, for one invocation."""
    found = _idle[module].pop() if _idle[module] else _started(module)
    try:
        yield found
    except Exception:
        _idle[module].append(found)
        raise
    _idle[module].append(found)


def _started(module: str) -> ModuleType:
    environment = ModuleType(f"functions.{module}")
    with (
        mock.patch.object(aws_lambda_powertools, "Logger", Silent),
        mock.patch.object(aws_lambda_powertools, "Metrics", Silent),
        mock.patch.object(aws_lambda_powertools, "single_metric", Silent),
    ):
        exec(_code(module), environment.__dict__)
    return environment


class Lambdas:
    """The stack's functions.

    ``broken`` are the errors that no door raises by name: each is a fault of the code.
    ``given_up`` are the asynchronous invocations that failed each time: when, which, with what.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._kernel = stack.kernel
        self._functions = resources(stack.settings).functions
        # How often each was called, by what it is called in the story.
        self.numbers: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.broken: list[tuple[Process, BaseException]] = []
        self.given_up: list[tuple[float, str, dict[str, Any]]] = []

    def invoke(self, name: str, payload: dict[str, Any], what: str | None = None) -> Process:
        """Call a function, by its logical name or its ARN; ``result`` is what it returned.

        ``what`` names the invocation in the story: the same one has the same name in a history
        in which less goes wrong. Where it failed ``error`` is set, and ``error_name`` is what Step
        Functions calls it.
        """
        function = self._functions[name.rpartition(":")[2]]
        self.calls[function.name] += 1
        text = json.dumps(payload)
        short = function.name.removesuffix("Function")
        label = f"{short} {payload.get('shard', '') if what is None else what}".strip()
        deadline = self._kernel.now + function.timeout_s
        self.numbers[label] += 1
        process = self._kernel.spawn(
            f"{label} #{self.numbers[label]}",
            "lambda",
            lambda: self._run(function, text, deadline),
        )
        # Until it says something else: who is killed says nothing.
        process.error_name = "Lambda.Unknown"
        if self._kernel.chooser.happens(f"{process.name} begins", "slow function"):
            pace_s = self._kernel.chooser.between(f"{process.name} is slow", *_PACE_S)
            process.pace_s = round(pace_s, 2)
            self._kernel.note(process, f"is slow: each request takes {process.pace_s} s")

        def time_out() -> None:
            self._kernel.note(process, f"runs into its timeout of {function.timeout_s:.0f} s")
            process.error_name = "Sandbox.Timedout"
            process.kill()

        timer = self._kernel.after(function.timeout_s, time_out)
        process.ended.then(timer.cancel)
        return process

    def invoke_later(
        self, name: str, payload: dict[str, Any], what: str | None = None, tries: int = 0
    ) -> None:
        """Call a function that nobody waits for: where it fails it is called twice more."""
        process = self.invoke(name, payload, what)

        def after_its_end() -> None:
            if process.error is None:
                return
            if tries < len(_RETRIES_S):
                self._kernel.after(_RETRIES_S[tries], retry_invocation)
            else:
                self._kernel.note(process, "is not tried again")
                self.given_up.append((self._kernel.now, name, payload))

        def retry_invocation() -> None:
            self.invoke_later(name, payload, what, tries + 1)

        process.ended.then(after_its_end)

    def _run(self, function: Function, text: str, deadline: float) -> Any:
        process = self._kernel.acting()
        context = Context(
            self._kernel,
            process.name,
            function.name,
            arn("lambda", f"function:{function.name}"),
            deadline,
        )
        services = self.stack.services()
        greenlet.getcurrent().process = process
        with _environment(function.module) as environment:
            environment.services = lambda: services
            self._watch_records(process, environment)
            try:
                result = environment.lambda_handler(json.loads(text), context)
                return json.loads(json.dumps(result))
            except Exception as error:
                process.error_name = type(error).__name__
                self._tell(process, error)
                raise

    def _watch_records(self, process: Process, environment: ModuleType) -> None:
        """Powertools keeps what a record's handler raises to itself."""
        handle = environment.__dict__.get("handle")
        if handle is None:
            return
        handle = getattr(handle, "__wrapped__", handle)

        @functools.wraps(handle)
        def watched(record: Any) -> None:
            try:
                handle(record)
            except Exception as error:
                self._tell(process, error)
                raise

        environment.handle = watched

    def _tell(self, process: Process, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        known = isinstance(error, DrydockError)
        self._kernel.note(process, f"fails: {text}" if known else f"BREAKS: {text}")
        if not known:
            self._kernel.aside(lambda: self.broken.append((process, error)))
