"""One account with drydock deployed: the real doors and handlers over simulated services."""

from __future__ import annotations

import hashlib
import itertools

from tests.simulation.batch import Batch

from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.messages import Messages
from drydock.services import Services
from drydock.store import Store
from tests.simulation.account import QUEUE_URL, TOPIC_ARN, settings_of
from tests.simulation.bus import Bus
from tests.simulation.kernel import Kernel
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
            now=lambda: self.kernel.now,
            unique=self.unique,
        )

    def unique(self) -> str:
        """16 hex digits that nobody had before."""
        return hashlib.sha256(b"%d" % next(self._uniques)).hexdigest()[:16]
