"""The embedded account, and the ARNs in it: every one of them follows from a name."""

ACCOUNT = "123456789012"
DEFAULT_REGION = "us-east-1"


def queue_arn(region: str, name: str) -> str:
    """ARN of an SQS queue."""
    return f"arn:aws:sqs:{region}:{ACCOUNT}:{name}"


def function_arn(region: str, name: str) -> str:
    """ARN of a Lambda function."""
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"


def rule_arn(region: str, name: str) -> str:
    """ARN of a rule on the default event bus."""
    return f"arn:aws:events:{region}:{ACCOUNT}:rule/{name}"


def state_machine_arn(region: str, name: str) -> str:
    """ARN of a state machine."""
    return f"arn:aws:states:{region}:{ACCOUNT}:stateMachine:{name}"


def role_arn(name: str) -> str:
    """ARN of an IAM role."""
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def topic_arn(region: str, name: str) -> str:
    """ARN of an SNS topic."""
    return f"arn:aws:sns:{region}:{ACCOUNT}:{name}"
