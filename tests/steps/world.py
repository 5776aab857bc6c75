"""A stack in memory: moto's S3, SQS and SNS behind the real doors, and a worker in ten lines."""

import gzip
import itertools
import json
from typing import Any

import boto3
from moto.core import DEFAULT_ACCOUNT_ID
from moto.sns import sns_backends
from moto.sqs import sqs_backends

from drydock.advancing import answer_tokens, submit_shard
from drydock.aggregation import aggregate_shard
from drydock.detection import detect_restarts
from drydock.documents import Documents
from drydock.enumeration import enumerate_inputs
from drydock.keys import RunKeys
from drydock.markers import Failure, InputSummary, encode_done, encode_failed
from drydock.messages import Messages
from drydock.parts import OutputObject, PartOutputs, PartRecord
from drydock.registry import Registry
from drydock.services import Services
from drydock.settings import read_settings
from drydock.task_document import TaskDocument, parse_task_document
from drydock.tasks import Record, offsets_range, parse_offsets, parse_records
from drydock.uris import parse_s3_uri
from local.images import push
from tests.steps.stand_ins import Batch, BreakingStore, Faults, Job, StepFunctions

CONTROL, INTAKE, DATA = "drydock-control", "drydock-intake", "drydock-data"
REGION = "us-east-1"
ECR = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
WORKER = f"{ECR}/drydock:1"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:drydock:"
CLIENTS: dict[str, Any] = {}


def client(service: str) -> Any:
    """One client a service for all tests: making one is slow."""
    if service not in CLIENTS:
        CLIENTS[service] = boto3.client(service, region_name=REGION)
    return CLIENTS[service]


