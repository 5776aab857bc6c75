"""One account with drydock deployed: the real doors and handlers over simulated services."""

from __future__ import annotations

import hashlib
import itertools

from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.messages import Messages
from drydock.registry import Registry
from drydock.services import Services
from drydock.store import Store
from tests.simulation import registry
from tests.simulation.account import QUEUE_URL, TOPIC_ARN, settings_of
from tests.simulation.batch import Batch
from tests.simulation.bus import Bus
from tests.simulation.grounds import CLOCKS_APART_S
from tests.simulation.kernel import Kernel, Process
from tests.simulation.lambdas import Lambdas
from tests.simulation.queues import Queues, Topic
from tests.simulation.s3 import S3
from tests.simulation.states import StepFunctions


class Stack:
    """What `sam deploy` makes. ``settings`` are the environment of every function."""

    def __init__(self, kernel: Kernel, *, machines: int = 3, **environment: str) -> None:
        self.kernel = kernel
        self.settings = settings_of(environment)
        self.s3 = S3(self)
        self.queues = Queues(self)
        self.topic = Topic(self)
        self.bus = Bus(self)
        self.lambdas = Lambdas(self)
        self.batch = Batch(self, machines=machines)
        self.states = StepFunctions(self)
        self._uniques = itertools.count()
        self._clocks_off: dict[Process, float] = {}
        self._services = self._connect()

    def services(self) -> Services:
        """The real doors, over the simulated services; they keep nothing between requests."""
        return self._services

    def _connect(self) -> Services:
        return Services(
            settings=self.settings,
            store=Store(self.s3.client(), None),
            jobs=Jobs(self.batch.client()),
            executions=Executions(self.states.client()),
            messages=Messages(QUEUE_URL, TOPIC_ARN, self.queues.client(), self.topic.client()),
            registry=Registry(registry.Client(self.kernel)),
            now=self._clock,
            unique=self.unique,
        )

    def _clock(self) -> float:
        """The time by the clock of the process that asks: two may differ by a minute."""
        process = self.kernel.current
        if process is None:
            return self.kernel.now
        if process not in self._clocks_off:
            choose, what = self.kernel.chooser, f"clock of {process.name}"
            is_off = choose.happens(what, "clock off")
            self._clocks_off[process] = (
                choose.between(what, -CLOCKS_APART_S / 2, CLOCKS_APART_S / 2) if is_off else 0.0
            )
        return self.kernel.now + self._clocks_off[process]

    def unique(self) -> str:
        """16 hex digits that nobody had before."""
        return hashlib.sha256(b"%d" % next(self._uniques)).hexdigest()[:16]
