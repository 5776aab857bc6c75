"""A container: the real worker in a process of virtual time.

What the worker has of real time, threads and logs is replaced for as long as :func:`simulated`
lasts, for all containers alike; what it does is its own.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

import greenlet

from drydock.store import Store
from tests.simulation.kernel import Event
from worker import (
    agent,
    attempt,
    contract,
    download,
    endings,
    gpus,
    history,
    leftovers,
    logs,
    parallel,
    places,
    results,
    scratch,
    stop_signals,
    tools,
    transfer,
    work,
)
from worker.journal import Journal
from worker.stop_signals import Stop

if TYPE_CHECKING:
    from tests.simulation.attempts import Attempt
    from tests.simulation.stack import Stack

TOY = "toy"
# The tools' own programs apart, this is all that a container runs.
_MODULES = (agent, attempt, contract, download, endings, gpus, history, leftovers, logs, parallel)
_MODULES += (places, results, scratch, stop_signals, tools, transfer, work)
# What a module must not have of the real world unless it is dealt with below.
_REAL = ("time", "threading", "queue", "subprocess", "random", "secrets", "uuid", "datetime")
_REAL += ("ThreadPoolExecutor", "each")
_HARMLESS = {
    # Stop is replaced by VirtualStop, and nobody watches for notices in a thread.
    stop_signals: {"threading", "time", "queue"},
    # MarkerWriter is told the time.
    results: {"time"},
    # `each` is replaced where it is called.
    parallel: {"threading", "time", "queue", "each"},
}
_scratch: str | None = None


class Container:
    """One container: its process ends with an exit code as its result, or is killed."""

    def __init__(self, stack: Stack, own: Attempt) -> None:
        if _scratch is None:
            raise AssertionError("containers run within `with containers.simulated()` alone")
        self.attempt = own
        self.kernel = stack.kernel
        self.stop = VirtualStop(self)
        self._store = Store(stack.s3.client(), None)
        self.process = stack.kernel.spawn(f"container {own.name}", "container", self._run)

    def terminate(self) -> None:
        """SIGTERM."""
        if not self.process.ended.is_set:
            self.stop.ask("signal", "SIGTERM")

    def hear_notice(self, machine: str) -> None:
        """The instance's metadata tells of its end."""
        if not self.process.ended.is_set:
            self.stop.ask("spot", f"Spot notice: {machine} is terminated in two minutes")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def _run(self) -> int:
        greenlet.getcurrent().container = self
        environment = {
            **self.attempt.environment(),
            "SHRTCACHE": str(_scratch),
            # Notices come by the machine.
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return agent.main(environment, self._store, self.stop)


def here() -> Container:
    """The container that runs."""
    container: Container = greenlet.getcurrent().container
    return container


def now() -> float:
    """The time, on the clock of the container that runs."""
    return here().kernel.now


class VirtualStop(Stop):
    """The worker's stop, whose waits take virtual time.

    ``stride_s``: a tool that knows when something happens next lets a wait last as long; real
    programs are looked at five times a second, which would be all that a history does.
    """

    def __init__(self, container: Container) -> None:
        kernel = container.kernel
        super().__init__(clock=lambda: kernel.now, sleep=kernel.sleep)
        self.stride_s = 0.0
        self._kernel = kernel
        self._until: float | None = None
        self._waiting: Event | None = None

    def set_deadline(self, deadline: float) -> None:
        self._until = deadline
        super().set_deadline(deadline)

    def wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set()

    def wait(self, seconds: float) -> None:
        if self.reason is not None:
            return
        seconds, self.stride_s = max(seconds, self.stride_s), 0.0
        if self._until is not None:
            seconds = min(seconds, max(0.0, self._until - self._kernel.now))
        self._waiting = Event(self._kernel)
        self._waiting.wait(seconds)
        self._waiting = None


class Telling(Journal):
    """A journal whose lines are part of the story."""

    def __init__(self, stream: Any = None, **context: Any) -> None:
        self._said = {**context}

    def about(self, **context: Any) -> Telling:
        return Telling(**(self._said | context))

    def say(self, event: str, **fields: Any) -> None:
        container = here()
        told = ", ".join(f"{name} {value}" for name, value in fields.items() if name != "seconds")
        container.kernel.note(container.process, f"says {event}: {told}")


class Result:
    """What was done at once, as a future tells it."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._value: Any = None
        self._error: Exception | None = None
        try:
            self._value = do()
        except Exception as error:  # noqa: BLE001 - it is raised where it is waited for
            self._error = error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value


class OneByOne:
    """A pool of threads without any: one thing is done after the other."""

    def __init__(self, *_threads: Any, **_named: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def submit(self, do: Callable[..., Any], *given: Any) -> Result:
        return Result(lambda: do(*given))

    def map(self, do: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        return [do(item) for item in items]


def _each(
    do: Callable[[Any], None],
    items: Sequence[Any],
    _threads: int,
    stop: Stop,
    finished: Callable[[Any], None] = lambda _item: None,
) -> None:
    """:func:`worker.parallel.each`, one after the other."""
    for item in items:
        if stop.reason is not None:
            raise endings.Interrupted(stop.reason.text)
        do(item)
        finished(item)


class Folder:
    """A container's own folder; it goes with the container, however that ends."""

    def __init__(self, base: Path) -> None:
        self._path = base / str(next(_folders))

    def __enter__(self) -> Path:
        self._path.mkdir()
        return self._path

    def __exit__(self, *_error: object) -> None:
        _remove(self._path)


_folders = itertools.count()


def _remove(folder: str | Path) -> None:
    """Much quicker than what has to get through all that tools may leave."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                _remove(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108 - a path costs more than this
    os.rmdir(folder)  # noqa: PTH106 - see above


def _replacements() -> list[tuple[ModuleType, str, Any]]:
    clock = SimpleNamespace(monotonic=now)
    chance = SimpleNamespace(
        uniform=lambda low, high: here().kernel.chooser.between(
            f"{here().process.name} pauses", low, high
        )
    )
    return [
        (agent, "time", clock),
        (attempt, "time", clock),
        (history, "time", clock),
        (attempt, "ThreadPoolExecutor", OneByOne),
        (agent, "ThreadPoolExecutor", OneByOne),
        (history, "ThreadPoolExecutor", OneByOne),
        (results, "ThreadPoolExecutor", OneByOne),
        (transfer, "each", _each),
        (download, "each", _each),
        (download, "random", chance),
        (agent, "Journal", Telling),
        (agent, "sys", SimpleNamespace(stderr=io.StringIO())),
        # Both take the clock once, when their modules are read.
        (attempt, "MarkerWriter", functools.partial(results.MarkerWriter, clock=now)),
        (agent, "Scratch", Folder),
        (attempt, "remove", _remove),
        (attempt, "log_stream", lambda: here().attempt.log_stream),
        (tools, "_OWN", {TOY: "tests.simulation.toy:Toy.from_setting"}),
    ]


@contextlib.contextmanager
def simulated() -> Iterator[None]:
    """Let containers run in virtual time; once around any number of histories.

    Raises:
        AssertionError: the worker has come to use something of the real world that is not
            replaced here, or does not have any more what is.
    """
    global _scratch  # noqa: PLW0603 - it is the process's, as what is replaced is
    if _scratch is not None:
        yield
        return
    replaced = _replacements()
    _check(replaced)
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with contextlib.ExitStack() as until:
        _scratch = tempfile.mkdtemp(prefix="drydock-simulation-", dir=base)
        until.callback(_forget, _scratch)
        for module, name, new in replaced:
            until.enter_context(mock.patch.object(module, name, new))
        yield


def _forget(folder: str) -> None:
    global _scratch  # noqa: PLW0603 - see above
    _scratch = None
    shutil.rmtree(folder, ignore_errors=True)


def _check(replaced: list[tuple[ModuleType, str, Any]]) -> None:
    known = {(module.__name__, name) for module, name, _ in replaced}
    known |= {(module.__name__, name) for module, names in _HARMLESS.items() for name in names}
    found = {
        (module.__name__, name) for module in _MODULES for name in _REAL if hasattr(module, name)
    }
    if strangers := sorted(found - known):
        raise AssertionError(f"the simulation does not replace {strangers}")
