"""Shows what the containers of an input wrote: attempt after attempt, now or as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from cli.life import Attempt, Life, RoundOfInput, life_of
from cli.log_group import Line, LogGroup, Reading
from cli.look import Doors, status_of
from cli.tell import attempt_in_words
from drydock.markers import Failure

READ_EVERY_S = 2.0
READS_A_LOOK = 5
_SETTLING_S = 60.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be shown: None means all. ``tail`` counts lines of each attempt."""

    round: int | None = None
    attempt: int | None = None
    tail: int | None = None
    timestamps: bool = False


@dataclass(frozen=True, slots=True)
class Told:
    """Who hears of lines of logs, and of what is said about them."""

    line: Callable[[str], None]
    note: Callable[[str], None]


@dataclass(slots=True)
class LogView:
    """The logs of one input, and how far they have been shown."""

    doors: Doors
    group: LogGroup
    run_id: str
    index: int
    wish: Wish
    told: Told
    _readings: dict[str, Reading] = field(default_factory=dict)
    _ended: set[str] = field(default_factory=set)
    _closed: set[str] = field(default_factory=set)
    _noted: set[str] = field(default_factory=set)
    _last: str = ""

    def show(self) -> bool:
        """All that there is now; whether there was any log.

        Raises:
            RunNotFound: there is no such run, or it has no such input.
            NoLogs: the log group may not be read.
        """
        self._look()
        return self._found_any()

    def follow(self, sleep: Callable[[float], None]) -> bool:
        """Likewise, and what comes until the input is settled or its run has ended.

        Raises:
            RunNotFound: there is no such run, or it has no such input.
            NoLogs: the log group may not be read.
        """
        while True:
            life = self._look()
            ended = not _goes_on(life) and (life.speaker is not None or self._run_is_over())
            if ended and self._closed >= self._readings.keys():
                return self._found_any()
            for _ in range(READS_A_LOOK):
                sleep(READ_EVERY_S)
                for reading in self._readings.values():
                    if reading.stream not in self._closed:
                        self._show(reading)

    def _run_is_over(self) -> bool:
        return status_of(self.doors, self.run_id) != "RUNNING"

    def _found_any(self) -> bool:
        return any(reading.is_there for reading in self._readings.values())

    def _look(self) -> Life:
        life = life_of(self.doors, self.run_id, self.index)
        for found in life.rounds:
            if self.wish.round in (None, found.number):
                self._look_at_round(found)
        if self.wish.round is None and self.wish.attempt is None:
            self._look_at_marker(life)
        if not life.rounds and life.speaker is None:
            self._note(f"input {self.index} is in no round yet: no container has worked on it")
        if life.record.duplicate_of is not None:
            self._note(
                f"input {self.index} repeats input {life.record.duplicate_of}: nothing ran for it"
            )
        return life

    def _look_at_round(self, found: RoundOfInput) -> None:
        if found.job_id is None:
            self._note(f"round {found.number} is not submitted yet")
        elif found.attempts is None:
            self._note(_forgotten(found, self.group.name))
        for attempt in found.attempts or ():
            if self.wish.attempt in (None, attempt.number):
                self._look_at_attempt(found, attempt)

    def _look_at_attempt(self, found: RoundOfInput, attempt: Attempt) -> None:
        where = f"round {found.number}, attempt {attempt.number}"
        if attempt.log_stream is None:
            self._note(f"{where} has no log stream: {attempt_in_words(attempt)}")
            return
        if attempt.status is not None:
            self._read(attempt.log_stream, f"{where}: {attempt.status}")
            return
        self._read(attempt.log_stream, f"{where}: {attempt_in_words(attempt)}")
        # The driver sends its last lines some seconds late: they are read until the next look.
        late = (attempt.stopped_at or 0.0) + _SETTLING_S > self.doors.now()
        closing = attempt.log_stream in self._ended or not late
        (self._closed if closing else self._ended).add(attempt.log_stream)

    def _look_at_marker(self, life: Life) -> None:
        """The stream that a failure's marker names, also where Batch has forgotten the job."""
        if isinstance(life.content, Failure) and life.content.log_stream is not None:
            self._read(
                life.content.log_stream, f"the attempt that found {life.content.failure_class}"
            )
            self._closed.add(life.content.log_stream)

    def _read(self, stream: str, header: str) -> None:
        reading = self._readings.get(stream)
        if reading is None:
            reading = self._readings[stream] = Reading(stream, header)
        if stream not in self._closed:
            self._show(reading)
        if not reading.is_there:
            self._note(_nowhere(stream, self.group.name))

    def _show(self, reading: Reading) -> None:
        for line in self._lines(reading):
            if self._last != reading.stream:
                self.told.note(f"==> {reading.header}; {reading.stream} <==")
                self._last = reading.stream
            self.told.line(self._in_words(line))

    def _lines(self, reading: Reading) -> Iterator[Line]:
        if self.wish.tail is None or reading.is_there:
            return self.group.forward(reading)
        return self.group.tail(reading, self.wish.tail)

    def _in_words(self, line: Line) -> str:
        if not self.wish.timestamps:
            return line.text
        at = datetime.fromtimestamp(line.at, UTC)
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z {line.text}"

    def _note(self, text: str) -> None:
        """Once, however often it is looked."""
        if text not in self._noted:
            self._noted.add(text)
            self.told.note(text)


def _goes_on(life: Life) -> bool:
    return any(each.status for found in life.rounds for each in found.attempts or ())


def _forgotten(found: RoundOfInput, group: str) -> str:
    """How to find what the log group keeps longer than Batch its jobs.

    The worker's first line has the job's id.
    """
    return (
        f"round {found.number}: AWS Batch knows its job {found.job_id} no more (it keeps ended "
        "ones for 7 days), nor the name of its log stream. While the log group keeps it: "
        f"aws logs filter-log-events --log-group-name {group} "
        f"--start-time {round(found.claimed_at * 1000)} "
        f"--filter-pattern '\"{found.job_id}\"' --query 'events[].logStreamName'"
    )


def _nowhere(stream: str, group: str) -> str:
    return (
        f"the log stream {stream} is not in {group}: nothing was written to it yet (--follow "
        "waits), or it is older than the group keeps (the stack's LogRetentionDays)"
    )
