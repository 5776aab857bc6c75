"""What stands before moto's CloudWatch Logs: the logs of the embedded Batch's containers.

Lines come from their files when somebody asks for them, and not before: most are never read, and
moto keeps what it has in memory.
"""

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from local import moto_backends
from local.batch.logs import ContainerLogs
from local.http import give_body, take_body

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_READING = frozenset({"DescribeLogStreams", "FilterLogEvents", "GetLogEvents", "StartQuery"})


class LogsFront:
    """A WSGI application around moto's, for the CloudWatch Logs requests alone."""

    def __init__(self, moto: "WSGIApplication", logs: ContainerLogs, *, region: str) -> None:
        self._moto = moto
        self._logs = logs
        self._region = region
        self._bringing = threading.Lock()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one CloudWatch Logs request."""
        action = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        with self._bringing:
            for group in self._logs.groups():
                moto_backends.make_log_group(self._region, group)
            if action in _READING:
                request = _by_name(json.loads(take_body(environ) or b"{}"))
                give_body(environ, json.dumps(request).encode())
                self._bring(request)
        return self._moto(environ, start_response)

    def _bring(self, request: Mapping[str, Any]) -> None:
        wanted = _wanted(request)
        for group in {request.get("logGroupName"), *request.get("logGroupNames", [])} - {None}:
            for stream, lines in self._logs.take(group, wanted):
                events = [(line.at_ms, line.text) for line in lines]
                moto_backends.put_log_events(self._region, group, stream, events)


def _by_name(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the name of a group that it gives by ARN: moto does not always look there.

    `aws logs tail` asks so.
    """
    given = dict(request)
    if identifier := given.pop("logGroupIdentifier", None):
        given["logGroupName"] = identifier.rpartition(":log-group:")[2].removesuffix(":*")
    return given


def _wanted(request: Mapping[str, Any]) -> Callable[[str], bool]:
    """Which streams a request is about; all where it names none."""
    names = {request.get("logStreamName"), *request.get("logStreamNames", [])} - {None}
    prefix = request.get("logStreamNamePrefix", "")
    return lambda stream: (not names or stream in names) and stream.startswith(prefix)
