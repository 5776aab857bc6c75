"""All that asks an attempt to end leads to one :class:`Stop`: signals, the Spot notice, time.

The Spot notice is read by IMDSv2, token first
(https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html):
404 means that there is none. A machine without metadata service has no notices, which is no error.
"""

import contextlib
import http.client
import json
import math
import queue
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, Literal, NamedTuple

from worker.journal import Journal

Kind = Literal["signal", "spot", "deadline", "run_stopped"]

STANDARD_METADATA_ENDPOINT = "http://169.254.169.254"
POLL_S = 2.0
# In a row from the start on, until a machine is taken for one without metadata service.
_FAILURES = 5
_REQUEST_TIMEOUT_S = 1.0
_TOKEN_TTL_S = 21_600
_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)


# Seconds from the asking to the end, less a margin: ECS sends SIGKILL 30 s after SIGTERM, a Spot
# machine is taken 2 min after the notice, Batch ends an attempt 90 s after our own deadline.
GRACE_S: dict[Kind, float] = {"signal": 28.0, "spot": 115.0, "deadline": 85.0, "run_stopped": 60.0}


class StopReason(NamedTuple):
    """Why an attempt ends; the first reason is the one that counts."""

    kind: Kind
    text: str


class Stop:
    """Whether the attempt is to end. ``deadline`` is on the clock of :func:`time.monotonic`."""

    def __init__(
        self,
        deadline: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._deadline = deadline
        self._clock = clock
        self._sleep = sleep
        self._end = math.inf
        self._reason: StopReason | None = None
        # Unlike threading.Event, SimpleQueue.put may be called from a signal's handler.
        self._woken: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set_deadline(self, deadline: float) -> None:
        """Ask for a stop when the clock reaches ``deadline``."""
        self._deadline = deadline

    def ask(self, kind: Kind, text: str) -> None:
        """Ask for a stop; asking again can but shorten the time that is left."""
        if self._reason is None:
            self._reason = StopReason(kind, text)
        self._end = min(self._end, self._clock() + GRACE_S[kind])
        self.wake()

    def wake(self) -> None:
        """Let :meth:`wait` return; may be called by a signal's handler."""
        self._woken.put(None)

    @property
    def reason(self) -> StopReason | None:
        """Why to stop, or None to go on."""
        passed = self._deadline is not None and self._clock() >= self._deadline
        if self._reason is None and passed:
            self.ask("deadline", "the attempt's time is over")
        return self._reason

    def seconds_left(self) -> float:
        """Seconds until the process is killed; endless when nobody asked for a stop."""
        return self._end - self._clock()

    def pause(self, seconds: float) -> None:
        """Sleep, whoever asks for what."""
        self._sleep(seconds)

    def wait(self, seconds: float) -> None:
        """Sleep, at most until somebody asks for a stop or a program has ended."""
        if self.reason is None:
            with contextlib.suppress(queue.Empty):
                self._woken.get(timeout=seconds)


def heed_signals(stop: Stop) -> dict[signal.Signals, Any]:
    """Let signals ask ``stop`` from now on; returns what handled them before.

    The end of a program, which is no reason to stop, ends :meth:`Stop.wait` too.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        stop.ask("signal", signal.Signals(number).name)

    def wake(_number: int, _frame: FrameType | None) -> None:
        stop.wake()

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, wake)
    return before


@contextlib.contextmanager
def heeding_signals(stop: Stop) -> Iterator[None]:
    """Let signals ask ``stop``; what was there before is put back."""
    before = heed_signals(stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def watching_notices(
    stop: Stop, environment: Mapping[str, str], journal: Journal
) -> Iterator[None]:
    """Let the Spot notice ask ``stop``."""
    ended = threading.Event()
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() != "true":
        given = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        notice = SpotNotice(given or STANDARD_METADATA_ENDPOINT)
        threading.Thread(
            target=_watch, args=(notice, stop, ended, journal), name="spot-notice", daemon=True
        ).start()
    try:
        yield
    finally:
        ended.set()


class NoToken(OSError):
    """Raised when the metadata service says that it has no token to give: it is switched off."""


class SpotNotice:
    """Reads the notice of one machine."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._token: str | None = None
        # The metadata service is on the machine itself: a proxy could only answer for another.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def read(self) -> str | None:
        """The notice in words, or None when there is none.

        Raises:
            NoToken: nobody gets a notice from it.
            OSError: the metadata service does not answer (urllib's errors are of that kind).
        """
        if self._token is None:
            self._token = self._take_token()
        try:
            text = self._ask(
                "GET",
                "/latest/meta-data/spot/instance-action",
                "X-aws-ec2-metadata-token",
                self._token,
            )
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 401:  # the token is too old; the next turn takes a new one
                self._token = None
            elif error.code != 404:
                raise
            return None
        return _words(text)

    def _take_token(self) -> str:
        path, header = "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds"
        try:
            return self._ask("PUT", path, header, f"{_TOKEN_TTL_S}")
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in (403, 404):
                raise NoToken(str(error)) from error
            raise

    def _ask(self, method: str, path: str, header: str, value: str) -> str:
        request = urllib.request.Request(  # noqa: S310 - the endpoint is the machine's, by contract
            self._endpoint + path, method=method, headers={header: value}
        )
        with self._opener.open(request, timeout=_REQUEST_TIMEOUT_S) as answer:
            return str(answer.read(4096).decode(errors="replace"))


def _words(text: str) -> str:
    try:
        notice = json.loads(text)
        return f"Spot notice: {notice['action']} at {notice['time']}"
    except (ValueError, TypeError, KeyError):
        return f"Spot notice: {text[:100]}"


def _watch(notice: SpotNotice, stop: Stop, ended: threading.Event, journal: Journal) -> None:
    """Read the notice until there is one, the attempt ends, or no metadata service is there."""
    reached, failures = False, 0
    while not ended.is_set():
        try:
            text = notice.read()
            reached = True
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures += 1
            if isinstance(error, NoToken) or (failures >= _FAILURES and not reached):
                journal.say("no_spot_notices", why=str(error))
                return
            text = None
        if text is not None:
            stop.ask("spot", text)
            return
        ended.wait(POLL_S)
