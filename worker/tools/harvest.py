"""What a program leaves in its output folder, as outputs of a part under their own names."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from drydock.globs import glob_matches
from worker.confinement import is_foreign
from worker.endings import InputFailed
from worker.tools import Output

MAX_OUTPUTS = 1000
# An S3 key has 1,024 bytes; the run's prefix and our own folders are before the name.
MAX_NAME_BYTES = 600


def harvest(folder: Path, patterns: Sequence[str] | None, named: Sequence[str] = ()) -> list[Path]:
    """The files below a folder that match a pattern (None: all) or are named, in order.

    A link counts as the file in the folder that it leads to.

    Raises:
        InputFailed: a pattern matches nothing, there are too many files, one leads out of the
            folder, or one has a name that no key can have.
    """
    found = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    if patterns is not None:
        for pattern in patterns:
            if not any(glob_matches(name, pattern) for name in found):
                raise _failed(f"no output matches {pattern}")
        found = {
            name: path
            for name, path in found.items()
            if name in named or any(glob_matches(name, pattern) for pattern in patterns)
        }
    if len(found) > MAX_OUTPUTS:
        raise _failed(
            f"there are {len(found)} outputs and {MAX_OUTPUTS} are taken of an input: gather them "
            "in an archive, or name fewer in options.outputs"
        )
    for name, path in found.items():
        _check(folder, name, path)
    return [found[name] for name in sorted(found)]


def as_outputs(folder: Path, paths: Sequence[Path]) -> tuple[Output, ...]:
    """The files as outputs, under names that none of our own tables has."""
    return tuple(_as_output(path, path.relative_to(folder).as_posix()) for path in paths)


def _as_output(path: Path, name: str) -> Output:
    return Output(f"output/{name}", name, lambda _keys: path, own_name=True)


def _files(folder: Path) -> Iterator[Path]:
    """Files and links below a folder; what else there may be is nothing to keep."""
    for parent, folders, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
                yield path
        # Of the links to folders those that stay inside lead to what is found anyway.
        links = (Path(parent, name) for name in folders)
        yield from (path for path in links if path.is_symlink() and _leads_out(folder, path))


def _leads_out(folder: Path, path: Path) -> bool:
    return not path.resolve().is_relative_to(folder.resolve())


def _check(folder: Path, name: str, path: Path) -> None:
    if _leads_out(folder, path):
        raise _failed(f"output {name!r} is a link that leads out of the output folder")
    if not path.is_file():
        raise _failed(f"output {name!r} is a link to nothing")
    if is_foreign(path.stat(), folder.stat().st_uid):
        raise _failed(f"output {name!r} belongs to somebody else")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise _failed(f"output {name!r}: a name must be UTF-8") from None
    if length > MAX_NAME_BYTES or not name.isprintable():
        raise _failed(
            f"output {name[:100]!r}: a name has at most {MAX_NAME_BYTES} bytes and no control "
            "characters"
        )


def _failed(reason: str) -> InputFailed:
    return InputFailed("tool_failed", f"the program ended with 0, but {reason}", 0)
