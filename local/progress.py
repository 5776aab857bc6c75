"""What a person sees while a run goes on: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from local.follow import Snapshot


def in_words(snapshot: Snapshot) -> str:
    """A snapshot as the line says it."""
    if snapshot.inputs is None:
        return "listing the inputs"
    if snapshot.settled == snapshot.inputs:
        return f"{snapshot.settled} of {snapshot.inputs} settled, collating the results"
    told = [
        f"{snapshot.settled} of {snapshot.inputs} settled",
        f"{len(snapshot.running)} running",
        f"{snapshot.interrupted} interrupted",
        f"round {snapshot.round}",
    ]
    return ", ".join(told)


class ProgressLine:
    """Shows snapshots as they come. A context manager: the live line is gone when it ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._last = ""
        self._live = Progress(
            SpinnerColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=2,
            disable=not console.is_terminal,
        )
        self._task = self._live.add_task("starting the run", total=None)

    def __enter__(self) -> Self:
        """Begin to draw."""
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the line."""
        self._live.stop()

    def show(self, snapshot: Snapshot) -> None:
        """Draw a snapshot; without a terminal, print it if it says something new."""
        words = in_words(snapshot)
        self._live.update(
            self._task, description=words, total=snapshot.inputs, completed=snapshot.settled
        )
        if not self._console.is_terminal and words != self._last:
            self.say(f"{words} ({time.monotonic() - self._began:.0f} s)")
        self._last = words

    def say(self, text: str) -> None:
        """Print a line that stays, above the live one."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
