"""Tools: one small file for each program, all behind the same protocol.

A :class:`Tool` is made once an attempt; for each input it opens a :class:`Session`, which works on
from where an earlier part ended. The agent polls the session, interrupts it at a stop, and takes
what it has finished as the :class:`Contribution` of one part.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from worker.endings import Misconfigured


@dataclass(frozen=True, slots=True)
class FetchedInput:
    """An input in scratch."""

    path: Path
    index: int
    uri: str
    etag: str


@dataclass(frozen=True, slots=True)
class Resume:
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


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a part. ``build`` gets the keys of the outputs before it, by their names."""

    name: str
    filename: str
    build: Callable[[Mapping[str, str]], Path]


@dataclass(frozen=True, slots=True)
class Contribution:
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


@dataclass(frozen=True, slots=True)
class Death:
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
        """


def make_tool(
    name: str, options: Mapping[str, Any], vcpus: int, variables: Sequence[str] = ()
) -> Tool:
    """The tool of that name; of this process's environment it sees ``variables``.

    Raises:
        Misconfigured: there is none in this image, or it cannot work with these options.
    """
    if name == "vina":
        # Imported late: an image may lack what another tool needs.
        from worker.tools.vina import Vina  # noqa: PLC0415

        return Vina.from_options(options, vcpus, variables)
    if name == "dock38":
        from worker.tools.dock38 import Dock38  # noqa: PLC0415

        return Dock38.from_options(options, variables)
    raise Misconfigured(f"tool {name} is not in this image")
