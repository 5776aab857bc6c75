"""Amazon SQS with Lambda's mapping of a queue to a function, and the topic that people hear.

A queue loses nothing and keeps no order. Its messages come at least once: again when the function
failed, died or named them as failed, when the visibility timeout is over; and now and then for no
reason. One that was received too often becomes a dead letter.
https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tests.simulation.kernel import Process, Timer
from tests.simulation.resources import REGION, Mapping, Queue, resources

if TYPE_CHECKING:
    from tests.simulation.stack import Stack

_MAX_DELAY_S = 900
_MAX_MESSAGE_BYTES = 1_048_576
_ADVANCE = re.compile(r'"run_id": "(\w+)", "shard": (\d+)')
# How long Lambda's poller may leave a message that it could have.
_MOST_POLL_S = 2.0


@dataclass(eq=False)
class Message:
    """A message of a queue: it can be received, or a timer makes it so again.

    ``what`` names it in the story.
    """

    id: str
    what: str
    body: str
    sent_at: float
    receives: int = 0
    timer: Timer | None = None


@dataclass(eq=False)
class Line:
    """A queue's messages, and the calls of its function that are under way."""

    queue: Queue
    mapping: Mapping | None
    visible: list[Message] = field(default_factory=list)
    hidden: list[Message] = field(default_factory=list)
    calls: list[Process] = field(default_factory=list)
    poll: Timer | None = None


