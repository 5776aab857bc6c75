"""What was done, when and to whom: lines that survive whoever writes them, read at the end."""

import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Event:
    """One thing that was done. `time` is seconds since 1970; `what` counts in the summary."""

    time: float
    who: str
    what: str
    about: dict


class Story:
    """A file of events to which several processes append, one line each."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def tell(self, who: str, what: str, **about: object) -> None:
        """Add an event; a line is one write, so that a kill cuts none but the writer's last."""
        line = json.dumps({"time": _now(), "who": who, "what": what, "about": about}) + "\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def events(self) -> list[Event]:
        """Everything, in the order in which it was done."""
        if not self.path.exists():
            return []
        lines = self.path.read_text().splitlines()
        return sorted(
            (Event(**json.loads(line)) for line in lines if line.endswith("}")),
            key=lambda event: event.time,
        )

    def counts(self) -> Counter:
        """How often each thing was done, by who and what."""
        found: Counter = Counter()
        for event in self.events():
            found[event.who, event.what] += event.about.get("count", 1)
        return found

    def readable(self) -> str:
        """The story for people, seconds from its first line."""
        events = self.events()
        began = events[0].time if events else 0.0
        return "\n".join(
            f"{event.time - began:8.2f} s  {event.who:<8} {event.what}"
            + "".join(f"  {name}={value}" for name, value in event.about.items())
            for event in events
        )


_now = time.time  # taken before a process's clock is made to jump
