"""What a tool's program says: passed on to the worker's log in bounds, its ends kept for reasons.

The program writes to pipes that a thread empties, so that it can fill no disk; a log that takes no
more slows the program down, as it would without the worker.
"""

import contextlib
import os
import selectors
import threading
from typing import IO

from worker.journal import Journal

# A line of the log; longer ones are cut.
LINE_BYTES = 2048
# Of each program, whatever it says: a container log is paid for by its size.
TOTAL_BYTES = 256 << 10
# Holds all that a program says before it begins to work, as a list of its inputs.
HEAD_BYTES = 64 << 10
TAIL_BYTES = 4096
_CHUNK_BYTES = 64 << 10


class Stream:
    """One stream of a program: its head, its tail, and the line that is being written."""

    def __init__(self, name: str, pipe: IO[bytes] | None) -> None:
        self.name = name
        self.pipe = pipe
        self.line = b""
        self._head = b""
        self._tail = b""
        self._gap = False

    def keep(self, chunk: bytes) -> None:
        """Remember what is to be remembered of a chunk."""
        room = HEAD_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if chunk:
            self._gap = self._gap or len(self._tail) + len(chunk) > TAIL_BYTES
            self._tail = (self._tail + chunk)[-TAIL_BYTES:]

    def text(self) -> str:
        """Head and tail, with a sign between them where something is missing."""
        between = b"\n[...]\n" if self._gap else b""
        return (self._head + between + self._tail).decode(errors="replace")

    def end(self) -> str:
        """The last of it."""
        return (self._head + self._tail)[-TAIL_BYTES:].decode(errors="replace")


class Relay(threading.Thread):
    """Reads a program's pipes to their ends, which come when all that hold them are gone.

    None is a stream that goes elsewhere.
    """

    def __init__(
        self, journal: Journal, stdout: IO[bytes] | None, stderr: IO[bytes] | None
    ) -> None:
        super().__init__(name="relay", daemon=True)
        self.stdout = Stream("stdout", stdout)
        self.stderr = Stream("stderr", stderr)
        self._journal = journal
        self._room = TOTAL_BYTES
        self._left_out = 0

    def run(self) -> None:
        """Read until both have ended, then tell how much was left out."""
        with selectors.DefaultSelector() as selector, contextlib.ExitStack() as pipes:
            for stream in (self.stdout, self.stderr):
                if stream.pipe is not None:
                    pipes.enter_context(stream.pipe)
                    selector.register(stream.pipe, selectors.EVENT_READ, stream)
            while selector.get_map():
                for key, _ in selector.select():
                    if not self._read(key.data, key.fd):
                        selector.unregister(key.fileobj)
        if self._left_out:
            self._journal.say("tool_output_cut", bytes_left_out=self._left_out)

    def _read(self, stream: Stream, descriptor: int) -> bool:
        """Take what came; false at the end."""
        chunk = os.read(descriptor, _CHUNK_BYTES)
        stream.keep(chunk)
        if not chunk:
            if stream.line:
                self._pass_on(stream, stream.line)
            return False
        if self._room <= 0:
            self._left_out += len(stream.line) + len(chunk)
            stream.line = b""
            return True
        *lines, rest = chunk.split(b"\n")
        for line in lines:
            self._pass_on(stream, stream.line + line)
            stream.line = b""
        stream.line += rest
        if len(stream.line) > LINE_BYTES:  # a line without end must not gather
            self._left_out += len(stream.line) - LINE_BYTES
            stream.line = stream.line[:LINE_BYTES]
        return True

    def _pass_on(self, stream: Stream, line: bytes) -> None:
        kept = line.rstrip(b"\r")[:LINE_BYTES]
        self._left_out += max(0, len(line) - LINE_BYTES)
        if self._room < len(kept):
            self._room = 0
            self._left_out += len(kept)
        elif kept:
            self._room -= len(kept)
            self._journal.say("tool", **{stream.name: kept.decode(errors="replace")})
