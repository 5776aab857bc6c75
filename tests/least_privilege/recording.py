"""Notes every request that comes to the embedded AWS: who made it, and what it asked for."""

import json
import urllib.parse
from collections.abc import Mapping
from dataclasses import dataclass, field

from local.gateway import Gateway
from local.http import call, signature_of, take_body


@dataclass(frozen=True)
class Seen:
    """One request with its answer's status; `access_key` is its caller's, `scene` what ran then.

    `document` is a JSON body, or a form; `told` are headers of the answer, in lower case.
    """

    scene: str
    access_key: str
    service: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    document: Mapping[str, object]
    status: int
    told: Mapping[str, str]


@dataclass
class Recording:
    """What was seen since the recording began; `scene` may be set at any time."""

    scene: str = ""
    seen: list[Seen] = field(default_factory=list)

    def begin(self, gateway: Gateway) -> None:
        """Note everything that the gateway is asked from now on."""
        route = gateway._route

        def noting(environ):
            application = route(environ)
            signature = signature_of(environ)
            if signature is None or environ["PATH_INFO"].startswith("/imds/"):
                return application

            def noted(environ, start_response):
                # S3's bodies are objects; a gateway's front may change the path.
                body = b"" if signature.service == "s3" else take_body(environ)
                request = _request(environ, body)
                answer = call(application, environ)
                told = {name.lower(): value for name, value in answer.headers}
                status = int(answer.status.split()[0])
                self.seen.append(
                    Seen(
                        scene=self.scene,
                        access_key=signature.access_key,
                        service=signature.service,
                        status=status,
                        told=told,
                        **request,
                    )
                )
                return answer.send(start_response)

            return noted

        gateway._route = noting


def _request(environ, body):
    path = urllib.parse.unquote(environ["REQUEST_URI"].partition("?")[0])
    query = urllib.parse.parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_X_AMZ_") or name in ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")
    }
    return {
        "method": environ["REQUEST_METHOD"],
        "path": path,
        "query": dict(query),
        "headers": headers,
        "document": _document(body, environ.get("CONTENT_TYPE", "")),
    }


def _document(body, content_type):
    if not body:
        return {}
    if content_type.startswith("application/x-www-form-urlencoded"):
        return dict(urllib.parse.parse_qsl(body.decode()))
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
