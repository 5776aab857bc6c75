"""Reads the worker's log group in CloudWatch Logs."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import OutputLogEventTypeDef

# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
MAX_EVENTS = 10_000
_NO_STREAM = "ResourceNotFoundException"


class NoLogs(Exception):
    """Raised when the log group cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a log and when it was written, in seconds since 1970."""

    at: float
    text: str


@dataclass(slots=True)
class Reading:
    """A log stream that is being read. ``is_there`` tells whether it was ever found."""

    stream: str
    header: str
    token: str | None = None
    is_there: bool = False


class LogGroup:
    """A log group; without a client it connects at the first use."""

    def __init__(self, name: str, client: CloudWatchLogsClient | None = None) -> None:
        self.name = name
        self._given = client

    @functools.cached_property
    def _client(self) -> CloudWatchLogsClient:
        # An account has 25 GetLogEvents a second for all who read.
        config = Config(retries={"mode": "adaptive", "max_attempts": 8})
        return self._given or boto3.client("logs", config=config)

    def forward(self, reading: Reading) -> Iterator[Line]:
        """The lines that are new since the reading was last moved forward, oldest first.

        Raises:
            NoLogs: the group may not be read.
        """
        while True:
            page = self._page(reading.stream, reading.token, MAX_EVENTS, from_head=True)
            if page is None:
                return
            reading.is_there = True
            events, _, token = page
            yield from map(_line, events)
            # A page may be empty in the middle; the end is where the token stays the same.
            if token == reading.token:
                return
            reading.token = token

    def tail(self, reading: Reading, count: int) -> Iterator[Line]:
        """The last ``count`` lines, oldest first; the reading goes on after them.

        Raises:
            NoLogs: the group may not be read.
        """
        found: deque[OutputLogEventTypeDef] = deque()
        token: str | None = None
        while len(found) < count:
            wanted = min(MAX_EVENTS, count - len(found))
            page = self._page(reading.stream, token, wanted, from_head=False)
            if page is None:
                break
            events, backward, forward = page
            reading.token = reading.token if reading.is_there else forward
            reading.is_there = True
            found.extendleft(reversed(events))
            if backward == token:
                break
            token = backward
        yield from map(_line, found)

    def _page(
        self, stream: str, token: str | None, limit: int, *, from_head: bool
    ) -> tuple[list[OutputLogEventTypeDef], str, str] | None:
        """Events and the tokens backward and forward; None where there is no such stream."""
        more = {} if token is None else {"nextToken": token}
        try:
            answer = self._client.get_log_events(
                logGroupName=self.name,
                logStreamName=stream,
                startFromHead=from_head,
                limit=limit,
                **more,  # type: ignore[arg-type]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == _NO_STREAM:
                return None
            raise NoLogs(f"the log group {self.name} cannot be read: {error}") from error
        return answer["events"], answer["nextBackwardToken"], answer["nextForwardToken"]


def _line(event: OutputLogEventTypeDef) -> Line:
    return Line(event["timestamp"] / 1000, event["message"])
