"""``python -m worker.tools.prepare_ligands``: prepares a file of molecules in processes of its own.

Each line of the file is a JSON object with ``ordinal``, ``kind`` (``sdf`` or ``smi``) and
``text``; for each, in no particular order, a line is written with ``ordinal`` and either
``pdbqt``, ``smiles`` and ``with``, or ``problem``. A molecule at which a process dies, or which
takes too long, is one with a problem; another process goes on with the others.
"""

import argparse
import json
import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from worker.confinement import before_exec
from worker.tools.ligands import MAX_LIGAND_BYTES
from worker.tools.vina_batches import EXIT_MISSING

# What was imported before is shared by all processes.
_FORK = multiprocessing.get_context("fork")

Answer = dict[str, Any]


def main(given: list[str]) -> int:
    """Prepare the molecules of one file into another."""
    parser = argparse.ArgumentParser(prog="prepare_ligands", description=__doc__)
    parser.add_argument("molecules", type=Path)
    parser.add_argument("prepared", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True, help="time limit a molecule")
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args(given)
    try:
        from worker.tools import preparation  # noqa: PLC0415 - slow: a wrong flag must not wait
    except ImportError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line
        return EXIT_MISSING
    preparation.listen()
    processes = [_Process(arguments.seed) for _ in range(arguments.processes)]
    with arguments.molecules.open(encoding="utf-8") as lines, arguments.prepared.open("w") as out:
        for answer in _answers(map(json.loads, lines), processes, arguments.seconds):
            out.write(json.dumps(answer) + "\n")
    for process in processes:
        process.end()
    return 0


def _answers(
    molecules: Iterator[Answer], processes: list["_Process"], seconds: float
) -> Iterator[Answer]:
    """Give each process one molecule at a time; what comes of each."""
    while True:
        for process in processes:
            if process.ordinal is None and (molecule := next(molecules, None)) is not None:
                process.give(molecule, time.monotonic() + seconds)
        busy = {process.connection: process for process in processes if process.ordinal is not None}
        if not busy:
            return
        soonest = min(process.until for process in busy.values())
        ready = wait(list(busy), max(0.0, soonest - time.monotonic()))
        for connection, process in busy.items():
            if connection in ready:
                yield process.take()
            elif time.monotonic() >= process.until:
                yield process.give_up(f"preparing it took longer than {seconds:g} s")


@dataclass(slots=True)
class _Process:
    """A process that prepares one molecule after the other, replaced when it dies."""

    seed: int
    ordinal: int | None = None
    until: float = 0.0
    connection: Connection = field(init=False)
    _process: Any = field(init=False)

    def __post_init__(self) -> None:
        self.connection, theirs = multiprocessing.Pipe()
        # It dies with this process, however that ends.
        with_parent = before_exec(None)
        self._process = _FORK.Process(target=_serve, args=(theirs, self.seed, with_parent))
        self._process.start()
        theirs.close()

    def give(self, molecule: Answer, until: float) -> None:
        self.ordinal, self.until = int(molecule["ordinal"]), until
        with suppress(OSError):  # dead already: its end of the pipe tells
            self.connection.send(molecule)

    def take(self) -> Answer:
        try:
            answer: Answer = self.connection.recv()
        except (EOFError, OSError):
            self._process.join()
            return self.give_up(f"preparing it ended with {_said_of(self._process.exitcode)}")
        self.ordinal = None
        return answer

    def give_up(self, problem: str) -> Answer:
        """Fail the molecule at hand, and go on with another process."""
        answer = {"ordinal": self.ordinal, "problem": problem}
        self.end()
        self.ordinal = None
        self.__post_init__()
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


def _serve(connection: Connection, seed: int, first: Callable[[], None] | None) -> None:
    if first is not None:
        first()
    with suppress(EOFError):
        while True:
            connection.send(_answer(connection.recv(), seed))


def _answer(molecule: Answer, seed: int) -> Answer:
    from worker.tools import preparation  # noqa: PLC0415 - imported before the fork

    answer = {"ordinal": molecule["ordinal"]}
    try:
        made = preparation.prepare(molecule["kind"], molecule["text"], seed)
    except preparation.Unprepared as error:
        return answer | {"problem": str(error)}
    if len(made.pdbqt) > MAX_LIGAND_BYTES:
        return answer | {"problem": f"its PDBQT has more than {MAX_LIGAND_BYTES} bytes"}
    return answer | {"pdbqt": made.pdbqt, "smiles": made.smiles, "with": preparation.VERSIONS}


def _said_of(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
