"""The embedded AWS: one process, one address, one directory.

moto answers for S3, SQS, SNS, logs, secrets and runs the state machines; Lambda, Batch, the event
bus and the data's place on disk are ours. `local.deploy` fills it from a template.
"""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import boto3
from botocore.config import Config

from local import moto_backends
from local.batch import Batch
from local.batch.agent import Agent
from local.batch.docker_containers import DockerLauncher
from local.bus import Bus
from local.definition_check import check_definition
from local.delivery import Delivery, Letters
from local.docker import agent_address
from local.events_api import EventsApi
from local.executions import StatesFront
from local.gateway import Gateway
from local.lambda_api import LambdaApi
from local.lambdas import Lambdas
from local.logs_front import LogsFront
from local.moto_apps import MotoApp
from local.names import ACCOUNT, DEFAULT_REGION, state_machine_arn
from local.principals import credentials
from local.processes import prepare_forkserver
from local.queues import QueuePoller
from local.s3_front import S3Front
from local.s3_mirror import S3Mirror
from local.specs import (
    BucketSpec,
    EventSourceMappingSpec,
    FunctionSpec,
    QueueSpec,
    RuleSpec,
    StateMachineSpec,
)
from local.stacks_api import StacksApi
from local.surroundings import (
    DirectoryInUseError,
    environment,
    lock_of,
    profile,
    worth_preloading,
)

__all__ = ["DefinitionRefusedError", "DirectoryInUseError", "EmbeddedAws"]

STACK_FILE = "stack.json"
PROFILE_FILE = "aws.ini"
_one_at_a_time = threading.Lock()


class DefinitionRefusedError(ValueError):
    """A state machine that AWS would not create; the text holds every problem."""


