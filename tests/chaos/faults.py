"""A network and an S3 that fail: what stands between the gateway and the services.

Every fault is one that AWS or the network between has: an error before anything was done, an error
or a broken connection after all of it was done, an answer that breaks off, one that comes late.
"""

import os
import random
import socket
import struct
import threading
import time
from dataclasses import dataclass

from local.http import Answer, call, json_answer, s3_refusal, signature_of, take_body

# Of a request that is hit, how often it is hit how.
KINDS = {
    "500": 3,
    "503 slow down": 3,
    "500 after it took effect": 3,
    "reset": 2,
    "reset after it took effect": 3,
    "cut off answer": 2,
    "late answer": 2,
}
LATE_S = (0.2, 2.0)


@dataclass
class Weather:
    """How bad it is now: the part of requests hit, and until when (monotonic) S3 is out."""

    rate: float = 0.0
    handlers: float = 0.0
    out_until: float = 0.0


class FaultyService:
    """A WSGI application around a service's, that fails for those whose keys `hits` names."""

    def __init__(self, name, application, *, weather, hits, seed, story) -> None:
        self._name = name
        self._application = application
        self._weather = weather
        self._hits = hits
        self._story = story
        self._random = random.Random(f"{seed} {name}")
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        kind, late_s = self._choose(environ)
        if kind is None:
            return self._application(environ, start_response)
        self._story.tell(
            self._name,
            kind,
            by=signature_of(environ).access_key,
            request=f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
            + (environ.get("HTTP_X_AMZ_TARGET") or ""),
        )
        take_body(environ)  # the whole request was sent: its connection can be used again
        return self._fail(kind, late_s, environ, start_response)

    def _choose(self, environ):
        signature = signature_of(environ)
        if signature is None or not self._hits(signature.access_key):
            return None, 0.0
        with self._lock:
            chance, late_s = self._random.random(), self._random.uniform(*LATE_S)
            (kind,) = self._random.choices(list(KINDS), list(KINDS.values()))
        if self._name == "s3" and time.monotonic() < self._weather.out_until:
            return "503 slow down", 0.0
        return (kind, late_s) if chance < self._weather.rate else (None, 0.0)

    def _fail(self, kind, late_s, environ, start_response):
        if kind == "503 slow down":
            return self._refusal("503 Slow Down", "SlowDown", environ).send(start_response)
        if kind == "500":
            return self._error(environ).send(start_response)
        if kind == "reset":
            raise _reset(environ)
        answer = call(self._application, environ)
        if kind == "500 after it took effect":
            return self._error(environ).send(start_response)
        if kind == "reset after it took effect":
            raise _reset(environ)
        if kind == "late answer":
            time.sleep(late_s)
            return answer.send(start_response)
        return _cut_off(answer, environ, start_response)

    def _error(self, environ) -> Answer:
        return self._refusal("500 Internal Server Error", "InternalError", environ)

    def _refusal(self, status, code, environ) -> Answer:
        message = "An experiment of the chaos tests."
        if self._name == "s3":
            answer = s3_refusal(status, code, message)
        else:
            answer = json_answer(
                status, {"__type": code, "message": message}, x_amzn_ErrorType=code
            )
        if environ["REQUEST_METHOD"] == "HEAD":
            return Answer(answer.status, [("Content-Length", "0")], b"")
        return answer


def _reset(environ) -> ConnectionError:
    """Break the connection as the network does it (RST), and leave a dead one in its place.

    The descriptor stays taken until the server closes it, so that no other thread gets its number.
    """
    broken: socket.socket = environ["werkzeug.socket"]
    broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        os.dup2(ours.fileno(), broken.fileno())
    return ConnectionResetError("an experiment of the chaos tests")


def _cut_off(answer: Answer, environ, start_response):
    """Send the head, half of the body, and break the connection."""
    write = start_response(answer.status, answer.headers)
    write(answer.body[: len(answer.body) // 2])
    raise _reset(environ)
