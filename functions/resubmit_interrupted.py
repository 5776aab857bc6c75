"""ResubmitInterrupted: advances the shard whose job an event tells of, through SQS."""

import json
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.resubmission import resubmit_interrupted
from drydock.services import services

logger = Logger()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


def handle(record: SQSRecord) -> None:
    """Act on one message; one that fails alone comes back alone."""
    message = json.loads(record.body)
    done = resubmit_interrupted(services(), message)
    logger.info("message handled", done=done, message_id=record.message_id)


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> PartialItemFailureResponse:
    """Handle a batch of messages."""
    return process_partial_response(
        event=event, record_handler=handle, processor=processor, context=context
    )
