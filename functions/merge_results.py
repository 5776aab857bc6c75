"""MergeResults: merges the shards' results and says how the run ended."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.merging import merge_results
from drydock.services import services

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Write the results and return the run's accounts."""
    answer = merge_results(services(), event["run_id"], event["owner"])
    metrics.add_metric(f"Runs_{answer['status']}", MetricUnit.Count, 1)
    logger.info("results merged", extra=answer)
    return answer
