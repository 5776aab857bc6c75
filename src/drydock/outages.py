"""What AWS answers when it does not serve a request, by a name that the state machine retries."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from drydock.errors import ServiceUnavailable


@contextmanager
def named_outages(service: str) -> Iterator[None]:
    """Name whatever of botocore's errors comes out of the block; a Lambda fails by class names.

    Raises:
        ServiceUnavailable: the service refused or did not answer, although the SDK retried.
    """
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ServiceUnavailable(f"{service}: {error}") from error
