"""A run of many inputs in virtual time, up to a million, over cheap containers.

The state machine, the functions and the core are the real ones. Spot machines of 96 vCPUs are
taken away at random, every other one without notice; a few containers do not start. Each request
takes its time, and those of different processes are under way at once.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from local.batch.model import ENDED, Job
from tests.simulation.account import DATA, IMAGE, INTAKE
from tests.simulation.cheap import Farm, stored
from tests.simulation.counts import Counts
from tests.simulation.executions import Execution
from tests.simulation.kernel import Effect, Fault, Kernel, Process
from tests.simulation.machines import Machine
from tests.simulation.stack import Stack

VCPUS = 96
# What requests take, rather less than on AWS, so that more of them fall into a second.
_PACES_S = {"batch": 0.05, "ecr": 0.05, "s3": 0.02, "sqs": 0.01, "sns": 0.01, "states": 0.03}
# AggregateShard reads so many objects at a time.
_READERS = 16
_STEP_S = 60.0
_SURE = 200
# What drydock.jobs allows.
_TRIES = 8


@dataclass
class Dice:
    """Chooses by chance from a seed; ``chances`` name what may go wrong."""

    seed: int
    chances: dict[str, float]

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def pick(self, ready: list[Process]) -> int:
        return 0

    def fault(self, effect: Effect) -> Fault | None:
        return None

    def between(self, what: str, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def happens(self, what: str, chance: str) -> bool:
        probability = self.chances.get(chance)
        return probability is not None and self.random.random() < probability


class Parallel(Kernel):
    """Requests take their time beside each other; what has ended is forgotten.

    Batch refuses calls beyond ``most_a_second``; they are tried again as botocore tries them.
    """

    def __init__(self, chooser: Dice, most_a_second: int | None = None) -> None:
        super().__init__(chooser, limit=sys.maxsize, latency_s=0.0)
        self.story = deque(maxlen=1000)
        self.refused = 0
        self._dice = chooser
        self._most_a_second = most_a_second
        self._accepted: deque[float] = deque(maxlen=most_a_second)

    def effect(self, name: str, do: Callable[[], Any], *, writes: bool) -> Any:
        process = self.current
        if process is not None:
            if self._most_a_second and name.startswith("batch "):
                self._be_let_in(name)
            process.pace_s = _PACES_S[name.partition(" ")[0]]
            if name.startswith("s3 GetObject") and process.name.startswith("AggregateShard"):
                process.pace_s /= _READERS
        return super().effect(name, do, writes=writes)

    def _be_let_in(self, name: str) -> None:
        for tries in range(_TRIES):
            accepted = self._accepted
            if len(accepted) < (self._most_a_second or 0) or accepted[0] <= self.now - 1.0:
                accepted.append(self.now)
                return
            self.refused += 1
            self.sleep(self._dice.random.uniform(0, min(20.0, 2.0**tries)))
        raise ClientError({"Error": {"Code": "TooManyRequestsException", "Message": ""}}, name)

    def spawn(self, name: str, kind: Any, do: Callable[[], Any]) -> Process:
        process = super().spawn(name, kind, do)
        process.ended.then(lambda: self.processes.remove(process))
        return process


@dataclass
class Crowd:
    """One run. ``waves`` is how often the machines are full until all is done, if ``machines`` does
    not say how many there are. Batch lets ``most_a_second`` calls in. ``storms`` are times (s from
    the start) at which every machine is taken away at once.
    """

    inputs: int
    pack: int = 1
    shard_size: int = 10_000
    waves: int = 20
    machines: int | None = None
    most_a_second: int | None = None
    reclaims_an_hour: float = 0.05
    start_failures: float = 0.0002
    storms: tuple[float, ...] = ()
    rows: int = 3
    seed: int = 1
    traced: Collection[str] = ()
    forgets: bool = True
    progress: Callable[[str], None] = lambda text: None
    reclaimed: int = 0
    storm_children: list[int] = field(default_factory=list)
    is_over: bool = False

    def __post_init__(self) -> None:
        self.dice = Dice(self.seed, {"start failure": self.start_failures})
        self.kernel = Parallel(self.dice, self.most_a_second)
        children = math.ceil(self.inputs / self.pack)
        machines = self.machines or max(1, math.ceil(children / VCPUS / self.waves))
        self.stack = Stack(self.kernel, machines=machines, SHARD_SIZE=str(self.shard_size))
        for fleet in self.stack.batch.fleets.values():
            fleet.slots = VCPUS
        self.farm = Farm(self.stack, rows=self.rows)
        self.stack.batch.make_container = self.farm.container
        self.counts = Counts(self.stack, self.traced)
        self._forget_what_ends()
        self._keep_to_itself_what_nobody_hears()

    # -- the run

    def run(self) -> Execution:
        """Upload the request and let time pass until nothing goes on; the execution."""
        self.began = self.kernel.now
        self.cpu_s = -time.process_time()
        listed = "".join(f"s3://{DATA}/ligands/{n:07d}.sdf\n" for n in range(self.inputs))
        self._put(DATA, "lists/all.txt", listed.encode())
        self._put(INTAKE, "a-run.json", json.dumps(self._request()).encode())
        self.stack.bus.start_schedules()
        self._reclaim_sometime()
        for at in self.storms:
            self.kernel.after(at, self._storm)
        while not self._is_quiet():
            until = self.kernel.now + _STEP_S
            self.kernel.run(until=until)
            self.kernel.now = max(self.kernel.now, until)
        self.is_over = True
        self.stack.bus.stop_schedules()
        (execution,) = self.stack.states.executions.values()
        self.hours = ((execution.ended_at or 0.0) - self.began) / 3600
        self.cpu_s += time.process_time()
        return execution

    def accounting(self) -> dict[str, Any]:
        """What the run says of itself."""
        found = self.stack.s3.buckets[DATA]["out/results/accounting.json"]
        return dict(json.loads(found.body))

    def _request(self) -> dict[str, Any]:
        return {
            "name": "a-million",
            "input": f"s3://{DATA}/lists/all.txt",
            "output": f"s3://{DATA}/out/",
            "tool": "toy",
            "options": {},
            "image": IMAGE,
            "inputs_per_job": self.pack,
        }

    def _put(self, bucket: str, key: str, body: bytes) -> None:
        self.stack.s3.change(bucket, key, stored(body))

    def _is_quiet(self) -> bool:
        stack = self.stack
        if not stack.states.executions or stack.states.running():
            return False
        return not (stack.batch.active() or stack.queues.waiting() or stack.bus.digest())

    # -- machines are taken away

    def _reclaim_sometime(self) -> None:
        """A Poisson process over all machines."""
        machines = list(self.stack.batch.fleets["spot"].machines)
        rate = max(1, len(machines)) * self.reclaims_an_hour / 3600
        in_s = self.dice.random.expovariate(rate) if rate else math.inf
        # Machines come and go: nothing is drawn for longer than a minute.
        if in_s > _STEP_S:
            self._later(_STEP_S, self._reclaim_sometime)
            return

        def reclaim_one() -> None:
            fleet = self.stack.batch.fleets["spot"]
            here = [each for each in fleet.machines if not each.noticed]
            if here:
                self._take(self.dice.random.choice(here), notice=self.dice.random.random() < 0.5)
            self._reclaim_sometime()

        self._later(in_s, reclaim_one)

    def _storm(self) -> None:
        running = 0
        for machine in list(self.stack.batch.fleets["spot"].machines):
            running += len(machine.attempts)
            self._take(machine, notice=False)
        self.storm_children.append(running)

    def _take(self, machine: Machine, *, notice: bool) -> None:
        fleet = self.stack.batch.fleets["spot"]
        self.reclaimed += 1
        if notice:
            fleet.reclaim(machine)
        else:
            fleet.take_away(machine)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        def unless_over() -> None:
            if not self.is_over:
                do()

        self.kernel.after(seconds, unless_over)

    # -- memory and time

    def _keep_to_itself_what_nobody_hears(self) -> None:
        """Batch tells of each step of a child, and no rule is for any but the failed ones: once
        that has shown often enough, those events are not made any more.
        """
        batch, bus = self.stack.batch, self.stack.bus
        publish = batch._publish
        unheard: Counter[str] = Counter()

        def published(kind: str, resources: list[str], job: Job) -> None:
            if job.parent is None or job.status == "FAILED":
                publish(kind, resources, job)
            elif unheard[job.status] < _SURE:
                before = len(bus.digest())
                publish(kind, resources, job)
                unheard[job.status] += 1
                assert len(bus.digest()) == before, f"somebody hears of {job.status} children"

        batch._publish = published

    def _forget_what_ends(self) -> None:
        states = self.stack.states
        announce = states.announce

        def announced(execution: Execution) -> None:
            announce(execution)
            if execution.parent is not None and not execution.is_running:
                assert execution.item is not None
                shard = int(execution.item["Value"]["shard"])
                self._forget(str(execution.input["run_id"]), shard)

        states.announce = announced

    def _forget(self, run_id: str, shard: int) -> None:
        """Drop the objects and the children of a shard that nobody looks at any more."""
        hours = (self.kernel.now - self.began) / 3600
        self.progress(f"{hours:6.2f} h: shard {shard} has ended")
        if not self.forgets:
            return
        self.farm.forget(shard)
        objects = self.stack.s3.buckets[DATA]
        for folder in ("shards", f"markers/{run_id}", f"parts/{run_id}"):
            below = f"out/{folder}/{shard:06d}/"
            for key in list(objects.irange(below, below + "~")):
                del objects[key]
        for job in self.stack.batch.parents.values():
            if job.status in ENDED and f"-{shard:06d}-" in job.spec.name:
                for child in job.children:
                    self.stack.batch.jobs.pop(child.id, None)
                job.children = []
