"""DOCK's poses, one gzip member a molecule: one molecule's can be fetched by a ranged GET.

The text stays what DOCK wrote; https://www.rfc-editor.org/rfc/rfc1952 lets members follow each
other, so that zcat and ``gzip -t`` take the file as before. A molecule has one block or several;
each begins with a line ``########## Name:``. The file is repacked while DOCK writes it, so that
little is left to do at a stop.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_GZIP = 31  # zlib's window of 32 KiB, with the header and the trailer of gzip
_CHUNK_BYTES = 1 << 16
# A molecule's poses have some kB; what is longer without another block is none.
_MAX_BLOCK_BYTES = 1 << 20
_BLOCK = re.compile(rb"^#{10} +Name:[ \t]*([^\r\n]*?)[ \t]*\r?\n", re.MULTILINE)
_NUMBER = re.compile(rb"^#{10} +Number: +(\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Member:
    """A molecule's poses: its number in this start of DOCK, its name, and where they lie."""

    number: int | None
    name: str
    first_byte: int
    length: int


class Repacker:
    """Reads DOCK's ``source`` as it grows; writes members to ``target``, a line each to ``index``.

    ``problem`` says why the source cannot be read; nothing more is written then.
    """

    def __init__(self, source: Path, target: Path, index: Path) -> None:
        self.problem: str | None = None
        self._source = source
        self._read_bytes = 0
        self._unpack = zlib.decompressobj(_GZIP)
        self._is_inside = False
        self._rest = b""
        self._pack: zlib._Compress | None = None
        self._identity = (b"", b"")
        self._begins = 0
        self._target = target.open("wb")
        self._index = index.open("wb")

    def read_on(self) -> None:
        """Take what DOCK has written since the last time."""
        if self.problem is not None or not self._source.exists():
            return
        with self._source.open("rb") as file:
            file.seek(self._read_bytes)
            while chunk := file.read(_CHUNK_BYTES):
                self._read_bytes += len(chunk)
                try:
                    self._take(chunk)
                except zlib.error as error:
                    self.problem = str(error)
                    return

    def finish(self) -> None:
        """Take the rest; the source is whole if there is no problem then."""
        self.read_on()
        if self._is_inside and self.problem is None:
            self.problem = "it ends in the middle"
        if self.problem is None:
            if self._rest:
                self._add(self._rest)
            if self._pack is None:
                # No pose at all is still a whole gzip file: an empty object would look cut.
                self._target.write(zlib.compressobj(wbits=_GZIP).flush())
            self._end()
        self.close()

    def close(self) -> None:
        """Close the files."""
        self._target.close()
        self._index.close()

    def _take(self, packed: bytes) -> None:
        while packed:
            text = self._unpack.decompress(packed)
            self._is_inside = not self._unpack.eof
            packed = self._unpack.unused_data
            if self._unpack.eof:
                self._unpack = zlib.decompressobj(_GZIP)
            self._cut(text)

    def _cut(self, text: bytes) -> None:
        """Pack the blocks that are whole: another one begins behind them."""
        text = self._rest + text
        begins = [found.start() for found in _BLOCK.finditer(text) if found.start()]
        for begin, end in zip([0, *begins], begins, strict=False):
            self._add(text[begin:end])
        self._rest = text[begins[-1] :] if begins else text
        if len(self._rest) > _MAX_BLOCK_BYTES:
            self._add(self._rest)
            self._rest = b""

    def _add(self, block: bytes) -> None:
        identity = _identity_of(block)
        if identity != self._identity:
            self._end()
        if self._pack is None:
            self._pack, self._identity = zlib.compressobj(wbits=_GZIP), identity
        self._target.write(self._pack.compress(block))

    def _end(self) -> None:
        """End the member at hand, if there is one."""
        if self._pack is None:
            return
        self._target.write(self._pack.flush())
        end, (number, name) = self._target.tell(), self._identity
        self._index.write(b"%s %d %d %s\n" % (number, self._begins, end - self._begins, name))
        self._pack, self._begins = None, end


def members(index: Path) -> Iterator[Member]:
    """What a :class:`Repacker` noted, in the order of the file."""
    with index.open("rb") as lines:
        for line in lines:
            number, first_byte, length, name = line.rstrip(b"\n").split(b" ", 3)
            yield Member(
                number=int(number) if number != b"-" else None,
                name=name.decode("latin-1"),
                first_byte=int(first_byte),
                length=int(length),
            )


def _identity_of(block: bytes) -> tuple[bytes, bytes]:
    """The molecule's number and name; blocks that agree in both are of one molecule."""
    head = block.partition(b"@<TRIPOS>")[0]
    number, name = _NUMBER.search(head), _BLOCK.match(head)
    return (b"-" if number is None else number[1]), (b"" if name is None else name[1])