class EmbeddedAws:
    """An AWS of one account and Region that keeps its S3 in `directory`.

    moto's services are global to a process, so there is one at a time in it.
    """

    account = ACCOUNT

    def __init__(
        self,
        directory: Path,
        *,
        port: int = 0,
        also: Sequence[str] = (),
        vcpus: int = 2,
        machines: int = 2,
        stack_image: str | Callable[[], str] = "",
        worker_image: str = "",
    ) -> None:
        """Start it, on 127.0.0.1 and on the addresses of `also`.

        Jobs run in Docker where `worker_image` is given, its name for the stack's own image; else
        as processes.

        Raises DirectoryInUseError, and OSError when the port is taken.
        """
        self.directory = directory.resolve()
        self.region = os.environ.get("AWS_DEFAULT_REGION") or DEFAULT_REGION
        self._clients: dict[tuple[str, str], Any] = {}
        self._clients_lock = threading.Lock()
        self.stacks = StacksApi()
        self._closing = contextlib.ExitStack()
        try:
            self._start(
                port,
                also,
                vcpus=vcpus,
                machines=machines,
                stack_image=stack_image if callable(stack_image) else lambda: stack_image,
                worker_image=worker_image,
            )
        except BaseException:
            self._closing.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def endpoint_url(self) -> str:
        """The address of every service."""
        return self.gateway.endpoint_url

    def close(self) -> None:
        """End everything: afterwards no process of it is left and the directory is free."""
        self._closing.close()

    def client(self, service: Any, role: str = "somebody") -> Any:
        """The boto3 client of the service for the principal named `role`; threads may share it."""
        with self._clients_lock:
            if (service, role) not in self._clients:
                self._clients[service, role] = self._connect(service, role)
            return self._clients[service, role]

    def create_bucket(self, bucket: BucketSpec) -> None:
        """Create the bucket, or only set it up when its data are already there."""
        s3, configuration = self.client("s3"), {}
        if self.region != DEFAULT_REGION:
            configuration = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        if bucket.name not in (each["Name"] for each in s3.list_buckets()["Buckets"]):
            s3.create_bucket(Bucket=bucket.name, **configuration)
        events: dict[str, Any] = {"EventBridgeConfiguration": {}} if bucket.event_bridge else {}
        s3.put_bucket_notification_configuration(
            Bucket=bucket.name, NotificationConfiguration=events
        )

    def create_queue(self, queue: QueueSpec) -> str:
        """Create the queue; its URL."""
        sqs = self.client("sqs")
        url: str = sqs.create_queue(QueueName=queue.name, Attributes=dict(queue.attributes))[
            "QueueUrl"
        ]
        return url

    def queue_url(self, name_or_arn: str) -> str:
        """The URL of a queue, which follows from its name."""
        return f"{self.endpoint_url}/{ACCOUNT}/{name_or_arn.rpartition(':')[2]}"

    def create_topic(self, name: str) -> str:
        """Create the SNS topic; its ARN."""
        arn: str = self.client("sns").create_topic(Name=name)["TopicArn"]
        return arn

    def create_log_group(self, name: str) -> None:
        """Create the CloudWatch log group."""
        self.client("logs").create_log_group(logGroupName=name)

    def create_state_machine(self, machine: StateMachineSpec) -> str:
        """Create the state machine; its ARN. Raises DefinitionRefusedError."""
        problems = check_definition(machine.definition)
        if problems:
            raise DefinitionRefusedError("\n".join(problems))
        self.client("stepfunctions").create_state_machine(
            name=machine.name, definition=json.dumps(machine.definition), roleArn=machine.role_arn
        )
        return state_machine_arn(self.region, machine.name)

    def register_function(self, function: FunctionSpec) -> None:
        """Make a Lambda function callable."""
        self.lambdas.register(function)

    def register_rule(self, rule: RuleSpec) -> None:
        """Add a rule to the bus. Raises ScheduleInvalidError."""
        self.bus.register(rule)

    def tell_stack(self, outputs: Mapping[str, str]) -> None:
        """Leave word in the directory, for as long as this runs, of where a stack is: `drydock`
        and whoever else wants to call it from another process reads that; the AWS CLI and SDKs read
        a profile.
        """
        environment = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": self.region,
            **credentials("somebody"),
        }
        path = self.directory / STACK_FILE
        told = {"environment": environment, "outputs": dict(outputs)}
        path.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        self._closing.callback(path.unlink, missing_ok=True)
        path = self.directory / PROFILE_FILE
        path.write_text(profile(environment), encoding="utf-8")
        self._closing.callback(path.unlink, missing_ok=True)

    def map_queue(self, mapping: EventSourceMappingSpec) -> None:
        """Call a function with a queue's messages.

        Raises MappingRefusedError, FunctionUnknownError.
        """
        poller = QueuePoller(mapping, self.lambdas)
        self._pollers.callback(poller.close)

    def _start(
        self,
        port: int,
        also: Sequence[str],
        *,
        vcpus: int,
        machines: int,
        stack_image: Callable[[], str],
        worker_image: str,
    ) -> None:
        """Start every part; each pushes its own end, and they end in the opposite order."""
        closing = self._closing
        closing.enter_context(lock_of(self.directory))
        if not _one_at_a_time.acquire(blocking=False):
            raise DirectoryInUseError("this process runs an embedded AWS already")
        closing.callback(_one_at_a_time.release)
        # Before the first process: what is not imported by then each of them imports for itself.
        prepare_forkserver([*worth_preloading()])
        letters = Letters(self.client, self.queue_url)
        self.lambdas = Lambdas(
            self.directory,
            endpoint_url=lambda: self.endpoint_url,
            region=self.region,
            dead_letter=letters.send,
        )
        closing.callback(self.lambdas.close)
        self.gateway = Gateway()
        closing.callback(self.gateway.close)
        agent_at = agent_address() if worker_image else None
        self.gateway.listen(port, [*also, *([agent_at] if agent_at else [])])
        closing.enter_context(environment(self.gateway.port, self.directory))
        moto_backends.forget_everything()
        moto_backends.run_state_machines()
        deliver = Delivery(self.client, letters, self.lambdas)
        self.bus = Bus(region=self.region, deliver=deliver, dead_letter=letters.send)
        closing.callback(self.bus.close)
        self.batch = Batch(
            directory=self.directory,
            emit=self.bus.put,
            endpoint_url=lambda: self.endpoint_url,
            region=self.region,
            account=ACCOUNT,
            stack_image=stack_image,
            vcpus=vcpus,
            machines=machines,
            launcher=self._in_docker(stack_image, worker_image, agent_at) if worker_image else None,
        )
        closing.callback(self.batch.close)
        self._serve()
        self._pollers = closing.enter_context(contextlib.ExitStack())

    def _in_docker(
        self, stack_image: Callable[[], str], worker_image: str, agent_at: str | None
    ) -> DockerLauncher:
        self.gateway.agent = agent = Agent()
        return DockerLauncher(
            directory=self.directory,
            endpoint_url=lambda: self.endpoint_url,
            region=self.region,
            stack_image=stack_image,
            worker_image=worker_image,
            agent=agent,
            agent_address=agent_at,
        )

    def _serve(self) -> None:
        """Bring the data back and open the gateway."""
        mirror, emit = S3Mirror(self.directory), self.bus.put
        self._restore(mirror)
        states = StatesFront(MotoApp("states"), emit=emit, region=self.region)
        self.gateway.services |= {
            "s3": S3Front(MotoApp("s3"), mirror, emit=emit, region=self.region),
            "states": states,
            "lambda": LambdaApi(self.lambdas),
            "events": EventsApi(emit, region=self.region),
            "batch": self.batch,
            "cloudformation": self.stacks,
            "logs": LogsFront(MotoApp("logs"), self.batch.logs, region=self.region),
        }
        self.gateway.metadata = self.batch.imds
        self.gateway.serve()
        self._closing.callback(states.close)

    def _restore(self, mirror: S3Mirror) -> None:
        """Bring back every bucket and object that the directory holds."""
        for bucket in mirror.buckets():
            moto_backends.restore_s3_bucket(bucket, self.region)
            for stored in mirror.objects(bucket):
                moto_backends.restore_s3_object(bucket, stored)

    def _connect(self, service: Any, role: str) -> Any:
        keys = credentials(role)
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
            config=Config(max_pool_connections=32, retries={"total_max_attempts": 2}),
        )
