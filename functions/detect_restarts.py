"""DetectRestarts: computes what remains in a shard from LISTs of its markers alone."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.detection import detect_restarts
from drydock.services import services

logger = Logger()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Count what is settled and what remains."""
    counts = detect_restarts(services(), event["run_id"], event["shard"], event["owner"])
    logger.info("restarts detected", extra={**event, **counts})
    return counts
