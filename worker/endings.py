"""How work on an input, or of a whole attempt, ends early.

EndedEarly
├── InputFailed      this input is settled as failed; the others go on
├── Misconfigured    nothing in this run can work until something is changed (exit 78)
├── ScratchFull      there is no room in scratch now; on another machine there may be (exit 74)
└── Interrupted      a stop was asked for (exit 1)
"""

from drydock.failures import EXIT_AGAIN


class EndedEarly(Exception):
    """Base of the endings."""


class InputFailed(EndedEarly):
    """Raised when an input cannot be worked on, whoever tries.

    ``failure_class`` is one of ``input_missing``, ``input_changed``, ``bad_input``,
    ``tool_failed``, ``scratch_full``; ``exit_code`` is the tool's own, when it had one.
    """

    def __init__(self, failure_class: str, reason: str, exit_code: int | None = None) -> None:
        self.failure_class = failure_class
        self.reason = reason
        self.exit_code = exit_code
        super().__init__(f"{failure_class}: {reason}")


class Misconfigured(EndedEarly):
    """Raised when nothing in this run can work; the message says what to change."""


class ScratchFull(EndedEarly):
    """Raised when something does not fit into what is free in scratch, ``needed_bytes`` if known.

    ``never``: it would not fit into this scratch if that were empty.
    """

    def __init__(
        self, sentence: str, needed_bytes: int | None, free_bytes: int, *, never: bool
    ) -> None:
        self.needed_bytes = needed_bytes
        self.free_bytes = free_bytes
        self.never = never
        super().__init__(sentence)


class Interrupted(EndedEarly):
    """Raised when a stop was asked for while something other than the tool was busy."""


class RestartUnusable(Exception):
    """Raised when a tool opens an input and cannot go on from the part's restart: it is cut, or not
    what it must be. The work goes on from an earlier part.
    """


def own_code(code: int | None) -> int:
    """A failed input's exit code by hand: the tool's own, as shells tell it, or 1 without one."""
    if code is None or code == 0:
        return EXIT_AGAIN
    return code if code > 0 else 128 - code
