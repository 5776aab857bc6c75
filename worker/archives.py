"""Reading archives that come from anywhere: .tar, .tar.gz, .tgz, .tar.bz2, .tbz2 and .zip.

Members are read one after another as streams; :func:`unpack` alone writes. Whatever leads out of a
folder, is neither file nor folder, or grows without bound is refused by the member's name, and an
archive that is cut is never taken for a whole one.

tar: https://www.gnu.org/software/tar/manual/html_node/Standard.html,
zip: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT.
"""

import bz2
import contextlib
import errno
import gzip
import io
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, NamedTuple, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
ARCHIVES = (*TARS, ".zip")
MAX_MEMBERS = 200_000
# Text packs to a fifth or a tenth; what grows more, beyond the first GiB, is a bomb.
MAX_FREE_BYTES = 1 << 30
MAX_GROWTH = 100
# Names and pax headers are read as a whole, and so is a zip's directory.
MAX_HEADER_BYTES = 1 << 16
MAX_DIRECTORY_BYTES = 16 << 20
MAX_DEPTH = 64
_HEADERS_BYTES = 4 * MAX_HEADER_BYTES
_BUFFER_BYTES = 1 << 18
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
# LZMA is not among them: a header may ask for a dictionary of gigabytes.
_ZIP_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)
_BROKEN = (
    EOFError,
    gzip.BadGzipFile,
    zlib.error,
    struct.error,
    OverflowError,
    tarfile.TarError,
    zipfile.BadZipFile,
    NotImplementedError,
    RecursionError,  # tarfile reads headers of headers by recursion
    UnicodeError,
    ValueError,
)
# A name that the file system does not take.
_NO_FILE = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


class ArchiveError(Exception):
    """Raised when an archive is cut, broken or hostile; the message names the member."""


class Member(NamedTuple):
    """A regular file of an archive. ``stream`` ends with the turn of the iteration.

    ``name`` is a relative path with slashes; ``stream`` raises :class:`ArchiveError` where the
    archive is cut or broken. One whose own content is packed is read by :meth:`unpacked`.
    """

    name: str
    stream: IO[bytes]
    executable: bool
    allowance: "_Allowance"

    def unpacked(self) -> IO[bytes]:
        """The content, unpacked when the name ends with .gz or .bz2; the archive's bound holds."""
        return _unpacked(self.stream, self.name, self.allowance)


def members(path: Path, form: str | None = None) -> Iterator[Member]:
    """The regular files of an archive, in its order.

    ``form`` is one of :data:`ARCHIVES`, by default what the file's name ends with.

    Raises:
        ArchiveError: the file is none, or not a whole one, or a member is refused.
        OSError: the disk failed.
    """
    form = form or form_of(path.name)
    allowance = _Allowance.for_file(path)
    with _broken_named(path.name), path.open("rb") as raw:
        if form == ".zip":
            yield from _of_zip(raw, path.name, allowance)
        elif form in TARS:
            suffix = {".tgz": ".gz", ".tbz2": ".bz2"}.get(form, form)
            text = _unpacked(cast("IO[bytes]", raw), path.name, allowance, suffix)
            yield from _of_tar(text, path.name, allowance)
        else:
            kinds = ", ".join(ARCHIVES)
            raise ArchiveError(f"{path.name} is no archive: its name must end with one of {kinds}")


def form_of(name: str) -> str | None:
    """Which of :data:`ARCHIVES` a file's name ends with; None for another name."""
    found = [suffix for suffix in ARCHIVES if name.lower().endswith(suffix)]
    return max(found, key=len, default=None)


def open_unpacked(path: Path) -> IO[bytes]:
    """Open a plain file, or one packed by itself (.gz, .bz2), for reading once.

    Its reads raise :class:`ArchiveError` where it is cut, broken or a bomb. Closing it closes all.
    """
    raw = path.open("rb")
    return _unpacked(cast("IO[bytes]", raw), path.name, _Allowance.for_file(path))


def unpack(path: Path, folder: Path, form: str | None = None) -> None:
    """Write an archive's files and the folders that they need below ``folder``, which exists.

    Files are the user's alone; those that may be executed stay so.

    Raises:
        ArchiveError: as :func:`members`, or two members are in each other's way.
        OSError: the disk failed, or is full.
    """
    root = folder.resolve()
    for member in members(path, form):
        target = folder.joinpath(*PurePosixPath(member.name).parts)
        if not target.resolve().is_relative_to(root):
            raise ArchiveError(f"member {_shown(member.name)} leads out of the folder")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = target.open("xb")
        except (FileExistsError, NotADirectoryError) as error:
            raise ArchiveError(f"member {_shown(member.name)} is in another one's way") from error
        except OSError as error:
            if error.errno not in _NO_FILE:
                raise
            raise ArchiveError(f"member {_shown(member.name)}: {error.strerror}") from error
        with file:
            target.chmod(0o700 if member.executable else 0o600)
            shutil.copyfileobj(member.stream, file, _BUFFER_BYTES)


