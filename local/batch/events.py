"""Batch's EventBridge events, handed on in order by a thread of their own."""

import json
import logging
import queue
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local.batch.model import Job

_log = logging.getLogger(__name__)


class Publisher:
    """Queues events and emits each on its thread, so that no target holds the scheduler up."""

    def __init__(self, emit: Callable[[dict[str, Any]], None], region: str, account: str) -> None:
        self._emit = emit
        self._about = {"version": "0", "source": "aws.batch", "region": region, "account": account}
        self._events: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="batch-events", daemon=True)
        self._thread.start()

    def state_changed(self, job: Job) -> None:
        """The job as it is now, as a "Batch Job State Change"."""
        self._put("Batch Job State Change", [job.arn], job.detail())

    def queue_blocked(self, job: Job) -> None:
        """The job at the head of its queue cannot be placed: its status reason says why."""
        self._put("Batch Job Queue Blocked", [job.arn, job.spec.queue.arn], job.detail())

    def close(self) -> None:
        """Emits nothing more once what is being emitted is through."""
        self._events.put(None)
        self._thread.join(timeout=5)

    def _put(self, detail_type: str, resources: list[str], detail: dict[str, Any]) -> None:
        event = self._about | {
            "id": str(uuid.uuid4()),
            "detail-type": detail_type,
            "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "resources": resources,
            "detail": detail,
        }
        # As text: the job changes on while the event waits.
        self._events.put(json.dumps(event))

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                self._emit(json.loads(event))
            except Exception:  # noqa: BLE001 - whatever the bus raises, the next one is due
                _log.exception("a Batch event was not taken")
