"""What containers wrote, as the awslogs driver sends it to CloudWatch Logs: group, stream, lines.

The files stay the truth; of each is kept how long it was when, which gives its lines their times.
"""

import io
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from local.batch.launching import file_stem, log_file
from local.batch.model import Job, now_ms

# https://docs.aws.amazon.com/batch/latest/userguide/using_awslogs.html
_DEFAULT_GROUP = "/aws/batch/job"
LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Line:
    """A line of a log, and when it was seen: milliseconds since 1970."""

    at_ms: int
    text: str


@dataclass
class _Log:
    group: str
    stream: str
    path: Path
    # Sizes in bytes, and when the file was seen to have them.
    sizes: list[int] = field(default_factory=lambda: [0])
    seen_ms: list[int] = field(default_factory=lambda: [now_ms()])
    taken_bytes: int = 0
    runs: bool = True

    def look(self) -> None:
        size = self.path.stat().st_size if self.path.exists() else 0
        if size > self.sizes[-1]:
            self.sizes.append(size)
            self.seen_ms.append(now_ms())

    def take(self) -> list[Line]:
        """Whole lines not taken yet, and at the end the rest; empty ones are left out."""
        if self.taken_bytes == self.sizes[-1]:
            return []
        with self.path.open("rb") as file:
            file.seek(self.taken_bytes)
            new = file.read(self.sizes[-1] - self.taken_bytes)
        if self.runs:
            new = new[: new.rfind(b"\n") + 1]
        return [*self._lines(new)]

    def _lines(self, new: bytes) -> Iterator[Line]:
        for line in io.BytesIO(new):
            self.taken_bytes += len(line)
            text = line.rstrip(b"\r\n").decode(errors="replace")
            if text:
                seen = bisect_left(self.sizes, self.taken_bytes)
                yield Line(self.seen_ms[seen], text)


class ContainerLogs:
    """The logs of all attempts; its methods are thread-safe."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._logs: dict[str, _Log] = {}
        self._running: dict[str, _Log] = {}
        self._lock = threading.Lock()

    def begin(self, job: Job, attempt: int) -> None:
        """An attempt's container begins to write."""
        path = log_file(self._directory, job, attempt)
        log = _Log(group_of(job), job.container["logStreamName"], path)
        with self._lock:
            self._logs[path.stem] = self._running[path.stem] = log

    def end(self, job: Job, attempt: int) -> None:
        """It writes no more."""
        with self._lock:
            log = self._running.pop(file_stem(job, attempt))
            log.look()
            log.runs = False

    def look(self) -> None:
        """Note how much there is now."""
        with self._lock:
            for log in self._running.values():
                log.look()

    def groups(self) -> set[str]:
        """The groups of all."""
        with self._lock:
            return {log.group for log in self._logs.values()}

    def take(self, group: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, list[Line]]]:
        """Streams of a group by name, each with the lines that were not taken before."""
        with self._lock:
            for log in self._logs.values():
                if log.group == group and wanted(log.stream):
                    if log.runs:
                        log.look()
                    if lines := log.take():
                        yield log.stream, lines


def group_of(job: Job) -> str:
    """The log group that a job's definition names."""
    group: str = _options(job).get("awslogs-group", _DEFAULT_GROUP)
    return group


def stream_of(job: Job, attempt: int) -> str:
    """Prefix, container and task, as ECS has it; the task is the file's stem here."""
    definition = job.spec.definition_arn.rpartition("/")[2].partition(":")[0]
    prefix = _options(job).get("awslogs-stream-prefix", definition)
    return f"{prefix}/default/{file_stem(job, attempt)}"


def _options(job: Job) -> dict[str, str]:
    given = job.spec.container.get("logConfiguration", {})
    options: dict[str, str] = given.get("options", {})
    return options