class Queues:
    """The stack's queues. ``dead`` are the messages that were given up on, by their queue's ARN."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._kernel = stack.kernel
        found = resources(stack.settings)
        mapped = {mapping.queue_arn: mapping for mapping in found.mappings}
        self._lines = {arn: Line(queue, mapped.get(arn)) for arn, queue in found.queues.items()}
        self._by_url = {line.queue.url: line for line in self._lines.values()}
        self._numbers = itertools.count(1)
        self.dead: list[tuple[str, Message]] = []
        self.sent = 0
        self.received = 0

    def client(self) -> SqsClient:
        """A client of it."""
        return SqsClient(self)

    def waiting(self) -> int:
        """How many messages are not settled yet."""
        lines = self._lines.values()
        return sum(len(line.visible) + len(line.hidden) for line in lines if line.mapping)

    def kept(self, arn: str) -> list[str]:
        """The bodies of messages in a queue that no function is called with."""
        return [message.body for message in self._lines[arn].visible]

    def digest(self) -> list[tuple[str, int, bool]]:
        """All that is in the queues, as a value to compare."""
        lines = self._lines.values()
        found = [(each.body, each.receives, True) for line in lines for each in line.visible]
        found += [(each.body, each.receives, False) for line in lines for each in line.hidden]
        return sorted(found)

    def send(self, arn: str, body: str, what: str) -> str:
        """Put a message into a queue; returns its id."""
        return self._put(self._lines[arn], body, what, 0.0)

    def send_to(self, url: str, body: str, delay_s: float) -> str:
        """SendMessage.

        Raises:
            ClientError: a delay or a body that SQS refuses.
        """
        if url not in self._by_url:
            raise _refused("AWS.SimpleQueueService.NonExistentQueue", url)
        if not 0 <= delay_s <= _MAX_DELAY_S or delay_s != int(delay_s):
            raise _refused("InvalidParameterValue", f"DelaySeconds {delay_s}")
        if not 0 < len(body.encode()) <= _MAX_MESSAGE_BYTES:
            raise _refused("InvalidParameterValue", "MessageBody")
        return self._put(self._by_url[url], body, _label(body), delay_s)

    def _put(self, line: Line, body: str, what: str, delay_s: float) -> str:
        number = next(self._numbers)
        self.sent += 1
        copies = 2 if self._kernel.chooser.happens(f"sent {what}", "message doubled") else 1
        for _ in range(copies):
            message = Message(f"m{number}", what, body, self._kernel.now)
            line.hidden.append(message)
            self._show_later(line, message, delay_s)
        return f"m{number}"

    def _show_later(self, line: Line, message: Message, delay_s: float) -> None:
        def show_message() -> None:
            line.hidden.remove(message)
            line.visible.append(message)
            self._poll_soon(line)

        message.timer = self._kernel.after(delay_s, show_message)

    def _poll_soon(self, line: Line) -> None:
        if line.mapping is None or line.poll is not None or not line.visible:
            return
        if len(line.calls) >= line.mapping.most_at_once:
            return

        def poll_queue() -> None:
            line.poll = None
            self._poll(line, line.mapping)
            self._poll_soon(line)

        what = f"poll before {line.visible[0].what}"
        wait_s = self._kernel.chooser.between(what, 0.05, _MOST_POLL_S)
        line.poll = self._kernel.after(wait_s, poll_queue)

    def _poll(self, line: Line, mapping: Mapping) -> None:
        """Receive a batch, in no order, and call the function with it."""
        batch: list[Message] = []
        what = f"batch before {line.visible[0].what}"
        count = self._index(what, min(mapping.batch_size, len(line.visible))) + 1
        for _ in range(count):
            message = line.visible.pop(self._index(what, len(line.visible)))
            message.receives += 1
            self.received += 1
            most = line.queue.most_receives
            if most is not None and message.receives > most:
                self._kernel.note("sqs", f"{message.what} ({message.id}) is a dead letter")
                self.dead.append((line.queue.arn, message))
                continue
            line.hidden.append(message)
            self._show_later(line, message, line.queue.visibility_s)
            batch.append(message)
        if batch:
            event = {"Records": [self._record(line.queue, message) for message in batch]}
            call = self.stack.lambdas.invoke(mapping.function, event, batch[0].what)
            line.calls.append(call)
            call.ended.then(lambda: self._settle(line, mapping, call, batch))

    def _index(self, what: str, count: int) -> int:
        if count == 1:
            return 0
        return min(int(self._kernel.chooser.between(what, 0, count)), count - 1)

    def _settle(self, line: Line, mapping: Mapping, call: Process, batch: list[Message]) -> None:
        line.calls.remove(call)
        failed = _failed(call, mapping)
        for message in batch:
            what = f"deleted {message.what}"
            if failed is None or message.id in failed:
                self._kernel.note("sqs", f"{message.what} ({message.id}) will come again")
            elif self._kernel.chooser.happens(what, "message redelivered"):
                self._kernel.note(
                    "sqs", f"{message.what} ({message.id}) was handled and comes again"
                )
            elif message in line.hidden:
                line.hidden.remove(message)
                if message.timer is not None:
                    message.timer.cancel()
        self._poll_soon(line)

    def _record(self, queue: Queue, message: Message) -> dict[str, Any]:
        """Lambda developer guide, "Example Amazon SQS message event"."""
        return {
            "messageId": message.id,
            "receiptHandle": f"{message.id}-{message.receives}",
            "body": message.body,
            "attributes": {
                "ApproximateReceiveCount": str(message.receives),
                "SentTimestamp": str(int(message.sent_at * 1000)),
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": queue.arn,
            "awsRegion": REGION,
        }


def _failed(call: Process, mapping: Mapping) -> set[str] | None:
    """The ids of the messages that come again; None for all of them.

    Lambda developer guide, "Implementing partial batch responses": an answer of another form fails
    the whole batch.
    """
    if call.error is not None:
        return None
    if not mapping.reports_failures or call.result in (None, ""):
        return set()
    try:
        failures = call.result.get("batchItemFailures") or ()
        found = {failure["itemIdentifier"] for failure in failures}
    except (AttributeError, KeyError, TypeError):
        return None
    return None if found & {"", None} else found


def _label(body: str) -> str:
    """A message of ours in a few words."""
    match = _ADVANCE.search(body)
    return body[:60] if match is None else f"look again at {match[1]} {match[2]}"


class SqsClient:
    """The method of botocore's client that the messages' door calls."""

    def __init__(self, queues: Queues) -> None:
        self._queues = queues

    def send_message(
        self, *, QueueUrl: str, MessageBody: str, DelaySeconds: int = 0
    ) -> dict[str, str]:
        return self._queues.stack.kernel.effect(
            f"sqs SendMessage {_label(MessageBody)} in {DelaySeconds} s",
            lambda: {"MessageId": self._queues.send_to(QueueUrl, MessageBody, DelaySeconds)},
            writes=True,
        )


@dataclass(frozen=True)
class Told:
    """What people were told, and when."""

    at: float
    subject: str
    text: str


class Topic:
    """The topic for people; ``told`` is all that they were told."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.told: list[Told] = []

    def client(self) -> SnsClient:
        """A client of it."""
        return SnsClient(self)


class SnsClient:
    """The method of botocore's client that the messages' door calls."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic

    def publish(self, *, TopicArn: str, Subject: str, Message: str) -> dict[str, str]:
        stack = self._topic.stack

        def do() -> dict[str, str]:
            if TopicArn != stack.settings.notification_topic_arn:
                raise _refused("NotFound", TopicArn)
            if not 0 < len(Subject) <= 100 or not Message:
                raise _refused("InvalidParameter", Subject)
            self._topic.told.append(Told(stack.kernel.now, Subject, Message))
            return {"MessageId": f"n{len(self._topic.told)}"}

        return stack.kernel.effect(f"sns Publish {Subject}", do, writes=True)


def _refused(code: str, message: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "SendMessage")
