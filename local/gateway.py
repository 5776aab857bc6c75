"""The one address of the embedded AWS: a server that gives each request to the service it is for.

Which service that is stands in the request's signature (SigV4's credential scope); nobody checks
the signature itself. What has none is refused, but for what a job asks of its machine: the instance
metadata below `/imds`, and ECS's agent below `/ecs`.
"""

import logging
import socket
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from local.http import refusal, s3_refusal, signature_of
from local.moto_apps import MotoApp

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_LOG = logging.getLogger(__name__)
_CALLS_KEPT = 100_000


@dataclass(frozen=True)
class ApiCall:
    """One request that came in: for counting, and for telling who called what.

    `operation` is the API's name where the protocol says it, else method and path.
    """

    service: str
    operation: str
    access_key: str


class Gateway:
    """Serves from threads; `services`, `metadata` and `agent` may be filled in later.

    A service that is not in `services` by then is moto's.
    """

    def __init__(self) -> None:
        self.services: dict[str, WSGIApplication] = {}
        self.metadata: WSGIApplication | None = None
        self.agent: WSGIApplication | None = None
        self.calls: deque[ApiCall] = deque(maxlen=_CALLS_KEPT)
        self._adding = threading.Lock()
        self._servers: list[BaseWSGIServer] = []
        self._threads: list[threading.Thread] = []
        self.port = 0

    @property
    def endpoint_url(self) -> str:
        """The address to give to boto3."""
        return f"http://127.0.0.1:{self.port}"

    def listen(self, port: int, also: Sequence[str] = ()) -> None:
        """Take the port (0: a free one) of 127.0.0.1, and the same of further addresses.

        Raises OSError when it is in use, or when an address is not this machine's.
        """
        for address in dict.fromkeys(("127.0.0.1", *also)):
            # Werkzeug would print what is wrong and exit.
            with socket.create_server((address, port)) as listening:
                server = make_server(
                    address,
                    port,
                    self,
                    threaded=True,
                    request_handler=_handler(),
                    fd=listening.fileno(),
                )
            self._servers.append(server)
            port = self.port = server.port

    def serve(self) -> None:
        """Begin to answer."""
        for server in self._servers:
            thread = threading.Thread(
                target=server.serve_forever,
                kwargs={"poll_interval": 0.05},
                name="gateway",
                daemon=True,
            )
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop answering and give the port back."""
        for server, thread in zip(self._servers, self._threads, strict=False):
            server.shutdown()
            thread.join()
        for server in self._servers:
            server.server_close()

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer one request."""
        try:
            return self._route(environ)(environ, start_response)
        except Exception:  # noqa: BLE001 - an answer, whatever broke: the caller would wait for ever
            _LOG.exception("%s %s", environ["REQUEST_METHOD"], environ["PATH_INFO"])
            message = "The embedded AWS could not answer; its log says why."
            answer = refusal("500 Internal Server Error", "InternalFailure", message)
            return answer.send(start_response)

    def _route(self, environ: "WSGIEnvironment") -> "WSGIApplication":
        path = environ["PATH_INFO"]
        if path.startswith("/imds/") and self.metadata is not None:
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/imds", path.removeprefix("/imds")
            return self.metadata
        signature = signature_of(environ)
        if signature is None and path.startswith("/ecs/") and self.agent is not None:
            environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/ecs", path.removeprefix("/ecs")
            return self.agent
        if signature is None:
            return _unsigned
        self.calls.append(ApiCall(signature.service, _operation(environ), signature.access_key))
        with self._adding:
            if signature.service not in self.services:
                self.services[signature.service] = MotoApp(signature.service)
            return self.services[signature.service]


def _operation(environ: "WSGIEnvironment") -> str:
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        return target.rpartition(".")[2]
    query = environ.get("QUERY_STRING", "")
    return f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}" + (f"?{query}" if query else "")


def _unsigned(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """S3's own words, in its own format: it is the service that people call without signing."""
    answer = s3_refusal("403 Forbidden", "AccessDenied", "The request is not signed.")
    if environ["REQUEST_METHOD"] == "HEAD":
        answer = replace(answer, body=b"")
    return answer.send(start_response)


def _handler() -> type[WSGIRequestHandler]:
    """Moto's request handler without its line per request, and without Nagle's delays."""
    from moto.moto_server.werkzeug_app import MotoRequestHandler  # noqa: PLC0415 - it takes a while

    class Handler(MotoRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_request(self, *_arguments: object) -> None:
            """Say nothing: `Gateway.calls` keeps them."""

    return Handler
