"""The little of WSGI that the embedded services share."""

import io
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]+)/([^/]+)/aws4_request")


@dataclass(frozen=True)
class Signature:
    """Whose request it is and for which service: SigV4's credential scope."""

    access_key: str
    region: str
    service: str


@dataclass(frozen=True)
class Answer:
    """A whole HTTP response."""

    status: str
    headers: list[tuple[str, str]]
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the request was done (2xx)."""
        return self.status.startswith("2")

    def send(self, start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a WSGI request with this."""
        start_response(self.status, self.headers)
        return [self.body]


def signature_of(environ: "WSGIEnvironment") -> Signature | None:
    """The credential scope from the Authorization header or a presigned URL, None without one."""
    text = environ.get("HTTP_AUTHORIZATION", "")
    if not text:
        query = urllib.parse.parse_qs(environ.get("QUERY_STRING", ""))
        if "AWSAccessKeyId" in query:  # version 2: S3 alone, what boto3 presigns by default
            return Signature(query["AWSAccessKeyId"][0], "", "s3")
        text = "Credential=" + query.get("X-Amz-Credential", [""])[0]
    match = _SCOPE.search(text)
    return Signature(*match.groups()) if match else None


def take_body(environ: "WSGIEnvironment") -> bytes:
    """Read the request's body and leave it there for the next reader."""
    length = environ.get("CONTENT_LENGTH")
    stream = environ["wsgi.input"]
    body: bytes = stream.read(int(length)) if length else b""
    if not length and environ.get("wsgi.input_terminated"):
        body = stream.read()
    give_body(environ, body)
    return body


def give_body(environ: "WSGIEnvironment", body: bytes) -> None:
    """Replace the request's body."""
    environ["wsgi.input"] = io.BytesIO(body)
    environ["CONTENT_LENGTH"] = str(len(body))
    environ.pop("HTTP_TRANSFER_ENCODING", None)


def call(application: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    """Run a WSGI application to its end."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _failure: object = None
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return written.append

    chunks = application(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if close := getattr(chunks, "close", None):
            close()
    status, headers = started[-1]
    return Answer(status, headers, b"".join(written) + body)


def json_answer(status: str, document: Mapping[str, Any], **headers: str) -> Answer:
    """A JSON response; a header's name is given with `_` for `-`."""
    body = json.dumps(document).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, list(fields.items()), body)


def s3_refusal(status: str, code: str, message: str) -> Answer:
    """An AWS error as S3 writes it."""
    text = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    body = f"<?xml version='1.0' encoding='UTF-8'?>\n{text}".encode()
    headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
    return Answer(status, headers, body)


def refusal(status: str, code: str, message: str) -> Answer:
    """An AWS error as the JSON protocols write it: boto3 makes `code` the error's code."""
    return json_answer(status, {"__type": code, "message": message}, x_amzn_ErrorType=code)
