"""EnumerateInputs: opens the run that a request or an upload asks for and writes its manifest."""

from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.enumeration import enumerate_inputs
from drydock.services import services

logger = Logger()
metrics = Metrics()


@logger.inject_lambda_context
@metrics.log_metrics
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do as much as there is time for; a cursor says that there is more."""
    answer = enumerate_inputs(
        services(),
        event["event"],
        event["execution"],
        event["cursor"],
        lambda: context.get_remaining_time_in_millis() / 1000,
    )
    metrics.add_metric(f"Enumeration_{answer['status']}", MetricUnit.Count, 1)
    logger.info("inputs enumerated", extra=answer)
    return answer
