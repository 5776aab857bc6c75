"""A stack for tests of single services: what they reach of the others is real or keeps notes."""

from drydock.executions import Executions
from drydock.jobs import Jobs
from drydock.messages import Messages
from drydock.registry import Registry
from drydock.services import Services
from drydock.store import Store
from tests.simulation import registry
from tests.simulation.account import QUEUE_URL, TOPIC_ARN, settings_of
from tests.simulation.bus import Bus
from tests.simulation.kernel import Kernel, Quiet
from tests.simulation.lambdas import Lambdas
from tests.simulation.queues import Queues, Topic
from tests.simulation.s3 import S3


class Mishaps(Quiet):
    """Chooses that nothing goes wrong but what is named: faults by effect, chances by name."""

    def __init__(self, *chances, faults=(), numbers=None):
        self.chances, self.faults, self.numbers = list(chances), list(faults), numbers or {}

    def fault(self, effect):
        for at, (start, fault) in enumerate(self.faults):
            if effect.name.startswith(start):
                del self.faults[at]
                return fault
        return None

    def happens(self, what, chance):
        if chance in self.chances:
            self.chances.remove(chance)
            return True
        return False

    def between(self, what, low, high):
        return self.numbers.get(what, low)


class States:
    """Keeps what executions are started with."""

    def __init__(self):
        self.started = []

    def start(self, event):
        self.started.append(event)


class Corner:
    """The stack without Batch."""

    def __init__(self, chooser=None, **environment):
        self.kernel = Kernel(chooser or Quiet())
        self.settings = settings_of(environment)
        self.s3, self.queues, self.topic = S3(self), Queues(self), Topic(self)
        self.bus, self.lambdas, self.states = Bus(self), Lambdas(self), States()
        self.store = Store(self.s3.client())

    def services(self):
        return Services(
            settings=self.settings,
            store=self.store,
            jobs=Jobs(None),
            executions=Executions(None),
            messages=Messages(QUEUE_URL, TOPIC_ARN, self.queues.client(), self.topic.client()),
            registry=Registry(registry.Client(self.kernel)),
            now=lambda: self.kernel.now,
            unique=lambda: "0" * 16,
        )

    def run(self, do, name="p", kind="lambda"):
        """Run a process until nothing is left to do."""
        process = self.kernel.spawn(name, kind, do)
        self.kernel.run()
        return process
