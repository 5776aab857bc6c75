"""One thread that runs things when their time has come."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable


class Timetable:
    """Runs each action at its time, on one daemon thread: an action must be quick."""

    def __init__(self, name: str) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._tickets = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def after(self, delay_s: float, action: Callable[[], None]) -> None:
        """Run `action` in `delay_s` seconds; never, once closed."""
        with self._changed:
            heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._tickets), action))
            self._changed.notify()

    def close(self) -> None:
        """Forget what is not yet due and wait for what is running."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            action()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                wait_s = self._due[0][0] - time.monotonic() if self._due else None
                if wait_s is not None and wait_s <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait_s)
        return None
