"""Services, a network and a bus that fail: what stands between the gateway and the services.

Every fault is one that AWS or the network between has: an error before anything was done, an error
or a broken connection after all of it was done, an answer that breaks off, one that comes late.
"""

import contextlib
import os
import random
import signal
import socket
import struct
import threading
import time
from dataclasses import dataclass
from pathlib import Path

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
    "caller killed": 1,
    "caller killed after it took effect": 3,
}
LATE_S = (0.2, 2.0)
# What becomes of an event on its way to a queue or a function; an upload's is doubled at most.
EVENTS = {"lost": 2, "doubled": 3, "late": 3}


@dataclass
class Weather:
    """How bad it is now: the parts hit of requests, of handlers' calls and of events.

    Until `out_until` (monotonic) S3 is out.
    """

    requests: float = 0.0
    handlers: float = 0.0
    events: float = 0.0
    out_until: float = 0.0


class FaultyService:
    """A WSGI application around a service's, that fails for those whose keys `hits` names."""

    def __init__(self, name, application, *, weather, hits, callers, seed, story) -> None:
        self._name = name
        self._application = application
        self._weather = weather
        self._hits = hits
        self._callers = callers
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
        return (kind, late_s) if chance < self._weather.requests else (None, 0.0)

    def _fail(self, kind, late_s, environ, start_response):
        if kind == "503 slow down":
            return self._refusal("503 Slow Down", "SlowDown", environ).send(start_response)
        if kind == "500":
            return self._error(environ).send(start_response)
        if kind == "caller killed":
            kill_caller(environ, self._callers())
        if kind in ("reset", "caller killed"):
            raise _reset(environ)
        answer = call(self._application, environ)
        if kind == "caller killed after it took effect":
            kill_caller(environ, self._callers())
        if kind == "500 after it took effect":
            return self._error(environ).send(start_response)
        if kind in ("reset after it took effect", "caller killed after it took effect"):
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


class FaultyDelivery:
    """What stands between the bus and its rules' targets: events get lost, doubled or late."""

    def __init__(self, deliver, *, weather, seed, story) -> None:
        self._deliver = deliver
        self._weather = weather
        self._story = story
        self._random = random.Random(f"{seed} events")
        self._lock = threading.Lock()

    def __call__(self, target, text) -> None:
        with self._lock:
            hit = self._random.random() < self._weather.events
            (kind,) = self._random.choices(list(EVENTS), list(EVENTS.values()))
            late_s = self._random.uniform(*LATE_S)
        is_upload = ":states:" in target.arn
        if not hit or (is_upload and kind != "doubled"):
            self._deliver(target, text)
            return
        self._story.tell("event", kind, target=target.arn.rpartition(":")[2])
        if kind == "late":
            time.sleep(late_s)
        if kind != "lost":
            self._deliver(target, text)
        if kind == "doubled":
            self._deliver(target, text)


def kill_caller(environ, callers) -> int | None:
    """SIGKILL to the process group of whoever sent a request; its process, if it was found.

    `callers` are processes it may be of; which one, its end of the connection says.
    """
    inode = _inode(int(environ["REMOTE_PORT"]))
    for pid in callers:
        if inode is not None and f"socket:[{inode}]" in _open_files(pid):
            with contextlib.suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
                return pid
    return None


def _inode(port: int) -> str | None:
    """The socket of this machine that has the port as its own (proc(5), /proc/net/tcp)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1] == f"0100007F:{port:04X}":
            return fields[9]
    return None


def _open_files(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(each.readlink()))
    return found


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
