"""Reading db2 text out of bundles, in whole hierarchies and without unpacking to disk.

A hierarchy is a block of lines from the first that begins with M to the one that begins with E.
Bundles come from anywhere: members are only ever read, never written; links, devices, paths that
lead out and archives that grow without bound are refused by the member's name.
"""

import gzip
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

ARCHIVES = (".tgz", ".tar.gz", ".tar")
PLAIN = (".db2", ".db2.gz")
MAX_MEMBERS = 200_000
# Text packs to a fifth or a tenth; what grows more, beyond the first GiB, is no ligand's text.
MAX_FREE_BYTES = 1 << 30
MAX_GROWTH = 100
# The longest known hierarchies have a few MB.
MAX_HIERARCHY_BYTES = 64 << 20
# Long names and pax headers are read as a whole.
_MAX_HEADER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 18
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError, OSError)


class BundleError(Exception):
    """Raised when a bundle is cut, broken or hostile; the message names the member."""


def hierarchies(path: Path) -> Iterator[tuple[bytes, int]]:
    """The bundle's text in archive order: pieces, and how many hierarchies end in each.

    Every piece ends where a hierarchy does.

    Raises:
        BundleError: the file is no bundle, or not a whole one.
    """
    allowed = MAX_FREE_BYTES + MAX_GROWTH * path.stat().st_size
    try:
        for name, member in _members(path, allowed):
            bounded = _Bounded(member, allowed, name)
            yield from _blocks(bounded, name)
            allowed -= bounded.bytes_read
    except _BROKEN as error:
        raise BundleError(f"{path.name} is cut or broken: {error}") from error


def _members(path: Path, allowed: int) -> Iterator[tuple[str, IO[bytes]]]:
    name = path.name.lower()
    if name.endswith(PLAIN):
        with path.open("rb") as raw:
            yield path.name, _plain(raw, name)
    elif name.endswith(ARCHIVES):
        with path.open("rb") as raw:
            text = raw if name.endswith(".tar") else _gunzip(raw)
            yield from _archive_members(_Bounded(text, allowed, path.name), path.name)
    else:
        kinds = ", ".join(PLAIN + ARCHIVES)
        raise BundleError(f"{path.name} is no bundle: its name must end with one of {kinds}")


def _plain(raw: IO[bytes], name: str) -> IO[bytes]:
    return _gunzip(raw) if name.endswith(".gz") else raw


def _gunzip(raw: IO[bytes]) -> IO[bytes]:
    return gzip.GzipFile(fileobj=raw, mode="rb")  # type: ignore[return-value]


def _archive_members(archive: "_Bounded", name: str) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(fileobj=archive, mode="r|", tarinfo=_Header) as tar:  # type: ignore[call-overload]
        for number, member in enumerate(tar, start=1):
            if number > MAX_MEMBERS:
                raise BundleError(f"{name} has more than {MAX_MEMBERS} members")
            _refuse_hostile(member)
            tar.members = []  # else they gather
            if member.isfile() and member.name.lower().endswith(PLAIN):
                file = tar.extractfile(member)
                if file is not None:
                    yield member.name, _plain(file, member.name.lower())
    archive.read_to_end()
    if archive.tail.strip(b"\0") or len(archive.tail) < tarfile.BLOCKSIZE:
        # An archive ends with blocks of zeros; without them it was cut between two members.
        raise BundleError(f"{name} is cut: the archive has no end")


def _refuse_hostile(member: tarfile.TarInfo) -> None:
    shown = repr(member.name)[:200]
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise BundleError(f"member {shown} leads out of the archive")
    if not (member.isfile() or member.isdir()):
        kind = "a link" if member.islnk() or member.issym() else "neither file nor folder"
        raise BundleError(f"member {shown} is {kind}")


class _Header(tarfile.TarInfo):
    """A member's header; one that claims a huge name is refused before that is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        found = super().frombuf(buf, encoding, errors)
        if found.type in _HEADERS and found.size > _MAX_HEADER_BYTES:
            raise BundleError(f"member {found.name!r} has a header of {found.size} bytes")
        return found


class _Bounded:
    """Reads a stream, up to a bound, and remembers the last block of it."""

    def __init__(self, stream: IO[bytes], allowed: int, name: str) -> None:
        self._stream = stream
        self._allowed = allowed
        self._name = name
        self.bytes_read = 0
        self.tail = b""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes.

        Raises:
            BundleError: the stream is longer than it may be.
        """
        chunk = self._stream.read(size)
        self.bytes_read += len(chunk)
        if self.bytes_read > self._allowed:
            raise BundleError(f"{self._name!r} unpacks to more than {self._allowed} bytes")
        if chunk:
            self.tail = (self.tail + chunk)[-tarfile.BLOCKSIZE :]
        return chunk

    def read_to_end(self) -> None:
        """Read what follows, so that the checksum at the end is compared."""
        while self.read(_CHUNK_BYTES):
            pass


def _blocks(member: _Bounded, name: str) -> Iterator[tuple[bytes, int]]:
    """A member's text in whole hierarchies."""
    rest = bytearray(b"\n")  # a newline before the first line, so that all lines begin alike
    while chunk := member.read(_CHUNK_BYTES):
        searched = len(rest)
        rest += chunk
        # Not in a line that may go on in the next chunk.
        last_line = rest.rfind(b"\n", searched)
        end = rest.rfind(b"\nE", 0, last_line) if last_line > 0 else -1
        if end >= 0:
            end = rest.index(b"\n", end + 1)
            piece = bytes(rest[1 : end + 1])
            del rest[:end]
            yield piece, _count(piece, name)
        elif len(rest) > MAX_HIERARCHY_BYTES:
            raise BundleError(f"member {name!r} has no end of a hierarchy in {len(rest)} bytes")
    piece = bytes(rest[1:])
    if piece.strip():
        if not (b"\n" + piece.rstrip()).rpartition(b"\n")[2].startswith(b"E"):
            raise BundleError(f"member {name!r} is cut: its last hierarchy has no end")
        # The next member's first line must not be joined to this one's last.
        piece = piece.rstrip() + b"\n"
        yield piece, _count(piece, name)


def _count(piece: bytes, name: str) -> int:
    """Hierarchies of a piece that ends with one."""
    bodies = (b"\n" + piece).split(b"\nE")[:-1]
    if not all(b"\nM" in body for body in bodies):
        raise BundleError(f"member {name!r} is broken: a line E ends no hierarchy")
    return len(bodies)
