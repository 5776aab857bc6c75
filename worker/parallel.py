"""Doing one thing for many items at once, on threads that hold up nobody's end.

The threads are daemons: one that waits for S3 must not keep a stopped process alive, and the
interpreter waits at its end for those of :mod:`concurrent.futures`.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from worker.endings import Interrupted
from worker.stop_signals import Stop

T = TypeVar("T")

# How soon a stop is seen, and how long an end waits for threads that are about to see it.
_LOOK_S = 0.1
_JOIN_S = 0.5


def each(
    work: Callable[[T], None],
    items: Sequence[T],
    threads: int,
    stop: Stop,
    finished: Callable[[T], None] = lambda _item: None,
) -> None:
    """Call ``work`` for every item; ``finished`` is called here, as items are done.

    The first error ends it and is raised; what other threads are at then may still go on for a
    while, so ``work`` has to look for an end by itself.

    Raises:
        Interrupted: a stop was asked for; at once, whatever the threads wait for.
    """
    waiting: queue.SimpleQueue[T] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)
    over = threading.Event()
    ended: queue.SimpleQueue[tuple[T, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        while not over.is_set():
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                work(item)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                ended.put((item, error))
                return
            ended.put((item, None))

    crew = [threading.Thread(target=run, daemon=True) for _ in items[:threads]]
    for thread in crew:
        thread.start()
    try:
        for _ in items:
            done, error = _wait(ended, stop)
            if error is not None:
                raise error
            finished(done)
    finally:
        over.set()
        deadline = time.monotonic() + _JOIN_S
        for thread in crew:
            thread.join(max(0.0, deadline - time.monotonic()))


def _wait(
    ended: "queue.SimpleQueue[tuple[T, BaseException | None]]", stop: Stop
) -> tuple[T, BaseException | None]:
    while True:
        if stop.reason is not None:
            raise Interrupted(stop.reason.text)
        with contextlib.suppress(queue.Empty):
            return ended.get(timeout=_LOOK_S)
