"""The stack that a command is about: one on AWS by its name, or the embedded one by its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from drydock.errors import ServiceUnavailable

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

# What an embedded AWS leaves in its folder for as long as it runs.
EMBEDDED_FILE = "stack.json"
# https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_DescribeStacks.html
_NO_SUCH_STACK = "ValidationError"
_OTHERS = "(--stack names another, --embedded a folder of the embedded AWS)"


class StackNotFound(Exception):
    """Raised when there is no such stack; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What a stack's outputs say."""

    control_bucket: str
    intake_bucket: str
    state_machine_arn: str
    stop_run_function: str
    vcpu_hour_usd: float
    worker_log_group: str
    job_definition_arn: str = ""


def stack_on_aws(name: str) -> Stack:
    """The stack of a name, in the account and Region of the caller's credentials.

    Raises:
        StackNotFound: there is none.
        ServiceUnavailable: CloudFormation does not tell.
    """
    try:
        found = _cloudformation().describe_stacks(StackName=name)["Stacks"][0]
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] == _NO_SUCH_STACK:
            raise StackNotFound(f"there is no stack {name!r}: {error} {_OTHERS}") from error
        told = f"AWS cannot be asked about the stack {name!r}: {error} {_OTHERS}"
        raise ServiceUnavailable(told) from error
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    return _stack(outputs, f"the stack {name!r}")


def embedded_stack(directory: Path) -> Stack:
    """The stack of the embedded AWS that runs in a folder; this process's calls go there then.

    Raises:
        StackNotFound: none runs there.
    """
    path = directory / EMBEDDED_FILE
    try:
        told = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise StackNotFound(
            f"no embedded AWS runs in {directory}: {path} cannot be read "
            "(make run and make local-aws start one)"
        ) from error
    os.environ.update(told["environment"])
    return _stack(told["outputs"], str(path))


def _cloudformation() -> CloudFormationClient:
    return boto3.client("cloudformation")


def _stack(outputs: Mapping[str, str], where: str) -> Stack:
    try:
        return Stack(
            control_bucket=outputs["ControlBucket"],
            intake_bucket=outputs["IntakeBucket"],
            state_machine_arn=outputs["StateMachineArn"],
            stop_run_function=outputs["StopRunFunction"],
            vcpu_hour_usd=float(outputs["VcpuHourUsd"]),
            worker_log_group=outputs["WorkerLogGroup"],
            job_definition_arn=outputs["JobDefinitionArn"],
        )
    except KeyError as error:
        raise StackNotFound(f"{where} is none of drydock's: it lacks {error}") from error
