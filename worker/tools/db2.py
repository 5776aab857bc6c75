"""Reading db2 text out of bundles, in whole hierarchies and without unpacking to disk.

A hierarchy is a block of lines from the first that begins with M to the one that begins with E. A
bundle is one file of them, packed or not, or an archive of such files.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import IO

from worker.archives import ARCHIVES, ArchiveError, form_of, members, open_unpacked

PLAIN = (".db2", ".db2.gz")
KINDS = (*PLAIN, *ARCHIVES)
# The longest known hierarchies have a few MB.
MAX_HIERARCHY_BYTES = 64 << 20
_CHUNK_BYTES = 1 << 18
_FIRST_LINE = re.compile(rb"\nM[ \t]*([^\s]*)")


def hierarchies(path: Path) -> Iterator[tuple[bytes, list[str]]]:
    """The bundle's text in archive order: pieces, and the names of the hierarchies in each.

    Every piece ends where a hierarchy does. A name is the whole first word of its first line.

    Raises:
        ArchiveError: the file is no bundle, not a whole one, or hostile; the message names the
            member.
        OSError: the disk failed.
    """
    name = path.name.lower()
    if name.endswith(PLAIN):
        with open_unpacked(path) as text:
            yield from _blocks(text, path.name)
    elif form_of(name) is not None:
        for member in members(path):
            if member.name.lower().endswith(PLAIN):
                yield from _blocks(member.unpacked(), member.name)
    else:
        kinds = ", ".join(KINDS)
        raise ArchiveError(f"{path.name} is no bundle: its name must end with one of {kinds}")


def split(piece: bytes) -> list[bytes]:
    """A piece of :func:`hierarchies`, one hierarchy each."""
    bodies = (b"\n" + piece).split(b"\nE")
    found = []
    for body, after in pairwise(bodies):
        end = after.index(b"\n") + 1 if b"\n" in after else len(after)
        found.append(body.partition(b"\n")[2] + b"\nE" + after[:end])
    return found


def _blocks(text: IO[bytes], member: str) -> Iterator[tuple[bytes, list[str]]]:
    """A member's text in whole hierarchies."""
    rest = bytearray(b"\n")  # a newline before the first line, so that all lines begin alike
    while chunk := text.read(_CHUNK_BYTES):
        searched = len(rest)
        rest += chunk
        # Not in a line that may go on in the next chunk.
        last_line = rest.rfind(b"\n", searched)
        end = rest.rfind(b"\nE", 0, last_line) if last_line > 0 else -1
        if end >= 0:
            end = rest.index(b"\n", end + 1)
            piece = bytes(rest[1 : end + 1])
            del rest[:end]
            yield piece, _names(piece, member)
        elif len(rest) > MAX_HIERARCHY_BYTES:
            raise ArchiveError(f"member {member!r} has no end of a hierarchy in {len(rest)} bytes")
    piece = bytes(rest[1:])
    if piece.strip():
        if not (b"\n" + piece.rstrip()).rpartition(b"\n")[2].startswith(b"E"):
            raise ArchiveError(f"member {member!r} is cut: its last hierarchy has no end")
        # The next member's first line must not be joined to this one's last.
        piece = piece.rstrip() + b"\n"
        yield piece, _names(piece, member)


def _names(piece: bytes, member: str) -> list[str]:
    """Names of the hierarchies of a piece that ends with one."""
    bodies = (b"\n" + piece).split(b"\nE")[:-1]
    found = [_FIRST_LINE.search(body) for body in bodies]
    if not all(found):
        raise ArchiveError(f"member {member!r} is broken: a line E ends no hierarchy")
    return [first[1].decode("latin-1") for first in found if first]
