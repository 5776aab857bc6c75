"""All figures that are aimed at, in one table: others' idea and ours, from the same run.

Each command runs by itself too, and then prints more. Counts and bytes are exact; seconds are of
CPU, but for the worker's over the bare tool, which are by the clock and need a machine that does
nothing else.

usage: python benchmarks/figures.py [--markdown] [--without NAME ...]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path

from _figures import Figure, environment, read
from _measure import table

ROOT = Path(__file__).parents[1]
# Counts are the same whatever else the machine does: these run two at a time.
COUNTED = (
    "benchmarks/redone.py",
    "benchmarks/detect.py",
    "-m tests.figures.calls",
    "-m tests.figures.child",
    "-m tests.figures.accepted",
    "-m tests.figures.accounted",
)
TIMED = ("benchmarks/planning.py", "benchmarks/ranking.py", "benchmarks/overhead.py 1000 3")
NAMES = ("what", "others' idea, in the same run", "ours", "ratio", "aim", "", "python …")


@dataclass(frozen=True)
class Told:
    """A figure and the command that told it."""

    figure: Figure
    command: str

    def row(self) -> tuple[str, ...]:
        """Its cells."""
        *cells, holds = astuple(self.figure)
        return (*cells, "" if holds else "MISSED", self.command)


def run(command: str) -> list[Told]:
    """Run one command; what it told, or what its table says where it tells nothing.

    Raises:
        SystemExit: it did not end well.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figures"
        done = subprocess.run(
            [sys.executable, *command.split()],
            cwd=ROOT,
            env=environment(path),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}")
        figures = [of_overhead(done.stdout)] if "overhead.py" in command else read(path)
    sys.stderr.write(f"python {command}: {time.monotonic() - began:.0f} s\n")
    return [Told(figure, command) for figure in figures]


def of_overhead(printed: str) -> Figure:
    """The worker's seconds over the bare tool's, the least of each, from overhead.py's table."""
    lines = [line.split("  ") for line in printed.splitlines()]
    rows = [[cell.strip() for cell in cells if cell.strip()] for cells in lines]
    bare = next(row for row in rows if row[1:2] == ["bare tool"])
    worker = next(row for row in rows if row[1:2] == ["worker"])
    ratio = float(worker[5])
    what = f"seconds of {worker[0]} ligands of 50 ms"
    told = (f"{bare[4]} (the bare tool)", worker[4], worker[5])
    return Figure(what, *told, "<= 1.01", ratio <= 1.01)


def main() -> int:
    """Print the table; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--markdown", action="store_true", help="for benchmarks/README.md")
    parser.add_argument("--without", nargs="*", default=[], help="as overhead")
    given = parser.parse_args()
    counted, timed = (
        [command for command in commands if not any(name in command for name in given.without)]
        for commands in (COUNTED, TIMED)
    )
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(run, counted))
    found += map(run, timed)
    told = [each for some in found for each in some]
    rows = [each.row() for each in told]
    if given.markdown:
        for cells in (NAMES, tuple("---" for _ in NAMES), *rows):
            print(f"| {' | '.join(cells)} |")
    else:
        table(NAMES, rows)
    return 0 if all(each.figure.holds for each in told) else 1


if __name__ == "__main__":
    sys.exit(main())
