"""JudgePilot: judges a run by its first few inputs, and stops it while it is cheap."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.judging import judge_pilot
from drydock.services import services

logger = Logger()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Return the verdict, and which shards come next."""
    answer = judge_pilot(services(), event["run_id"], event["owner"])
    logger.info("pilot judged", extra={"run_id": event["run_id"], **answer})
    return answer
