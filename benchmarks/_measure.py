"""Run one candidate of a comparison in a process of its own: its seconds of CPU and its memory."""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

# Linux tells kibibytes, macOS bytes.
_UNIT = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True)
class Measured:
    """What a candidate took (CPU seconds), and what it returned (to compare them by)."""

    seconds: float
    peak_mib: float
    result: object


def measure(candidate: Callable[..., object], *arguments: object) -> Measured:
    """Run a module-level function in a fresh interpreter; ``peak_mib`` is what it added."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(theirs, candidate, arguments))
    process.start()
    theirs.close()
    measured = ours.recv()
    process.join()
    return measured


def _run(answer: Connection, candidate: Callable[..., object], arguments: tuple) -> None:
    before = peak_mib()
    began = time.process_time()
    result = candidate(*arguments)
    seconds = time.process_time() - began
    answer.send(Measured(seconds, peak_mib() - before, result))


def peak_mib() -> float:
    """The most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT / 2**20


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """Print rows in columns."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
