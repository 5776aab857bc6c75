"""What a simulated run asked of AWS, counted where it is asked: calls, bytes, transitions."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from local.batch.model import Job
from tests.simulation.account import CONTROL
from tests.simulation.kernel import Process
from tests.simulation.s3 import Stored

if TYPE_CHECKING:
    from tests.simulation.executions import Execution
    from tests.simulation.resources import Function
    from tests.simulation.stack import Stack

_SHARD = re.compile(r"-(\d{6})-")


class Counts:
    """Counts everything from now on. ``traced`` are functions whose memory is measured."""

    def __init__(self, stack: Stack, traced: Collection[str] = ()) -> None:
        self.stack = stack
        # By function and call (``batch SubmitJob``).
        self.calls: Counter[tuple[str, str]] = Counter()
        # By shard, function and call, those of Batch alone.
        self.of_shard: defaultdict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.batch_at: list[float] = []
        self.submitted_at: list[float] = []
        # List requests by invocation and folder.
        self.lists: Counter[tuple[str, str]] = Counter()
        self.transitions: Counter[str] = Counter()
        self.largest: Counter[str] = Counter()
        self.peak_bytes: Counter[str] = Counter()
        self._traced = traced
        stack.kernel.observe = self._observe
        self._watch_states()
        self._watch_jobs()
        self._watch_functions()
        stack.s3.watchers.append(self._watch_objects)

    def busiest_second(self, at: list[float]) -> int:
        """The most calls in any second."""
        times, first, most = sorted(at), 0, 0
        for last, time in enumerate(times):
            while times[first] <= time - 1.0:
                first += 1
            most = max(most, last - first + 1)
        return most

    def of(self, call: str, function: str | None = None) -> int:
        """How often something was called, by a function or by all."""
        return sum(
            count
            for (who, what), count in self.calls.items()
            if what == call and function in (None, who)
        )

    def most_lists(self, function: str, folder: str) -> int:
        """The most list requests of one invocation of a function below a folder."""
        found = (
            count
            for (who, where), count in self.lists.items()
            if who.split()[0] == function and where == folder
        )
        return max(found, default=0)

    # -- where it is counted

    def _observe(self, process: Process, name: str, answer: Any) -> None:
        del answer
        if process.kind != "lambda":
            return
        function = process.name.partition(" ")[0]
        service, call, about = (*name.split(" ", 2), "")[:3]
        self.calls[function, f"{service} {call}"] += 1
        if service == "batch":
            self.batch_at.append(self.stack.kernel.now)
            if call == "SubmitJob":
                self.submitted_at.append(self.stack.kernel.now)
            if found := _SHARD.search(about):
                self.of_shard[int(found[1])][function, call] += 1
        elif call == "ListObjectsV2":
            folder = about.rpartition("/")[0].split("/")
            known = [each for each in folder if each in ("markers", "parts", "shards", "tokens")]
            self.lists[process.name, known[0] if known else about] += 1

    def _watch_states(self) -> None:
        states = self.stack.states
        count, invoke = states.count, states.invoke

        def counted(state: Any, data: Any) -> None:
            count(state, data)
            assert self.stack.kernel.current is not None
            self.transitions[self.stack.kernel.current.name] += 1

        def invoked(function: str, payload: Any) -> Any:
            answer = invoke(function, payload)
            self._see("answer of a function", len(json.dumps(answer)))
            return answer

        states.count, states.invoke = counted, invoked

    def _watch_jobs(self) -> None:
        batch = self.stack.batch
        submit = batch.submit

        def submitted(request: dict[str, Any]) -> dict[str, Any]:
            before, peak = _memory()
            answer = submit(request)
            job: Job = batch.jobs[answer["jobId"]]
            self._see("container overrides", job.spec.overrides_chars)
            if tracemalloc.is_tracing():
                # What the simulated Batch takes is not the function's.
                self._aside_bytes += _memory()[0] - before
                self._known_peak = max(self._known_peak, peak)
                tracemalloc.reset_peak()
            return answer

        batch.submit = submitted

    def _watch_objects(
        self, bucket: str, key: str, before: Stored | None, after: Stored | None
    ) -> None:
        del before
        if bucket == CONTROL and after is not None and key.endswith(".json"):
            name = key.split("/")[2].removesuffix(".json")
            self._see(f"control document: {name}", len(after.body))

    def _watch_functions(self) -> None:
        lambdas = self.stack.lambdas
        run = lambdas._run

        def traced(function: Function, *rest: Any) -> Any:
            name = function.name.removesuffix("Function")
            if name not in self._traced or tracemalloc.is_tracing():
                return run(function, *rest)
            self._aside_bytes, self._known_peak = 0, 0
            tracemalloc.start()
            try:
                return run(function, *rest)
            finally:
                peak = max(self._known_peak, _memory()[1] - self._aside_bytes)
                self.peak_bytes[name] = max(self.peak_bytes[name], peak)
                tracemalloc.stop()

        lambdas._run = traced

    def _see(self, what: str, size: int) -> None:
        self.largest[what] = max(self.largest[what], size)

    _aside_bytes = 0
    _known_peak = 0


def of_shards(transitions: Counter[str], parent: Execution) -> list[int]:
    """The transitions of each execution inside the Map."""
    names = [f"execution {child.name}" for child in parent.children]
    return [transitions[name] for name in names]


def _memory() -> tuple[int, int]:
    return tracemalloc.get_traced_memory()
