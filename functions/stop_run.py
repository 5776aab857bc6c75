"""StopRun: stops a run for its user, ends what an ended execution left, and sweeps."""

from dataclasses import asdict
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.services import services
from drydock.stopping import stop_run

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, int]:
    """Act on a user's stop, an execution's end, or the schedule."""
    ended = asdict(stop_run(services(), event))
    metrics.add_metric("RunsBroken", MetricUnit.Count, ended["broken"])
    metrics.add_metric("JobsTerminated", MetricUnit.Count, ended["terminated"])
    if event.get("check") == "budgets":
        metrics.add_metric("RunsActive", MetricUnit.Count, ended["runs"])
        metrics.add_metric("ShardsActive", MetricUnit.Count, ended["shards"])
    logger.info("stop handled", extra=ended)
    return ended
