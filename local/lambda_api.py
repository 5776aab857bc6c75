"""Lambda's Invoke over HTTP (Lambda API reference, "Invoke")."""

import re
import urllib.parse
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING

from local.http import Answer, json_answer, take_body
from local.lambdas import (
    FunctionUnknownError,
    LambdaError,
    Lambdas,
    PayloadTooLargeError,
    TooManyRequestsError,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_INVOKE = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_STATUS = {
    FunctionUnknownError: "404 Not Found",
    PayloadTooLargeError: "413 Request Entity Too Large",
    TooManyRequestsError: "429 Too Many Requests",
}


class LambdaApi:
    """A WSGI application: Invoke, and nothing else of Lambda."""

    def __init__(self, lambdas: Lambdas) -> None:
        self._lambdas = lambdas

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one Lambda request."""
        return self._answer(environ).send(start_response)

    def _answer(self, environ: "WSGIEnvironment") -> Answer:
        path = urllib.parse.unquote(environ["REQUEST_URI"].partition("?")[0])
        match = _INVOKE.fullmatch(path)
        if match is None or environ["REQUEST_METHOD"] != "POST":
            message = "The embedded AWS answers no other Lambda request than Invoke."
            return _error("501 Not Implemented", "UnknownOperationException", message)
        kind = environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse")
        try:
            return self._invoke(match[1], take_body(environ), kind)
        except LambdaError as error:
            return _error(_STATUS.get(type(error), "400 Bad Request"), error.code, str(error))
        except OSError as error:
            return _error("500 Internal Server Error", "ServiceException", str(error))

    def _invoke(self, name: str, payload: bytes, kind: str) -> Answer:
        if kind == "DryRun":
            self._lambdas.function(name)
            return Answer("204 No Content", [], b"")
        if kind == "Event":
            request_id = self._lambdas.invoke_later(name, payload)
            headers = [("x-amzn-RequestId", request_id), ("Content-Length", "0")]
            return Answer("202 Accepted", headers, b"")
        outcome = self._lambdas.invoke(name, payload)
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(outcome.payload))),
            ("x-amzn-RequestId", outcome.request_id),
            ("X-Amz-Executed-Version", "$LATEST"),
        ]
        if outcome.failed:
            headers.append(("X-Amz-Function-Error", "Unhandled"))
        return Answer("200 OK", headers, outcome.payload)


def _error(status: str, code: str, message: str) -> Answer:
    """A refusal with a request id: Step Functions' interpreter puts it into the cause."""
    return json_answer(
        status,
        {"Type": "User", "Message": message},
        x_amzn_ErrorType=code,
        x_amzn_RequestId=str(uuid.uuid4()),
    )
