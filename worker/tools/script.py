"""Fetch-and-run: a script, or a file of a zip archive, from S3, run in scratch.

The contract is that of the fetch_and_run.sh of aws-batch-helpers: types ``script`` and ``zip``, a
script's name and its arguments. A file that says in its first line what reads it is given to that,
so that it runs where scratch is mounted with noexec; one that says nothing is given to a shell.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from drydock.errors import Malformed
from drydock.templates import placeholders
from worker.archives import ArchiveError, unpack
from worker.endings import Misconfigured
from worker.tools import FetchedInput, Resume, Setting
from worker.tools.options import read_options
from worker.tools.program_session import Folders, ProgramSession
from worker.tools.program_tool import ProgramOptions, ProgramRunner

ASSET = "script"
TYPES = ("script", "zip")
_SHELLS = ("bash", "sh")
_FIRST_LINE_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOptions(ProgramOptions):
    """The options of a request, as ``drydock.script_options`` validates them there."""

    type: str = "script"
    name: str | None = None
    arguments: Sequence[str] = ()

    def __post_init__(self) -> None:
        """See :class:`ProgramOptions`."""
        super(ScriptOptions, self).__post_init__()
        if self.type not in TYPES:
            raise Malformed(f"type must be one of {', '.join(TYPES)}")
        if self.type == "zip" and not self.name:
            raise Malformed("name must say which file of the zip archive is run")
        if self.name is not None and (self.name.startswith("/") or ".." in self.name.split("/")):
            raise Malformed(f"name: {self.name!r} leads out of the work folder")
        for text in self.arguments:
            placeholders(text)


class Script:
    """A script, ready to run."""

    def __init__(self, setting: Setting, options: ScriptOptions) -> None:
        self._runner = ProgramRunner(setting, options)
        self._options = options
        self._asset = Path(ASSET)

    @classmethod
    def from_setting(cls, setting: Setting) -> "Script":
        """A script as a task document describes it.

        Raises:
            Misconfigured: the options are not a script's.
        """
        return cls(setting, read_options("script", ScriptOptions, setting.options))

    def prepare(self, assets: Mapping[str, Path]) -> None:
        """Find the script among the assets."""
        asset = assets.get(ASSET)
        if asset is None or not asset.is_file():
            raise Misconfigured("assets.script must be one object: the script, or a zip with it")
        self._asset = asset
        self._runner.assets = assets

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> ProgramSession:
        """Start the script on an input, as a copy of its own."""
        name = self._options.name or self._asset.name
        return self._runner.open(fetched, folder, resume, self._arguments, name)

    def _arguments(self, folders: Folders, filled: Callable[[str], str]) -> list[str]:
        options = self._options
        script = folders.work / (options.name or self._asset.name)
        try:
            if options.type == "zip":
                unpack(self._asset, folders.work, ".zip")
            else:
                script.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self._asset, script)
        except ArchiveError as error:
            raise Misconfigured(f"assets.script: {error}") from error
        if not script.is_file():
            raise Misconfigured(f"assets.script: the zip archive holds no file {options.name}")
        script.chmod(0o700)
        return [*_reader(script), *(filled(text) for text in options.arguments)]


def _reader(script: Path) -> list[str]:
    """What runs a script, and the script: as the kernel reads its first line, or else a shell.

    https://man7.org/linux/man-pages/man2/execve.2.html, "Interpreter scripts"
    """
    with script.open("rb") as file:
        line = file.readline(_FIRST_LINE_BYTES)
    if b"\0" in line:
        return [str(script)]  # a program
    if not line.startswith(b"#!"):
        return [
            next((found for name in _SHELLS if (found := shutil.which(name))), "sh"),
            str(script),
        ]
    if line.endswith(b"\r\n"):
        raise Misconfigured(
            f"{script.name}: its lines end as on Windows (CR LF), so that no interpreter is found"
        )
    words = line[2:].decode(errors="replace").strip(" \t\n").split(None, 1)
    if not words:
        raise Misconfigured(f"{script.name}: its first line names no interpreter")
    if shutil.which(words[0]) is None:
        raise Misconfigured(f"{script.name}: its interpreter {words[0]} is not in this image")
    return [*words, str(script)]
