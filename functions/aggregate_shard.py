"""AggregateShard: turns the contents of a shard's markers into its accounts and tables."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics, single_metric
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.aggregation import aggregate_shard
from drydock.services import services

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do one turn; a cursor says that there is more."""
    answer = aggregate_shard(
        services(), event["run_id"], event["shard"], event["owner"], event["cursor"]
    )
    metrics.add_metric("Aggregations", MetricUnit.Count, 1)
    if took := answer.get("took"):
        metrics.add_metric("InputsDone", MetricUnit.Count, took["done"])
        metrics.add_metric("InputsFailed", MetricUnit.Count, took["failed"])
        metrics.add_metric("InputsSkipped", MetricUnit.Count, took["skipped"])
        metrics.add_metric("InputsRemaining", MetricUnit.Count, took["remaining"])
        metrics.add_metric("Rounds", MetricUnit.Count, took["rounds"])
        metrics.add_metric("Attempts", MetricUnit.Count, took["attempts"])
        metrics.add_metric("ComputeUsd", MetricUnit.NoUnit, took["usd"])
        for name, count in took["interruptions"].items():
            with single_metric("Interruptions", MetricUnit.Count, count) as metric:
                metric.add_dimension("class", name)
    logger.info("shard aggregated", extra={"run_id": event["run_id"], **answer})
    return answer
