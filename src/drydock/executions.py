"""The only door to AWS Step Functions."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from drydock.outages import named_outages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

_FORGOTTEN = ("ExecutionDoesNotExist", "InvalidArn")
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
_TOKEN_IS_DEAD = {"TaskDoesNotExist", "TaskTimedOut", "InvalidToken"}


class Executions:
    """AWS Step Functions as drydock uses it; without a client it connects at the first use."""

    def __init__(self, client: SFNClient | None = None) -> None:
        self._given = client

    @functools.cached_property
    def _client(self) -> SFNClient:
        config = Config(retries={"mode": "standard", "max_attempts": 6})
        return self._given or boto3.client("stepfunctions", config=config)

    @named_outages("AWS Step Functions")
    def status(self, execution_arn: str) -> str | None:
        """An execution's status in AWS's words; None of one that is not known."""
        answer = self._described(execution_arn)
        return None if answer is None else answer["status"]

    def is_running(self, execution_arn: str) -> bool:
        """Whether an execution goes on; one that is not known does not."""
        return self.status(execution_arn) == "RUNNING"

    @named_outages("AWS Step Functions")
    def error(self, execution_arn: str) -> str:
        """The name of the error that an execution failed of.

        A timeout of its own has none, and of one that is not known nobody can tell it any more.
        """
        answer = self._described(execution_arn)
        return "" if answer is None else answer.get("error", "")

    def _described(self, execution_arn: str) -> DescribeExecutionOutputTypeDef | None:
        try:
            return self._client.describe_execution(executionArn=execution_arn)
        except ClientError as error:
            if error.response["Error"]["Code"] in _FORGOTTEN:
                return None
            raise

    def active(self, execution_arn: str) -> Iterator[str]:
        """The executions that go on of the machine that an execution is of."""
        machine = execution_arn.rpartition(":")[0].replace(":execution:", ":stateMachine:")
        pages = self._client.get_paginator("list_executions").paginate(
            stateMachineArn=machine, statusFilter="RUNNING"
        )
        with named_outages("AWS Step Functions"):
            for page in pages:
                for execution in page["executions"]:
                    yield execution["executionArn"]

    @named_outages("AWS Step Functions")
    def answer(self, token: str, output: dict[str, Any]) -> bool:
        """Tell a waiting task that it is done; False when nobody waits on that token any more."""
        try:
            self._client.send_task_success(taskToken=token, output=json.dumps(output))
        except ClientError as error:
            if error.response["Error"]["Code"] in _TOKEN_IS_DEAD:
                return False
            raise
        return True
