"""SQS event source mappings: a queue's messages become calls of a function.

As Lambda does it (Lambda developer guide, "Using Lambda with Amazon SQS"): messages of a call that
succeeded are deleted; those of one that failed, or that it names as failed, come back when the
queue's visibility timeout ends, and the queue's redrive policy ends that.
"""

import json
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any

from local import moto_backends
from local.lambdas import LambdaError, Lambdas, Outcome
from local.specs import EventSourceMappingSpec

_LOG = logging.getLogger(__name__)
_POLL_S = 0.1
_CALLS_AT_ONCE = 5  # what Lambda begins with
_RECEIVE_AT_MOST = 10


class MappingRefusedError(ValueError):
    """A mapping that CreateEventSourceMapping refuses."""


class QueuePoller:
    """Polls one queue for one function, until closed."""

    def __init__(self, mapping: EventSourceMappingSpec, lambdas: Lambdas) -> None:
        """Start polling. Raises MappingRefusedError."""
        self._mapping = mapping
        self._lambdas = lambdas
        self._region, self._name = mapping.queue_arn.split(":")[3], mapping.queue_arn.split(":")[5]
        self._sqs = moto_backends.queue_backend(self._region)
        self._queue = self._sqs.get_queue(self._name)
        self._visibility_s = int(self._queue.visibility_timeout)
        self._check()
        limit = mapping.maximum_concurrency or _CALLS_AT_ONCE
        self._slots = threading.Semaphore(limit)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._poll, name=f"poll-{self._name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop polling; calls that run go on."""
        self._closed.set()
        self._thread.join()

    def _check(self) -> None:
        function = self._lambdas.function(self._mapping.function_arn)
        if self._visibility_s < function.timeout_s:
            raise MappingRefusedError(
                f"Queue visibility timeout: {self._visibility_s} seconds is less than "
                f"Function timeout: {function.timeout_s:g} seconds"
            )
        concurrency = self._mapping.maximum_concurrency
        if concurrency is not None and not 2 <= concurrency <= 1000:
            raise MappingRefusedError(f"MaximumConcurrency {concurrency}: 2 to 1000 are allowed")

    def _poll(self) -> None:
        while not self._closed.is_set():
            if not self._slots.acquire(timeout=_POLL_S):
                continue
            messages = self._receive()
            if messages:
                threading.Thread(target=self._handle, args=(messages,), daemon=True).start()
            else:
                self._slots.release()
                self._queue.wait_for_messages(_POLL_S)

    def _receive(self) -> list[Any]:
        """Up to a batch of messages; with a batching window, what comes in it too."""
        messages: list[Any] = []
        until_s = time.monotonic() + self._mapping.maximum_batching_window_s
        while len(messages) < self._mapping.batch_size:
            count = min(_RECEIVE_AT_MOST, self._mapping.batch_size - len(messages))
            received = self._sqs.receive_message(self._name, count, 0, self._visibility_s)
            messages += received
            if not received and (not messages or time.monotonic() >= until_s):
                break
            if not received and self._closed.wait(_POLL_S):
                break
        return messages

    def _handle(self, messages: Sequence[Any]) -> None:
        try:
            event = {"Records": [self._record(message) for message in messages]}
            outcome = self._lambdas.invoke(self._mapping.function_arn, json.dumps(event).encode())
            failed = _failed_ids(outcome, report=self._mapping.report_batch_item_failures)
            for message in messages:
                if failed is not None and message.id not in failed:
                    self._sqs.delete_message(self._name, message.receipt_handle)
        except (LambdaError, OSError) as error:
            _LOG.warning("%s could not be called: %s", self._mapping.function_arn, error)
        finally:
            self._slots.release()

    def _record(self, message: Any) -> dict[str, Any]:
        """Lambda developer guide, "Example Amazon SQS message event"."""
        return {
            "messageId": message.id,
            "receiptHandle": message.receipt_handle,
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.approximate_receive_count),
                "SentTimestamp": str(message.sent_timestamp),
                "SenderId": message.sender_id,
                "ApproximateFirstReceiveTimestamp": str(
                    message.approximate_first_receive_timestamp
                ),
            },
            "messageAttributes": {},
            "md5OfBody": message.body_md5,
            "eventSource": "aws:sqs",
            "eventSourceARN": self._mapping.queue_arn,
            "awsRegion": self._region,
        }


def _failed_ids(outcome: Outcome, *, report: bool) -> set[str] | None:
    """The messages that come back; None: all of them.

    Lambda developer guide, "Implementing partial batch responses": a response that is not of that
    form, or names an empty id, fails the whole batch; none at all is a success.
    """
    if outcome.failed:
        return None
    document = outcome.document()
    if not report or document is None or document == "":
        return set()
    try:
        failures = document.get("batchItemFailures")
        ids = {failure["itemIdentifier"] for failure in failures or ()}
    except (AttributeError, KeyError, TypeError):
        return None
    return None if "" in ids or None in ids else ids