class World:
    """A stack. Time stands still unless a test moves :attr:`time`."""

    def __init__(self, **environment: str) -> None:
        self.s3 = client("s3")
        for bucket in (CONTROL, INTAKE, DATA):
            self.s3.create_bucket(Bucket=bucket)
        self.time = 1_700_000_000.0
        self.faults = Faults()
        self.store = BreakingStore(self.s3, self.faults)
        self.batch = Batch(self.faults)
        self.executions = StepFunctions(self.faults)
        self.poses = "poses.pdbqt.gz"
        self._numbers = itertools.count()
        queue_url = client("sqs").create_queue(QueueName="resubmit")["QueueUrl"]
        topic_arn = client("sns").create_topic(Name="told")["TopicArn"]
        values = {
            "CONTROL_BUCKET": CONTROL,
            "INTAKE_BUCKET": INTAKE,
            "DATA_BUCKETS": DATA,
            "SPOT_QUEUE_ARN": "arn:aws:batch:us-east-1:123456789012:job-queue/spot",
            "ON_DEMAND_QUEUE_ARN": "arn:aws:batch:us-east-1:123456789012:job-queue/on-demand",
            "GPU_SPOT_QUEUE_ARN": "",
            "GPU_ON_DEMAND_QUEUE_ARN": "",
            "JOB_DEFINITION_ARN": "arn:aws:batch:us-east-1:123456789012:job-definition/drydock:1",
            "WORKER_IMAGE": WORKER,
            "ALLOWED_IMAGES": f"{ECR}/lab/",
            "SECRET_ARNS": "",
            "JOB_ROLE_ARN": "arn:aws:iam::123456789012:role/job",
            "EXECUTION_ROLE_ARN": "arn:aws:iam::123456789012:role/execution",
            "NOTIFICATION_TOPIC_ARN": topic_arn,
            "RESUBMIT_QUEUE_URL": queue_url,
            "KMS_KEY_ID": "",
            "DEFAULT_REQUEST": "",
            "SHARD_SIZE": "4",
            "MAX_CONCURRENCY": "40",
            "RECONCILE_SECONDS": "21600",
            "ATTEMPTS": "3",
            "SCRATCH_GIB": "1",
            "MAX_MEMORY_MIB": "65536",
            "MAX_VCPUS": "256",
            "VCPU_HOUR_USD": "0.05",
            **environment,
        }
        self.services = Services(
            settings=read_settings(values),
            store=self.store,
            jobs=self.batch,
            executions=self.executions,
            messages=Messages(queue_url, topic_arn, client("sqs"), client("sns")),
            registry=Registry(client("ecr")),
            now=lambda: self.time,
            unique=lambda: f"{next(self._numbers):016x}",
        )
        self.documents = Documents(self.store, CONTROL)
        self.put(DATA, "assets/receptor.pdbqt", b"ATOM\n")
        self.push(WORKER)

    # -- S3

    def put(self, bucket: str, key: str, body: bytes = b"x") -> str:
        """Put an object without a fault; its ETag."""
        return self.s3.put_object(Bucket=bucket, Key=key, Body=body)["ETag"].strip('"')

    def get(self, bucket: str, key: str) -> bytes:
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def json(self, bucket: str, key: str) -> Any:
        return json.loads(self.get(bucket, key))

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        return [found.key for found in self.store.list(bucket, prefix)]

    def remove(self, bucket: str, key: str) -> None:
        self.s3.delete_object(Bucket=bucket, Key=key)

    def inputs(self, count: int, prefix: str = "input/") -> None:
        """Put that many inputs."""
        for number in range(count):
            self.put(DATA, f"{prefix}{number:03d}.pdbqt", b"%d" % number)

    def push(self, reference: str, content: str = "the worker") -> None:
        """Let a tag of ECR name an image."""
        push(client("ecr"), reference, content)

    # -- messages

    def delayed(self) -> list[tuple[dict[str, Any], int]]:
        """The messages on the queue and their delays in seconds."""
        queue = sqs_backends[DEFAULT_ACCOUNT_ID][REGION].queues["resubmit"]
        return [
            (json.loads(each.body), round((each.delayed_until - each.sent_timestamp) / 1000))
            for each in queue._messages
        ]

    def told(self) -> list[tuple[str, str]]:
        """Subject and text of what people were told."""
        topics = sns_backends[DEFAULT_ACCOUNT_ID][REGION].topics
        (topic,) = topics.values()
        return [(each[2], each[1]) for each in topic.sent_notifications]

    # -- a run

    def request(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": "a-run",
            "input": f"s3://{DATA}/input/",
            "output": f"s3://{DATA}/out/",
            "tool": "vina",
            "options": {"center": [1, 2, 3], "size": [20, 20, 20]},
            "assets": {"receptor": f"s3://{DATA}/assets/receptor.pdbqt"},
            **changes,
        }

    def enumerate(self, event: Any, execution: str = "one", **more: Any) -> dict[str, Any]:
        """One call of EnumerateInputs by an execution that goes on."""
        self.executions.running.add(EXECUTION + execution)
        return enumerate_inputs(
            self.services,
            event,
            EXECUTION + execution,
            more.get("cursor"),
            more.get("remaining_s", lambda: 900.0),
        )

    def start(self, execution: str = "one", **changes: Any) -> str:
        """Start a run to the end of its enumeration; its id."""
        answer = self.enumerate(self.request(**changes), execution)
        assert answer["status"] == "ready"
        return answer["run_id"]

    def upload(self, key: str, body: bytes, sequencer: str = "1") -> dict[str, Any]:
        """Put an object into the intake bucket; the event that tells of it."""
        self.put(INTAKE, key, body)
        return {
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {
                "bucket": {"name": INTAKE},
                "object": {"key": key, "size": len(body), "sequencer": sequencer},
            },
        }

    def owner(self, run_id: str) -> str:
        return self.documents.run(run_id).value.owner

    def run(self, run_id: str):
        return self.documents.run(run_id).value

    def shard(self, run_id: str, shard: int = 0):
        run = self.run(run_id)
        return self.documents.shard(run, shard, 0).value

    def submit(self, run_id: str, shard: int = 0, token: str = "token") -> str:
        """SubmitShard: a task waits on the token from now on."""
        self.executions.waiting.add(token)
        return submit_shard(self.services, run_id, shard, self.owner(run_id), token)

    def detect(self, run_id: str, shard: int = 0) -> dict[str, int]:
        return detect_restarts(self.services, run_id, shard, self.owner(run_id))

    def aggregate(self, run_id: str, shard: int = 0) -> dict[str, Any]:
        """AggregateShard until it says something else than ``more``: what became of the inputs."""
        cursor = None
        while True:
            answer = aggregate_shard(self.services, run_id, shard, self.owner(run_id), cursor)
            if answer["status"] != "more":
                return {name: value for name, value in answer.items() if name != "took"}
            cursor = answer["cursor"]

    def answer_tokens(self, run_id: str, ending: str, shard: int = 0) -> int:
        return answer_tokens(self.services, run_id, shard, ending)

    def records(self, run_id: str, shard: int = 0) -> list[Record]:
        run = self.run(run_id)
        body = self.get(DATA, RunKeys(run_id, run.output_prefix).manifest_tasks(shard))
        count = int.from_bytes(body[8:16], "little")
        first, _ = offsets_range(0, count)
        return parse_records(body[parse_offsets(body[first : first + 8 * (count + 1)])[0] :])

    # -- what a container does

    def work(self, job: Job, children: Any = None, fail: dict[int, str] | None = None) -> None:
        """Do the work of a job's children: outputs, then a marker for each input."""
        for child in range(job.request.jobs) if children is None else children:
            document, records = self.child(job, child)
            for record in records:
                if record.index in (fail or {}):
                    self.fail(document, record, (fail or {})[record.index])
                else:
                    self.settle(document, record)

    def child(self, job: Job, child: int) -> tuple[TaskDocument, list[Record]]:
        """What a child learns, by the two ranged GETs that it learns it by."""
        place = parse_s3_uri(job.request.environment["S3_TASK_LOCATION"])
        document = parse_task_document(self.get(place.bucket, place.key))
        first = child * document.inputs_per_job
        count = min(document.inputs_per_job, document.size - first)
        start, end = offsets_range(first, count)
        bucket, key = document.tasks_bucket, document.tasks_key
        offsets = parse_offsets(self.store.get(bucket, key, first_byte=start, last_byte=end).body)
        found = self.store.get(bucket, key, first_byte=offsets[0], last_byte=offsets[-1] - 1)
        return document, parse_records(found.body)

    def settle(self, document: TaskDocument, record: Record, score: float | None = None) -> str:
        """Write an input's outputs, then its marker; the marker's key."""
        keys = RunKeys(document.run_id, document.output_prefix)
        folder = keys.input_folder(document.shard, record.place)
        score = -5.0 - record.index / 10 if score is None else score
        row = {
            "id": f"m{record.index}",
            "score": score,
            "input": record.uri,
            "index": record.index,
            "poses": f"{folder}{self.poses}.0",
            "first_byte": 0,
            "length": len(POSES),
        }
        scores = gzip.compress(json.dumps(row).encode() + b"\n", mtime=0)
        outputs = tuple(
            OutputObject(name, folder + file, len(body), self.put(DATA, folder + file, body))
            for name, file, body in (
                ("poses", f"{self.poses}.0", POSES),
                ("scores", "scores.0.jsonl.gz", scores),
            )
        )
        summary = InputSummary(
            place=record.place,
            index=record.index,
            input_etag=record.etag or "",
            chain=(PartOutputs(0, outputs),),
            molecules=1,
            failed_molecules=0,
            seconds=1.5,
            best_id=f"m{record.index}",
            best_score=score,
        )
        key = keys.done_marker(document.shard, record.place, record.place)
        self.put(DATA, key, encode_done([summary]))
        return key

    def fail(self, document: TaskDocument, record: Record, failure_class: str, **said: Any) -> str:
        """Settle an input as failed; the marker's key."""
        values = {"reason": "it cannot be read", "exit_code": None, "log_stream": None}
        failure = Failure(
            place=record.place,
            index=record.index,
            epoch=document.epoch,
            failure_class=failure_class,
            parts=(),
            **(values | said),
        )
        keys = RunKeys(document.run_id, document.output_prefix)
        key = keys.failed_marker(document.shard, record.place, document.epoch, failure_class)
        self.put(DATA, key, encode_failed(failure))
        return key

    def part(
        self,
        document: TaskDocument,
        record: Record,
        part: int = 0,
        *,
        seconds: float = 1.0,
        job_id: str = "j",
    ) -> None:
        """Leave a part's record for an input."""
        found = PartRecord(
            part,
            None,
            record.place,
            record.index,
            record.etag or "",
            (),
            None,
            1,
            "SIGTERM",
            job_id,
            1,
            seconds,
        )
        keys = RunKeys(document.run_id, document.output_prefix)
        self.put(DATA, keys.part_record(document.shard, record.place, part), found.to_json())

    def ended(
        self, job: Job, status: str = "SUCCEEDED", reason: str | None = None
    ) -> dict[str, Any]:
        """End a job; the event that tells of it."""
        self.batch.end(job.job_id, status, reason)
        detail: dict[str, Any] = {
            "jobId": job.job_id,
            "jobName": job.request.name,
            "status": status,
            "attempts": [],
            "container": {},
        }
        if reason is not None:
            detail["statusReason"] = reason
        if job.request.jobs > 1:
            detail["arrayProperties"] = {"size": job.request.jobs}
        return {"detail-type": "Batch Job State Change", "source": "aws.batch", "detail": detail}

    def child_failed(self, job: Job, index: int = 0, **container: Any) -> dict[str, Any]:
        """The event that a child of an array failed."""
        reason = container.pop("status_reason", "Essential container in task exited")
        return {
            "detail-type": "Batch Job State Change",
            "source": "aws.batch",
            "detail": {
                "jobId": f"{job.job_id}:{index}",
                "jobName": job.request.name,
                "status": "FAILED",
                "statusReason": reason,
                "arrayProperties": {"index": index},
                "attempts": [{"statusReason": reason, "container": container}],
                "container": container,
            },
        }


POSES = gzip.compress(b"MODEL 1\nENDMDL\n", mtime=0)
