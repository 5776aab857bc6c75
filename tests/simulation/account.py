"""The account that the simulated stack lies in: what its things are called, and its settings."""

from __future__ import annotations

from drydock.settings import Settings, read_settings

ACCOUNT = "arn:aws:{}:us-west-2:123456789012:"
CONTROL, INTAKE, DATA = "drydock-control", "drydock-intake", "drydock-data"
SPOT = ACCOUNT.format("batch") + "job-queue/spot"
ON_DEMAND = ACCOUNT.format("batch") + "job-queue/on-demand"
DEFINITION = ACCOUNT.format("batch") + "job-definition/drydock-worker:1"
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/drydock/worker:1"
QUEUE_URL = "https://sqs.us-west-2.amazonaws.com/123456789012/resubmit"
TOPIC_ARN = ACCOUNT.format("sns") + "told"


def settings_of(environment: dict[str, str]) -> Settings:
    """What every function is told, with some of it changed."""
    values = {
        "CONTROL_BUCKET": CONTROL,
        "INTAKE_BUCKET": INTAKE,
        "DATA_BUCKETS": DATA,
        "SPOT_QUEUE_ARN": SPOT,
        "ON_DEMAND_QUEUE_ARN": ON_DEMAND,
        "GPU_SPOT_QUEUE_ARN": "",
        "GPU_ON_DEMAND_QUEUE_ARN": "",
        "JOB_DEFINITION_ARN": DEFINITION,
        "WORKER_IMAGE": IMAGE,
        "ALLOWED_IMAGES": "",
        "SECRET_ARNS": "",
        "NOTIFICATION_TOPIC_ARN": TOPIC_ARN,
        "RESUBMIT_QUEUE_URL": QUEUE_URL,
        "KMS_KEY_ID": "",
        "DEFAULT_REQUEST": "",
        "SHARD_SIZE": "3",
        "MAX_CONCURRENCY": "40",
        "RECONCILE_SECONDS": "21600",
        "SCRATCH_GIB": "100",
        "MAX_MEMORY_MIB": "65536",
        "MAX_VCPUS": "256",
        "VCPU_HOUR_USD": "0.05",
    }
    return read_settings(values | environment)
