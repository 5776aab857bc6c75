"""ResubmitInterrupted: advances the shard whose job an event tells of, through SQS."""

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities import batch
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.resubmission import blocked_for, resubmit_interrupted
from drydock.services import services

logger = Logger()
metrics = Metrics()
processor = batch.BatchProcessor(batch.EventType.SQS, raise_on_entire_batch_failure=False)


def handle(record: SQSRecord) -> None:
    """Act on one message; one that fails alone comes back alone."""
    message = json.loads(record.body)
    metrics.add_metric("MessagesHandled", MetricUnit.Count, 1)
    if (reason := blocked_for(message)) is not None:
        metrics.add_metric(f"QueueBlocked_{reason.partition(':')[0]}", MetricUnit.Count, 1)
        with single_metric("QueueBlocked", MetricUnit.Count, 1) as metric:
            metric.add_dimension("reason", reason)
    done = resubmit_interrupted(services(), message)
    logger.info("message handled", done=done, message_id=record.message_id)


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of messages."""
    return batch.process_partial_response(
        event=event, record_handler=handle, processor=processor, context=context
    )
