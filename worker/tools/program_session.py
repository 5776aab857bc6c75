"""Work on one input by one start of a program that knows nothing of drydock.

It is done when it ends with 0 and its outputs are there; until then only its checkpoints count.
"""

import json
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.endings import InputFailed, Misconfigured
from worker.program import Program
from worker.scratch import tells_of_no_room
from worker.tools import Contribution, Death, Output, Resume
from worker.tools.checkpoint import CheckpointFolder
from worker.tools.harvest import as_outputs, harvest

ACCOUNT = "program.json"
# Deaths at as many places, whatever checkpoints lie between them.
MOST_DEATHS = 5
_NOTHING = Path("/dev/null")
# What shells say of a program that is not there or may not be run.
_NO_PROGRAM = (126, 127)
_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_TOLD_CHARS = 500


@dataclass(frozen=True, slots=True)
class Folders:
    """A session's folders: where the program begins, and what it is told of."""

    work: Path
    output: Path
    checkpoint: Path
    home: Path

    @classmethod
    def make(cls, folder: Path) -> "Folders":
        """Make them, empty."""
        found = cls(*(folder / name for name in ("work", "output", "checkpoint", "home")))
        for each in found._all():
            each.mkdir(mode=0o700)
        return found

    def remove(self) -> None:
        """Remove them, so that they can be made anew."""
        for each in self._all():
            shutil.rmtree(each)

    def _all(self) -> tuple[Path, ...]:
        return self.work, self.output, self.checkpoint, self.home


@dataclass(frozen=True, slots=True)
class Start:
    """How the program is started, and what of it counts; nothing is left to fill in."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stdin: Path | None
    stdout: str | None
    outputs: Sequence[str] | None
    needs_output: bool
    bad_input_codes: Sequence[int]
    stop_signal: signal.Signals
    stop_seconds: int


class ProgramSession:
    """See :class:`worker.tools.Session`. Progress is a number of checkpoints, and 1 for the end."""

    def __init__(
        self, start: Start, folders: Folders, resume: Resume, say: Callable[..., None]
    ) -> None:
        self.death: Death | None = None
        self._start = start
        self._folders = folders
        self._troubles = resume.troubles
        self._progress = resume.progress
        self._checkpoint = CheckpointFolder(folders.checkpoint, say)
        if resume.restart is not None:
            self._checkpoint.restore(resume.restart)
        self._kept: Path | None = None
        self._outputs: tuple[Output, ...] | None = None
        self._exit_code: int | None = None
        self._began = time.monotonic()
        self._program = self._run()

    def _run(self) -> Program:
        start, folders = self._start, self._folders
        stdout = None if start.stdout is None else folders.output / start.stdout
        if stdout is not None:
            stdout.parent.mkdir(parents=True, exist_ok=True)
        try:
            return Program(
                start.command,
                folders.work,
                start.environment,
                writable=(folders.output, folders.checkpoint, folders.home),
                stdin_from=start.stdin or _NOTHING,
                stdout_to=stdout,
            )
        except OSError as error:
            if start.stdin is not None and not start.stdin.is_file():
                raise Misconfigured(f"options.stdin: {start.stdin} is no file") from error
            raise Misconfigured(f"{start.name} cannot be started: {error}") from error

    @property
    def unsealed(self) -> int:
        """1 when there is a checkpoint, or an end, that is in no contribution yet."""
        if self._kept is not None or self._outputs is not None:
            return 1
        return int(self._exit_code is None and self._checkpoint.has_changed())

    def poll(self) -> bool:
        """See :class:`worker.tools.Session`."""
        if self._exit_code is None:
            self._exit_code = self._program.poll()
            if self._exit_code == 0:
                self._outputs = self._harvest()
            elif self._exit_code is not None:
                self._judge(self._exit_code)
        return self._exit_code is not None

    def interrupt(self) -> None:
        """Ask the program to end; its last checkpoint is kept, its outputs are not."""
        if self._exit_code is None:
            self._program.terminate(self._start.stop_seconds, self._start.stop_signal)
            self._exit_code = self._program.poll()
            self._kept = self._checkpoint.take(running=False)

    def contribute(self) -> Contribution:
        """See :class:`worker.tools.Session`."""
        if self._exit_code is None:
            self._kept = self._checkpoint.take(running=True)
        kept, self._kept = self._kept, None
        fresh = int(kept is not None or self._outputs is not None)
        self._progress += fresh
        return Contribution(
            outputs=(self._account(), *(self._outputs or ())),
            fresh=fresh,
            progress=self._progress,
            counts={"molecules": 0, "failed_molecules": 0},
            best_id=None,
            best_score=None,
            restart=None if kept is None else _restart(kept),
        )

    def close(self) -> None:
        """Kill the program if it still runs; its folders go with the scratch."""
        self._program.kill()

    def _harvest(self) -> tuple[Output, ...]:
        start, folder = self._start, self._folders.output
        named = () if start.stdout is None else (start.stdout,)
        paths = harvest(folder, start.outputs, named)
        if start.needs_output and start.outputs is None and not paths:
            raise InputFailed(
                "tool_failed", "the program ended with 0, but left nothing in the output folder", 0
            )
        return as_outputs(folder, paths)

    def _judge(self, code: int) -> None:
        """The program did not end with 0, and nobody of us had asked it to."""
        told = self._told(code)
        number = -code if code < 0 else code - 128
        if code in _NO_PROGRAM:
            raise Misconfigured(f"a program is missing in the image: {told}")
        if tells_of_no_room(told):
            # Whatever its code: on another machine there may be room.
            self._die(told, None, code)
            return
        if code in self._start.bad_input_codes:
            raise InputFailed("bad_input", told, code)
        if number == signal.SIGKILL:
            self._die(told, None, code, out_of_memory=True)
        elif number in _ASKED:
            self._die(told, None, code)
        else:
            self._kept = self._checkpoint.take(running=False)
            place = f"checkpoint {self._progress + int(self._kept is not None)}"
            if place in self._troubles:
                raise InputFailed("tool_failed", f"{told}; it happened here before", code)
            if len(self._troubles) >= MOST_DEATHS:
                raise InputFailed("tool_failed", f"{told}; it died too often", code)
            self.death = Death(told, place, code)

    def _die(self, told: str, place: str | None, code: int, *, out_of_memory: bool = False) -> None:
        self._kept = self._checkpoint.take(running=False)
        self.death = Death(told, place, code, out_of_memory)

    def _told(self, code: int) -> str:
        ended = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        said = self._program.complained()
        if not said.strip() and self._start.stdout is None:
            said = self._program.said()
        words = " ".join(said.split())[-_TOLD_CHARS:] or "it said nothing"
        return f"{self._start.name} ended with {ended}: {words}"

    def _account(self) -> Output:
        """What was run, for people; the first output, whose put claims the part's number."""
        path = self._folders.work.with_name(ACCOUNT)
        told = {
            "command": list(self._start.command),
            "exit_code": self._exit_code,
            "checkpoint": self._progress,
            "seconds": round(time.monotonic() - self._began, 3),
        }
        path.write_text(json.dumps(told, indent=2) + "\n")
        return Output("program", ACCOUNT, lambda _keys: path)


def _restart(kept: Path) -> Output:
    return Output("checkpoint", "checkpoint.tar", lambda _keys: kept)
