"""What the tools script and command share: options, templates, folders and the environment."""

import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from drydock.errors import Malformed
from drydock.globs import glob_problem
from drydock.templates import ASSET, NAMING, fill, placeholders
from worker.endings import Misconfigured, RestartUnusable
from worker.program import clean_environment
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.program_session import Folders, ProgramSession, Start

# Of Batch's own variables none is secret, and scripts read them.
_OF_BATCH = "AWS_BATCH_"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOptions:
    """The options that both have, as ``drydock.program_options`` validates them."""

    environment: Mapping[str, str] = field(default_factory=dict)
    outputs: Sequence[str] | None = None
    stdin: str | None = None
    stdout: str | None = None
    bad_input_codes: Sequence[int] = ()
    stop_signal: str = "TERM"
    stop_seconds: int = 10
    allow_aws: bool = False
    recursive: bool = False

    def __post_init__(self) -> None:
        """Look at what a request's model has not seen: options given by hand.

        Raises:
            Malformed, TypeError, ValueError, AttributeError: they are none.
        """
        for text in (*self.environment.values(), *([self.stdin] if self.stdin else [])):
            placeholders(text)
        if self.stdout is not None:
            placeholders(self.stdout, NAMING)
        for pattern in self.outputs or ():
            if problem := glob_problem(pattern):
                raise Malformed(f"outputs: {pattern}: {problem}")
        self.number_of_stop()

    def number_of_stop(self) -> signal.Signals:
        """The signal that asks the program to end."""
        try:
            return signal.Signals[f"SIG{self.stop_signal}"]
        except KeyError:
            raise Malformed(f"stop_signal: {self.stop_signal} is none") from None


# Makes what is run for one input, program first: of its folders, where files that the program is
# made of are put into the work folder, and of what fills a template.
Arguments = Callable[[Folders, Callable[[str], str]], list[str]]


class ProgramRunner:
    """Opens sessions of a program."""

    def __init__(
        self, setting: Setting, options: ProgramOptions, *, needs_output: bool = False
    ) -> None:
        self._setting = setting
        self._options = options
        self._needs_output = needs_output
        self.assets: Mapping[str, Path] = {}

    def open(
        self,
        fetched: FetchedInput,
        folder: Path,
        resume: Resume,
        arguments: Arguments,
        name: str,
    ) -> ProgramSession:
        """Start the program on an input; ``name`` is what people call it.

        Raises:
            Misconfigured: there is no such program, or a template has a place without a value.
            RestartUnusable: its last checkpoint is not whole, or there is none.
        """
        if resume.progress and resume.restart is None:
            raise RestartUnusable("the part has no checkpoint of its own")
        folders = Folders.make(folder)
        values = self._values(fetched, folders)

        def filled(text: str) -> str:
            try:
                return fill(text, values)
            except Malformed as error:
                raise Misconfigured(f"options: {text!r}: {error}") from error

        options = self._options
        environment = self._environment(fetched, folders, filled)
        start = Start(
            name=name,
            command=_found(arguments(folders, filled), folders.work, environment),
            environment=environment,
            stdin=None if options.stdin is None else Path(filled(options.stdin)),
            stdout=None if options.stdout is None else filled(options.stdout),
            outputs=options.outputs,
            needs_output=self._needs_output,
            bad_input_codes=options.bad_input_codes,
            stop_signal=options.number_of_stop(),
            stop_seconds=options.stop_seconds,
        )
        try:
            return ProgramSession(start, folders, resume, self._setting.say)
        except RestartUnusable:
            folders.remove()
            raise

    def _values(self, fetched: FetchedInput, folders: Folders) -> dict[str, str]:
        return {
            "input": str(fetched.path),
            "stem": fetched.stem,
            "output": str(folders.output),
            "vcpus": str(self._setting.vcpus),
            "index": str(fetched.index),
            "scratch": str(folders.home),
            "checkpoint": str(folders.checkpoint),
        } | {f"{ASSET}{name}": str(path) for name, path in self.assets.items()}

    def _environment(
        self, fetched: FetchedInput, folders: Folders, filled: Callable[[str], str]
    ) -> dict[str, str]:
        """What the program sees; what the user sets goes before all but what is ours to say."""
        setting, options = self._setting, self._options
        vcpus = str(setting.vcpus)
        environment = {"OMP_NUM_THREADS": vcpus} | clean_environment(
            folders.home, setting.variables, allow_aws=options.allow_aws
        )
        environment |= {
            name: value for name, value in os.environ.items() if name.startswith(_OF_BATCH)
        }
        environment |= {name: filled(text) for name, text in options.environment.items()}
        return environment | {
            "INPUT": str(fetched.path),
            "INPUT_URI": fetched.uri,
            "OUTPUT_DIR": str(folders.output),
            "CHECKPOINT_DIR": str(folders.checkpoint),
            "VCPUS": vcpus,
            "NSLOTS": vcpus,
            "DRYDOCK_INDEX": str(fetched.index),
            "HOME": str(folders.home),
            "TMPDIR": str(folders.home),
        }


def _found(command: Sequence[str], work: Path, environment: Mapping[str, str]) -> list[str]:
    """The command with its program's full path.

    Raises:
        Misconfigured: there is no such program, or it may not be run.
    """
    name = command[0]
    wanted = str(work / name) if "/" in name else name
    path = shutil.which(wanted, path=environment.get("PATH"))
    if path is None:
        why = "is no program in this image"
        if Path(wanted).is_file() and "/" in wanted:
            why = "may not be run: it is not executable, or scratch is mounted with noexec"
        raise Misconfigured(f"{name} {why}")
    return [path, *command[1:]]
