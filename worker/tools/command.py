"""Any program of the image, started for each input as its templates say; no shell reads them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drydock.errors import Malformed
from drydock.templates import placeholders
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.options import read_options
from worker.tools.program_session import Folders, ProgramSession
from worker.tools.program_tool import ProgramOptions, ProgramRunner


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOptions(ProgramOptions):
    """The options of a request, as ``drydock.command_options`` validates them there."""

    command: Sequence[str]

    def __post_init__(self) -> None:
        """See :class:`ProgramOptions`."""
        super(CommandOptions, self).__post_init__()
        if isinstance(self.command, str) or not self.command:
            raise Malformed("command must be a list: a program and its arguments")
        for text in self.command:
            placeholders(text)


class Command:
    """A command, ready to run."""

    def __init__(self, setting: Setting, options: CommandOptions) -> None:
        self._runner = ProgramRunner(setting, options, needs_output=True)
        self._templates = options.command

    @classmethod
    def from_setting(cls, setting: Setting) -> "Command":
        """A command as a task document describes it.

        Raises:
            Misconfigured: the options are not a command's.
        """
        return cls(setting, read_options("command", CommandOptions, setting.options))

    def prepare(self, assets: Mapping[str, Path]) -> None:
        """Take the assets that the templates name."""
        self._runner.assets = assets

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> ProgramSession:
        """Start the program on an input."""
        name = self._templates[0]
        return self._runner.open(fetched, folder, resume, self._arguments, name)

    def _arguments(self, _folders: Folders, filled: Callable[[str], str]) -> list[str]:
        return [filled(text) for text in self._templates]
