"""One account with drydock deployed: the real doors and handlers over simulated services."""

from __future__ import annotations

import hashlib
import itertools

from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.messages import Messages
from drydock.services import Services
from drydock.settings import Settings, read_settings
from drydock.store import Store
from tests.simulation.batch import Batch
from tests.simulation.bus import Bus
from tests.simulation.kernel import Kernel
from tests.simulation.lambdas import Lambdas
from tests.simulation.queues import Queues, Topic
from tests.simulation.s3 import S3
from tests.simulation.states import StepFunctions

ACCOUNT = "arn:aws:{}:us-west-2:123456789012:"
CONTROL, INTAKE, DATA = "drydock-control", "drydock-intake", "drydock-data"
SPOT = ACCOUNT.format("batch") + "job-queue/spot"
ON_DEMAND = ACCOUNT.format("batch") + "job-queue/on-demand"
DEFINITION = ACCOUNT.format("batch") + "job-definition/drydock-worker:1"
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/drydock/worker:1"
QUEUE_URL = "https://sqs.us-west-2.amazonaws.com/123456789012/resubmit"
TOPIC_ARN = ACCOUNT.format("sns") + "told"


class Stack:
    """What `sam deploy` makes. ``settings`` are the environment of every function."""

    def __init__(self, kernel: Kernel, *, machines: int = 3, **environment: str) -> None:
        self.kernel = kernel
        self.settings = _settings(environment)
        self.s3 = S3(self)
        self.queues = Queues(self)
        self.topic = Topic(self)
        self.bus = Bus(self)
        self.lambdas = Lambdas(self)
        self.batch = Batch(self, machines=machines)
        self.states = StepFunctions(self)
        self._uniques = itertools.count()

    def services(self) -> Services:
        """The real doors, over the simulated services; their clients keep nothing."""
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


def _settings(environment: dict[str, str]) -> Settings:
    values = {
        "CONTROL_BUCKET": CONTROL,
        "INTAKE_BUCKET": INTAKE,
        "DATA_BUCKETS": DATA,
        "SPOT_QUEUE_ARN": SPOT,
        "ON_DEMAND_QUEUE_ARN": ON_DEMAND,
        "JOB_DEFINITION_ARN": DEFINITION,
        "WORKER_IMAGE": IMAGE,
        "ALLOWED_IMAGES": "",
        "NOTIFICATION_TOPIC_ARN": TOPIC_ARN,
        "RESUBMIT_QUEUE_URL": QUEUE_URL,
        "KMS_KEY_ID": "",
        "DEFAULT_REQUEST": "",
        "SHARD_SIZE": "3",
        "MAX_CONCURRENCY": "40",
        "RECONCILE_SECONDS": "21600",
        "SCRATCH_GIB": "100",
        "MAX_MEMORY_MIB": "65536",
        "VCPU_HOUR_USD": "0.05",
    }
    return read_settings(values | environment)
