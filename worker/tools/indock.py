"""INDOCK, DOCK's parameter file, rewritten for one start of the program in scratch.

A line is a key in the first 30 columns and its value. DOCK cuts paths at 80 characters, without a
word.
"""

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from worker.endings import Misconfigured

NAME = "INDOCK"
FIRST_LINE = "DOCK 3.8 parameter"
MAX_PATH_CHARS = 80
# Where the dockfiles lie, seen from the program's working directory.
FOLDER = "../dockfiles"
PREFIX = "test."
_LINE = re.compile(r"(\S+)(\s+)(\S.*)")
# The first two: the stream on standard input, and names that our outputs have. The last: a row of
# OUTDOCK is there when its ligand is docked, and not when some thousand are; so is its header,
# before which no signal may be sent.
_OURS = {"ligand_atom_file": "-", "output_file_prefix": PREFIX, "flush_int": "1"}
_PATH_KEYS = ("_file", "_file_prefix")


def rewrite_indock(text: str, names: Collection[str]) -> str:
    """INDOCK that reads ligands from standard input and finds the dockfiles.

    ``names`` are the paths of all dockfiles, relative to their folder.

    Raises:
        Misconfigured: it is no INDOCK, or one of its paths is too long.
    """
    lines = text.splitlines()
    if not lines or not lines[0].startswith(FIRST_LINE):
        raise Misconfigured(f"dockfiles: the first line of INDOCK must be {FIRST_LINE!r}")
    keys = {line.split(maxsplit=1)[0] for line in lines if line.strip()}
    if "ligand_atom_file" not in keys:
        raise Misconfigured("dockfiles: INDOCK has no line ligand_atom_file")
    added = [f"{key:30s}{value}" for key, value in _OURS.items() if key not in keys]
    return "".join(f"{line}\n" for line in [*(_rewritten(line, names) for line in lines), *added])


def _rewritten(line: str, names: Collection[str]) -> str:
    found = _LINE.match(line)
    if found is None:
        return line
    key, gap, value = found[1], found[2], found[3].rstrip()
    if key in _OURS:
        return f"{key}{gap}{_OURS[key]}"
    if not key.endswith(_PATH_KEYS):
        return line
    path = f"{FOLDER}/{_below_dockfiles(value)}"
    if not _is_there(path.removeprefix(f"{FOLDER}/"), names):
        return line  # a number or a word; a file that is missing is DOCK's to tell
    if len(path) > MAX_PATH_CHARS:
        raise Misconfigured(
            f"dockfiles: INDOCK's {key} is {value!r}: {path!r} has {len(path)} characters and "
            f"DOCK reads {MAX_PATH_CHARS} of them; give the file a shorter name"
        )
    return f"{key}{gap}{path}"


def _below_dockfiles(value: str) -> str:
    """The part of a path that is relative to the dockfiles, wherever they were prepared."""
    parts = [part for part in PurePosixPath(value).parts if part not in (".", "/")]
    if "dockfiles" in parts:
        last = len(parts) - parts[::-1].index("dockfiles")
        return "/".join(parts[last:])
    if value.startswith("/") or ".." in parts:
        return parts[-1] if parts else ""
    return "/".join(parts)


def _is_there(path: str, names: Collection[str]) -> bool:
    """Whether there is that file, or files that begin so: some values are prefixes of names."""
    return bool(path) and any(name == path or name.startswith(f"{path}.") for name in names)
