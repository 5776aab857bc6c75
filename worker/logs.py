"""Where this container's log lies, as the ECS agent tells it."""

import json
import os
import urllib.request

_TIMEOUT_S = 1.0


def log_stream() -> str | None:
    """The log stream's name, or None where no ECS agent runs.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html
    """
    endpoint = os.environ.get("ECS_CONTAINER_METADATA_URI_V4", "")
    if not endpoint.startswith("http://"):
        return None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(endpoint, timeout=_TIMEOUT_S) as answer:
            found = json.loads(answer.read()).get("LogOptions", {}).get("awslogs-stream")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
