"""StopRun: stops a run for its user, ends what an ended execution left, and sweeps."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.services import services
from drydock.stopping import stop_run

logger = Logger()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Act on a user's stop, an execution's end, or the schedule."""
    ended = asdict(stop_run(services(), event))
    logger.info("stop handled", extra=ended)
    return ended