class _Allowance:
    """How much an archive may still unpack to, nested packing included."""

    def __init__(self, total: int) -> None:
        self.total = self.left = total

    @classmethod
    def for_file(cls, path: Path) -> "_Allowance":
        return cls(MAX_FREE_BYTES + MAX_GROWTH * path.stat().st_size)

    def take(self, count: int, name: str) -> None:
        self.left -= count
        if self.left < 0:
            raise ArchiveError(f"{_shown(name)} unpacks to more than {self.total} bytes")


@contextlib.contextmanager
def _broken_named(name: str) -> Iterator[None]:
    """What the libraries raise, as an error of ours that begins with a name."""
    try:
        yield
    except _BROKEN as error:
        raise ArchiveError(f"{_shown(name)} is cut or broken: {error}") from error
    except OSError as error:
        # bz2 gives no number; a place before a zip's beginning is an invalid argument.
        if error.errno not in (None, errno.EINVAL):
            raise
        raise ArchiveError(f"{_shown(name)} is cut or broken: {error}") from error


class _Stream(io.RawIOBase):
    """Reads another stream, names what is broken, and takes what it reads from an allowance."""

    def __init__(
        self,
        source: IO[bytes],
        name: str,
        allowance: _Allowance | None = None,
        underneath: IO[bytes] | None = None,
    ) -> None:
        self._source = source
        self._name = name
        self._allowance = allowance
        self._underneath = underneath

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        with _broken_named(self._name):
            chunk = self._source.read(len(view))
        if self._allowance is not None:
            self._allowance.take(len(chunk), self._name)
        view[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
            if self._underneath is not None:
                self._underneath.close()
        super().close()


def _buffered(stream: _Stream) -> IO[bytes]:
    return io.BufferedReader(stream, _BUFFER_BYTES)


def _unpacked(
    packed: IO[bytes], name: str, allowance: _Allowance, suffix: str | None = None
) -> IO[bytes]:
    suffix = suffix or name.lower()
    source = packed
    if suffix.endswith(".gz"):
        source = cast("IO[bytes]", gzip.GzipFile(fileobj=packed, mode="rb"))
    elif suffix.endswith(".bz2"):
        source = cast("IO[bytes]", bz2.BZ2File(packed))
    return _buffered(_Stream(source, name, allowance, packed))


def _of_tar(text: IO[bytes], name: str, allowance: _Allowance) -> Iterator[Member]:
    source = _Forward(text, name)
    with tarfile.TarFile(fileobj=cast("IO[bytes]", source), tarinfo=_Header) as tar:
        number = 0
        while (info := tar.next()) is not None:
            number += 1
            _refuse_many(number, name)
            source.begin_content(info.name)
            tar.members = []  # type: ignore[attr-defined] # else they gather
            if len(tar.pax_headers) > 100:
                raise ArchiveError(f"member {_shown(info.name)} adds to too many global headers")
            if not (info.isfile() or info.isdir()):
                raise ArchiveError(f"member {_shown(info.name)} is {_kind_of(info)}")
            refuse_name(info.name, folder=info.isdir())
            if info.isfile():
                content = cast("IO[bytes]", tar.extractfile(info))
                stream = _buffered(_Stream(content, info.name))
                yield Member(info.name, stream, bool(info.mode & 0o111), allowance)
            source.begin_header(tar.offset)
    source.read_end()


def _kind_of(info: tarfile.TarInfo) -> str:
    return "a link" if info.islnk() or info.issym() else "neither file nor folder"


class _Header(tarfile.TarInfo):
    """A member's header; one that would fill the memory is refused before more of it is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Header":
        try:
            found = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if bytes(buf).strip(b"\0"):  # tarfile would take it for the archive's end
                raise ArchiveError(f"a member's header is broken: {error}") from error
            raise
        if found.type in _HEADERS and found.size > MAX_HEADER_BYTES:
            raise ArchiveError(
                f"member {_shown(found.name)} has a header of {found.size} bytes; "
                f"{MAX_HEADER_BYTES} are allowed"
            )
        if found.type == tarfile.GNUTYPE_SPARSE or found.size < 0:
            raise ArchiveError(f"member {_shown(found.name)} is neither file nor folder")
        return found


class _Forward:
    """A stream that tarfile reads forward; between two members it may read but little."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream = stream
        self._name = name
        self._before = ""
        self._last = b""
        self._at = 0
        self._limit: int | None = _HEADERS_BYTES

    def begin_content(self, name: str) -> None:
        """What is read now is a member's content."""
        self._before = f" after {_shown(name)}"
        self._limit = None

    def begin_header(self, position: int) -> None:
        """Skip to where the next member's header begins."""
        self.seek(position)
        self._limit = position + _HEADERS_BYTES

    def read(self, size: int) -> bytes:
        if self._limit is not None and self._at + size > self._limit:
            raise ArchiveError(
                f"{self._name}: the header of the member{self._before} is longer than "
                f"{_HEADERS_BYTES} bytes"
            )
        chunk = self._last = self._stream.read(size)
        self._at += len(chunk)
        return chunk

    def tell(self) -> int:
        return self._at

    def seek(self, position: int) -> None:
        if position < self._at:
            raise ArchiveError(f"{self._name} is broken: it leads back to an earlier member")
        while self._at < position:
            if not self.read(min(position - self._at, _BUFFER_BYTES)):
                raise ArchiveError(f"{self._name} is cut: the archive has no end")

    def read_end(self) -> None:
        """Read what follows the last member, so that a checksum at the end is compared too.

        An archive ends with blocks of zeros; without them it was cut between two members.
        """
        if self._last.strip(b"\0") or len(self._last) < tarfile.BLOCKSIZE:
            raise ArchiveError(f"{self._name} is cut: the archive has no end")
        self._limit = None
        while chunk := self.read(_BUFFER_BYTES):
            if chunk.strip(b"\0"):
                raise ArchiveError(f"{self._name} goes on after its end")


def _of_zip(raw: IO[bytes], name: str, allowance: _Allowance) -> Iterator[Member]:
    with zipfile.ZipFile(cast("IO[bytes]", _Directory(raw, name))) as archive:
        infos = archive.infolist()
        _refuse_many(len(infos), name)
        for info in infos:
            # An extra field may have put another name in the place of the directory's own.
            for each in (info.orig_filename, info.filename):
                refuse_name(each, folder=info.is_dir())
            mode = info.external_attr >> 16  # of systems without modes it is 0
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                kind = "a link" if stat.S_ISLNK(mode) else "neither file nor folder"
                raise ArchiveError(f"member {_shown(info.filename)} is {kind}")
            if info.flag_bits & 0x41 or info.compress_type not in _ZIP_METHODS:
                raise ArchiveError(
                    f"member {_shown(info.filename)} is encrypted or packed in another way than "
                    "deflate or bzip2"
                )
            if info.is_dir():
                continue
            with archive.open(info) as content:
                stream = _buffered(_Stream(content, info.filename, allowance))
                yield Member(info.filename, stream, bool(mode & 0o111), allowance)


class _Directory:
    """A file of which nothing is read in one piece that could fill the memory."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file = file
        self._name = name
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        chunk_bytes = size if size >= 0 else MAX_DIRECTORY_BYTES + 1
        if chunk_bytes <= MAX_DIRECTORY_BYTES or size < 0:
            chunk = self._file.read(chunk_bytes)
            if len(chunk) <= MAX_DIRECTORY_BYTES:
                return chunk
        raise ArchiveError(
            f"{self._name} has a directory of more than {MAX_DIRECTORY_BYTES} bytes: "
            "too many members"
        )


def _refuse_many(number: int, name: str) -> None:
    if number > MAX_MEMBERS:
        raise ArchiveError(f"{name} has more than {MAX_MEMBERS} members")


def refuse_name(name: str, *, folder: bool) -> None:
    """Raise :class:`ArchiveError` where no member may have that name."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise ArchiveError(f"member {_shown(name)} leads out of the archive")
    if len(path.parts) > MAX_DEPTH:
        raise ArchiveError(f"member {_shown(name)} lies deeper than {MAX_DEPTH} folders")
    if not path.parts and not folder:
        raise ArchiveError(f"member {_shown(name)} has no name")


def _shown(name: str) -> str:
    """A name for a sentence: whatever it holds, and however long it is."""
    return repr(name)[:200]
