"""SubmitShard: keeps the task token, then advances the shard; whoever ends it answers the token."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from drydock.advancing import submit_shard
from drydock.services import services

logger = Logger()


@logger.inject_lambda_context
def lambda_handler(event: dict[str, Any], context: LambdaContext) -> dict[str, str]:
    """Store the token first: whoever comes second sees the end."""
    decision = submit_shard(
        services(), event["run_id"], event["shard"], event["owner"], event["token"]
    )
    logger.info("shard advanced", run_id=event["run_id"], shard=event["shard"], decision=decision)
    return {"decision": decision}
