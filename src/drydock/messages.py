"""The only door to SQS and SNS."""

from __future__ import annotations

import functools
import json
import logging
from typing import TYPE_CHECKING

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from drydock.outages import named_outages

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
MAX_DELAY_S = 900
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
_MAX_SUBJECT = 100
_MAX_MESSAGE_BYTES = 256 * 1024

_log = logging.getLogger(__name__)


class Messages:
    """Messages to ourselves (look at a shard later) and to people; clients as for Jobs."""

    def __init__(
        self,
        queue_url: str,
        topic_arn: str,
        sqs: SQSClient | None = None,
        sns: SNSClient | None = None,
    ) -> None:
        self._queue_url = queue_url
        self._topic_arn = topic_arn
        self._given_sqs = sqs
        self._given_sns = sns

    @functools.cached_property
    def _sqs(self) -> SQSClient:
        return self._given_sqs or boto3.client("sqs")

    @functools.cached_property
    def _sns(self) -> SNSClient:
        return self._given_sns or boto3.client("sns")

    @named_outages("Amazon SQS")
    def look_again(self, run_id: str, shard: int, delay_s: float) -> None:
        """Have the shard looked at after a delay (15 minutes at most; who looks asks again)."""
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=json.dumps({"advance": {"run_id": run_id, "shard": shard}}),
            DelaySeconds=max(0, min(MAX_DELAY_S, int(delay_s + 0.999))),
        )

    def notify(self, subject: str, text: str) -> None:
        """Tell people who subscribed; a run does not fail because nobody can be told of it."""
        plain = " ".join(subject.encode("ascii", "replace").decode().split())
        message = text.encode()[:_MAX_MESSAGE_BYTES].decode(errors="ignore")
        try:
            self._sns.publish(
                TopicArn=self._topic_arn, Subject=plain[:_MAX_SUBJECT], Message=message
            )
        except (BotoCoreError, ClientError) as error:
            _log.warning("nobody could be told %r: %s", plain, error)
