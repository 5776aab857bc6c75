"""Tools: one small file for each program, all behind the same protocol.

A :class:`Tool` is made once an attempt; for each input it opens a :class:`Session`, which works on
from where an earlier part ended. The agent polls the session, interrupts it at a stop, and takes
what it has finished as the :class:`Contribution` of one part.
"""

import pkgutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from worker.endings import Misconfigured

ENTRY_POINTS = "drydock.tools"
# Imported late: an image may lack what another tool needs.
_OWN = {
    "vina": "worker.tools.vina:Vina.from_setting",
    "dock38": "worker.tools.dock38:Dock38.from_setting",
    "openmm": "worker.tools.openmm:OpenMM.from_setting",
    "script": "worker.tools.script:Script.from_setting",
    "command": "worker.tools.command:Command.from_setting",
}


class Setting(NamedTuple):
    """What a tool may know of the attempt that it works for.

    ``options`` are the request's, ``variables`` the names of those of this process's environment
    that are for the tool. It starts exactly ``vcpus`` threads. ``say`` writes an event, with its
    fields, to the journal.
    """

    options: Mapping[str, Any] = MappingProxyType({})
    vcpus: int = 1
    gpus: int = 0
    variables: tuple[str, ...] = ()
    say: Callable[..., None] = lambda *_event, **_fields: None


class FetchedInput(NamedTuple):
    """An input in scratch. Of a slice the file holds the slice alone, from ``first_byte`` on."""

    path: Path
    index: int  # type: ignore[assignment] # tuple's method of that name is not missed
    uri: str
    etag: str
    first_byte: int | None = None

    @property
    def stem(self) -> str:
        """A name for what has none of its own: the file's, and of a slice where it begins."""
        name = self.path.name.split(".")[0] or self.path.name
        return name if self.first_byte is None else f"{name}@{self.first_byte}"


class Resume(NamedTuple):
    """From where a session goes on. ``progress`` is in the tool's unit, over all earlier parts.

    ``troubles`` are the places at which the tool died before; ``counts``, ``best_id`` and
    ``best_score`` are those of the parts so far. ``restart`` is a copy of what the last part's
    contribution gave as such, in scratch.
    """

    progress: int = 0
    troubles: frozenset[str] = frozenset()
    counts: Mapping[str, int] | None = None
    best_id: str | None = None
    best_score: float | None = None
    restart: Path | None = None


class Output(NamedTuple):
    """One output of a part. ``build`` gets the keys of the part's outputs, by their names.

    Its key ends with ``<filename>.<part>``; with ``own_name`` with ``<part>/<filename>``, for
    programs that go by the ends of names.
    """

    name: str
    filename: str
    build: Callable[[Mapping[str, str]], Path]
    own_name: bool = False

    def relative_key(self, part: int) -> str:
        """The key below the input's folder."""
        return f"{part}/{self.filename}" if self.own_name else f"{self.filename}.{part}"


class Contribution(NamedTuple):
    """What a session finished since the last one was taken; the numbers are over all parts.

    ``fresh`` is how much of the progress is this part's; ``counts`` holds at least ``molecules``
    and ``failed_molecules``. ``restart`` is what else another attempt needs to go on.
    """

    outputs: tuple[Output, ...]
    fresh: int
    progress: int
    counts: dict[str, int]
    best_id: str | None
    best_score: float | None
    restart: Output | None = None


class Death(NamedTuple):
    """The tool ended as it must not. ``place`` is None when somebody else or memory is to blame."""

    reason: str
    place: str | None
    exit_code: int | None
    out_of_memory: bool = False


class Session(Protocol):
    """Work on one input. Once :meth:`poll` was true or :meth:`interrupt` was called, it is over."""

    death: Death | None

    @property
    def unsealed(self) -> int:
        """How much of the progress is in no contribution yet."""

    def poll(self) -> bool:
        """Look at what the program has done; true when it has ended.

        Raises:
            InputFailed: the input is to blame as a whole.
            Misconfigured: the program cannot work at all.
        """

    def interrupt(self) -> None:
        """Let the program end soon and keep what is whole."""

    def contribute(self) -> Contribution:
        """Take what is finished as one part; the session may go on afterwards.

        A program that can only be asked to end is ended for it; nothing fresh then tells of a
        death, which the next poll reports.
        """

    def close(self) -> None:
        """End the program whatever it does and remove its files."""


class Tool(Protocol):
    """One program, ready to work on inputs."""

    def prepare(self, assets: Mapping[str, Path]) -> None:
        """Take the assets, which lie in scratch.

        Raises:
            Misconfigured: one is missing or is not what it must be.
        """

    def open(self, fetched: FetchedInput, folder: Path, resume: Resume) -> Session:
        """Begin to work on an input; ``folder`` is the session's own.

        Raises:
            InputFailed: the input cannot be worked on.
            RestartUnusable: another part must be gone on from; nothing was begun yet.
        """


def make_tool(name: str, setting: Setting) -> Tool:
    """The tool of that name: the project's own, or one that an installed package brings.

    A package brings one by an entry point of the group ``drydock.tools`` whose name is the tool's
    and whose object makes a :class:`Tool` of a :class:`Setting`.

    Raises:
        Misconfigured: there is none in this image, or it cannot work with these options.
    """
    make = load_tool(name) or _brought(name)
    tool: Tool = make(setting)
    return tool


def load_tool(name: str) -> Callable[[Setting], Tool] | None:
    """Import a tool of the project's own, which takes a moment; None for a name that is none's."""
    own = _OWN.get(name)
    return None if own is None else pkgutil.resolve_name(own)


def _brought(name: str) -> Callable[[Setting], Tool]:
    from importlib.metadata import entry_points  # noqa: PLC0415 - slow, and seldom needed

    found = list(entry_points(group=ENTRY_POINTS, name=name))
    if not found:
        own = ", ".join(_OWN)
        raise Misconfigured(
            f"tool {name} is not in this image: it has {own} and no package with an entry point "
            f"{name} in {ENTRY_POINTS}"
        )
    try:
        make: Callable[[Setting], Tool] = found[0].load()
    except (ImportError, AttributeError) as error:
        raise Misconfigured(f"tool {name} cannot be loaded: {error}") from error
    return make
