"""A job definition to begin with, for jobs that people submit by hand to a stack's queues.

It is made from the stack's own worker definition, so that scratch, roles, retry rules and log group
are those of the template. What it adds is there to be edited, and then goes to ``aws batch
register-job-definition --cli-input-json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
from botocore.exceptions import ClientError

from cli.stack import Stack

MEMORY_MIB = 2000
# A job by hand knows no deadline of its own: without one a job that hangs is paid for for ever.
TIMEOUT_S = 24 * 3600
_KEPT = (
    *("jobRoleArn", "executionRoleArn", "environment", "volumes", "mountPoints"),
    "logConfiguration",
)


class NoJobDefinition(Exception):
    """Raised when the stack's own job definition cannot be read; the text says why."""


def job_definition(stack: Stack) -> dict[str, Any]:
    """What ``RegisterJobDefinition`` takes, for the stack's queues.

    Raises:
        NoJobDefinition: Batch does not tell the caller of the stack's definition.
    """
    arn = stack.job_definition_arn
    try:
        answer = boto3.client("batch").describe_job_definitions(jobDefinitions=[arn])
    except ClientError as error:
        raise NoJobDefinition(f"{arn} cannot be read: {error}") from error
    if not answer["jobDefinitions"]:
        raise NoJobDefinition(f"AWS Batch knows no {arn}")
    return derived(answer["jobDefinitions"][0])


def derived(worker: Mapping[str, Any]) -> dict[str, Any]:
    """The definition to edit, from the stack's own as ``DescribeJobDefinitions`` tells of it.

    Its name begins with the stack's and an underscore: the group's policy allows no other.
    """
    container = worker["containerProperties"]
    stack_name = worker["jobDefinitionName"].removesuffix("-worker")
    return {
        "jobDefinitionName": f"{stack_name}_job",
        "type": "container",
        "platformCapabilities": ["EC2"],
        "propagateTags": True,
        "retryStrategy": worker["retryStrategy"],
        "timeout": {"attemptDurationSeconds": TIMEOUT_S},
        "containerProperties": {
            "image": container["image"],
            "command": container["command"],
            "resourceRequirements": [
                {"type": "VCPU", "value": "1"},
                {"type": "MEMORY", "value": str(MEMORY_MIB)},
            ],
            **{name: container[name] for name in _KEPT},
        },
    }
