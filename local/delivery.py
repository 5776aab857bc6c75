"""How EventBridge hands an event to a rule's target, and Lambda a failed call to its queue."""

from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.bus import TargetRefusedError
from local.lambdas import LambdaError, Lambdas
from local.specs import TargetSpec

_CALLER = "events"


_Client = Callable[[str, str], Any]


class Letters:
    """Sends to queues, by their ARNs."""

    def __init__(self, client: _Client, queue_url: Callable[[str], str]) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(
        self, queue_arn: str, body: bytes, attributes: Mapping[str, str], role: str = _CALLER
    ) -> None:
        """Put a message into the queue as `role`; why it is there stands in its attributes."""
        texts = {
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        }
        self._client("sqs", role).send_message(
            QueueUrl=self._queue_url(queue_arn), MessageBody=body.decode(), MessageAttributes=texts
        )


class Delivery:
    """Calls a target's own API with the role of the rule's target, else as `events`."""

    def __init__(self, client: _Client, letters: Letters, lambdas: Lambdas) -> None:
        self._client = client
        self._letters = letters
        self._lambdas = lambdas

    def __call__(self, target: TargetSpec, text: str) -> None:
        """Deliver the text. Raises TargetRefusedError, or whatever may pass."""
        try:
            self._deliver(target.arn, text, target.role_arn or _CALLER)
        except LambdaError as error:
            raise TargetRefusedError(str(error)) from error
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise TargetRefusedError(str(error)) from error
            raise

    def _deliver(self, arn: str, text: str, role: str) -> None:
        service = arn.split(":")[2]
        if service == "lambda":
            self._lambdas.invoke_later(arn, text.encode())
        elif service == "sqs":
            self._letters.send(arn, text.encode(), {})
        elif service == "states":
            states = self._client("stepfunctions", role)
            states.start_execution(stateMachineArn=arn, input=text)
        else:
            raise TargetRefusedError(f"nothing is delivered to {service} here")
