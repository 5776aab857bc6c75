"""Copying one object, or a range of it, into a file: pinned, checked, and in bounded memory.

A large one comes in pieces over several connections, each asked for with the ETag of the first
answer; an answer that breaks off is gone on with from where it broke. What came is compared with
the checksum that S3 has of the whole object.
"""

import contextlib
import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from drydock.checksums import Running
from drydock.errors import Malformed, StoreUnavailable
from drydock.store import Store, StoredStream
from drydock.uris import S3Uri
from worker.endings import Interrupted
from worker.parallel import each
from worker.scratch import full_named, require_room
from worker.stop_signals import Stop

PIECE_BYTES = 16 << 20
_CONNECTIONS = 8
_CHUNK_BYTES = 1 << 20
_TRIES = 5
_SPOILT_TRIES = 3
# The first wait before another try is up to this long; each further one up to twice as long.
_PAUSE_S = 0.5


class Wanted(NamedTuple):
    """An object, pinned by its ETag where that is known, or a range of it (both ends inclusive)."""

    uri: S3Uri
    etag: str | None = None
    first_byte: int | None = None
    last_byte: int | None = None


class _Spoilt(StoreUnavailable):
    """Raised when an object came whole and is not what S3 says it is."""


def download(store: Store, wanted: Wanted, target: Path, stop: Stop) -> str:
    """As :func:`copy_object`, and a stop ends it at once even while S3 does not answer."""
    etags: list[str] = []

    def copy(one: Wanted) -> None:
        etags.append(copy_object(store, one, target, stop))

    each(copy, [wanted], 1, stop)
    return etags[0]


def copy_object(store: Store, wanted: Wanted, target: Path, stop: Stop) -> str:
    """Copy to ``target`` in this thread; returns the object's ETag.

    Raises:
        NotFound, Changed: the object is gone, or another one than the pinned one.
        ScratchFull: there is no room for it.
        StoreUnavailable: it did not come, or not as S3 says it is, however often it was asked for.
        Interrupted: a stop was asked for.
    """
    for again in range(_SPOILT_TRIES):
        pause(again, stop)
        try:
            with full_named(target.parent):
                return _Download(store, wanted, target, stop).run()
        except _Spoilt as error:
            spoilt = error
    raise spoilt


def pause(again: int, stop: Stop) -> None:
    """Wait before the ``again``-th other try, at most until a stop; none before the first."""
    if again:
        stop.wait(random.uniform(0, _PAUSE_S * 2**again))


class _Download:
    """One try at an object."""

    def __init__(self, store: Store, wanted: Wanted, target: Path, stop: Stop) -> None:
        self._store = store
        self._wanted = wanted
        self._target = target
        self._stop = stop
        self._over = False
        self._etag = wanted.etag
        self._base = wanted.first_byte or 0

    def run(self) -> str:
        opened = self._open(self._wanted.first_byte, self._wanted.last_byte)
        self._etag = opened.etag
        size = opened.size - self._base
        if self._wanted.last_byte is not None:
            size = min(size, self._wanted.last_byte - self._base + 1)
        running = opened.checksum.start() if opened.checksum else None
        try:
            self._look_for_end()  # nothing may be written any more where nobody waits
            require_room(self._target.parent, size, f"{self._wanted.uri} needs")
            with self._target.open("wb") as file:
                _allocate(file, size)
        except BaseException:
            opened.body.close()
            raise
        try:
            if size <= PIECE_BYTES:
                update = running.update if running else None
                self._fetch_piece(0, size, opened, update)
            else:
                self._fetch_pieces(size, opened, running)
        finally:
            self._over = True
        if running and opened.checksum and running.digest() != opened.checksum.expected:
            kind = opened.checksum.algorithm
            raise _Spoilt(f"{self._wanted.uri} came with another {kind} than S3 has of it")
        return opened.etag

    def _open(self, first_byte: int | None, last_byte: int | None) -> StoredStream:
        uri = self._wanted.uri
        return self._store.get_stream(
            uri.bucket, uri.key, first_byte=first_byte, last_byte=last_byte, etag=self._etag
        )

    def _fetch_pieces(self, size: int, opened: StoredStream, running: Running | None) -> None:
        """Fetch all pieces at once; the checksum follows behind the first that is missing."""
        starts = range(0, size, PIECE_BYTES)
        fetched: set[int] = set()
        checked = 0

        def fetch(start: int) -> None:
            length = min(PIECE_BYTES, size - start)
            self._fetch_piece(start, length, None if start else opened)

        with self._target.open("rb", buffering=0) as back:  # nothing of a piece still to come

            def finished(start: int) -> None:
                nonlocal checked
                fetched.add(start)
                while running and checked in fetched:
                    fetched.remove(checked)
                    for _ in range(0, PIECE_BYTES, _CHUNK_BYTES):
                        running.update(back.read(_CHUNK_BYTES))
                    checked += PIECE_BYTES

            each(fetch, starts, _CONNECTIONS, self._stop, finished)

    def _fetch_piece(
        self,
        start: int,
        length: int,
        opened: StoredStream | None,
        update: Callable[[bytes], None] | None = None,
    ) -> None:
        """Fetch ``length`` bytes from ``start`` on, going on after what breaks off."""
        done = fruitless = 0
        with self._target.open("r+b") as file:
            file.seek(start)
            while done < length or opened is not None:
                before = done
                try:
                    answer = opened or self._go_on(start + done, start + length)
                    for chunk in self._chunks(answer, length - done):
                        file.write(chunk)
                        done += len(chunk)
                        if update:
                            update(chunk)
                    broken = StoreUnavailable("the answer ended early")
                except (StoreUnavailable, Malformed) as error:
                    broken = StoreUnavailable(str(error))
                opened = None
                if done == length:
                    return
                fruitless = 0 if done > before else fruitless + 1
                if fruitless == _TRIES:
                    uri = self._wanted.uri
                    raise StoreUnavailable(f"{uri}: {done} of {length} bytes came: {broken}")
                pause(fruitless + 1, self._stop)

    def _go_on(self, start: int, end: int) -> StoredStream:
        return self._open(self._base + start, self._base + end - 1)

    def _look_for_end(self) -> None:
        if self._over or self._stop.reason is not None:
            raise Interrupted(self._stop.reason.text if self._stop.reason else "it is over")

    def _chunks(self, opened: StoredStream, length: int) -> Iterator[bytes]:
        """At most ``length`` bytes of an answer, as long as they are wanted."""
        left = length
        with contextlib.closing(opened.chunks(_CHUNK_BYTES)) as chunks:
            for chunk in chunks:
                self._look_for_end()
                yield chunk[:left]
                left -= len(chunk)
                if left < 0:
                    return


def _allocate(file: IO[bytes], size: int) -> None:
    """Take the room now, so that a full disk is known before anything comes."""
    if size > PIECE_BYTES and hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
        else:
            return
    file.truncate(size)
