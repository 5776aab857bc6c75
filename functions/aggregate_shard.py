"""AggregateShard: turns the contents of a shard's markers into its accounts and tables."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.aggregation import aggregate_shard
from drydock.services import services

logger = Logger()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do one turn; a cursor says that there is more."""
    answer = aggregate_shard(
        services(), event["run_id"], event["shard"], event["owner"], event["cursor"]
    )
    logger.info("shard aggregated", extra={"run_id": event["run_id"], **answer})
    return answer
