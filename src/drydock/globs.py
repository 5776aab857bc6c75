"""Patterns of file names below a folder: ``*``, ``?`` and ``[...]`` in a name, ``**`` for folders.

``**`` stands for any number of folders, none included; at the end of a pattern for all below.
"""

from collections.abc import Sequence
from fnmatch import fnmatchcase

_MOST_ANY_FOLDERS = 3


def glob_problem(pattern: str) -> str | None:
    """What is wrong with a pattern, or None."""
    steps = pattern.split("/")
    if not pattern or "\0" in pattern:
        return "a pattern of file names is needed, such as *.bam"
    if pattern.startswith("/") or ".." in steps or "." in steps or "" in steps:
        return "it must name files below the output folder, without . and .. and empty names"
    if any("**" in step and step != "**" for step in steps):
        return "** must be a whole step between slashes, such as **/*.bam"
    if steps.count("**") > _MOST_ANY_FOLDERS:
        return f"at most {_MOST_ANY_FOLDERS} ** can be told apart"
    if any(_is_open(step.replace("[[]", "")) for step in steps):
        return "a [ has no ]; [[] stands for a [ itself"
    return None


def _is_open(step: str) -> bool:
    return step.count("[") > step.count("]")


def glob_matches(path: str, pattern: str) -> bool:
    """Whether a relative path with slashes is one that the pattern names."""
    return _match(path.split("/"), pattern.split("/"))


def _match(names: Sequence[str], steps: Sequence[str]) -> bool:
    if not steps or not names:
        return not steps and not names
    if steps[0] != "**":
        return fnmatchcase(names[0], steps[0]) and _match(names[1:], steps[1:])
    rest = steps[1:]
    return not rest or any(_match(names[skipped:], rest) for skipped in range(len(names)))
