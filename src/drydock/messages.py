"""The only door to SQS and SNS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-delay-queues.html
MAX_DELAY_S = 900
# https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
_MAX_SUBJECT = 100


class Messages:
    """Messages to ourselves (look at a shard later) and to people."""

    def __init__(self, sqs: SQSClient, sns: SNSClient, queue_url: str, topic_arn: str) -> None:
        self._sqs = sqs
        self._sns = sns
        self._queue_url = queue_url
        self._topic_arn = topic_arn

    @classmethod
    def connect(cls, queue_url: str, topic_arn: str) -> Messages:
        """On the environment's credentials and endpoint."""
        return cls(boto3.client("sqs"), boto3.client("sns"), queue_url, topic_arn)

    def look_again(self, run_id: str, shard: int, delay_s: float) -> None:
        """Have the shard looked at after a delay (15 minutes at most; who looks asks again)."""
        self._sqs.send_message(
            QueueUrl=self._queue_url,
            MessageBody=json.dumps({"advance": {"run_id": run_id, "shard": shard}}),
            DelaySeconds=max(0, min(MAX_DELAY_S, int(delay_s + 0.999))),
        )

    def notify(self, subject: str, text: str) -> None:
        """Tell people who subscribed."""
        plain = " ".join(subject.encode("ascii", "replace").decode().split())
        self._sns.publish(
            TopicArn=self._topic_arn, Subject=plain[:_MAX_SUBJECT], Message=text[:200_000]
        )
