"""Following a file that a program appends to."""

from pathlib import Path


class GrowingFile:
    """The whole lines of a file as they come; it need not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_bytes = 0

    def new_lines(self) -> bytes:
        """What came since the last time, up to the last end of a line."""
        if not self._path.exists():
            return b""
        with self._path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        return whole
