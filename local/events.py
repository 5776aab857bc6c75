"""The envelope that every EventBridge event has."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from local.names import ACCOUNT

Event = dict[str, Any]
Emit = Callable[[Event], None]


def aws_event(
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    *,
    region: str,
    resources: Sequence[str] = (),
) -> Event:
    """An event as AWS services put it on the default bus.

    EventBridge user guide, "Events in Amazon EventBridge": the structure of an event.
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": ACCOUNT,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": region,
        "resources": list(resources),
        "detail": dict(detail),
    }
