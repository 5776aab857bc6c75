"""What the worker says: one JSON line an event on stdout, with what names the work."""

import json
import os
import sys
from typing import IO, Any


class Journal:
    """Writes events; ``context`` (run, shard, index) is part of each."""

    def __init__(self, stream: IO[str] | None = None, **context: Any) -> None:
        self._stream = stream or sys.stdout
        self._context = context

    def about(self, **context: Any) -> "Journal":
        """The same journal with more context."""
        return Journal(self._stream, **(self._context | context))

    def say(self, event: str, **fields: Any) -> None:
        """Write one event. A log that cannot be written must not lose the work."""
        line = json.dumps({"event": event} | self._context | fields, default=str)
        try:
            self._stream.write(line + os.linesep)
            self._stream.flush()
        except (OSError, ValueError):
            return
