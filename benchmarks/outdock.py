"""500,000 lines of OUTDOCK: the energies below a bound, by seconds of CPU and memory.

Ours reads columns line by line; memory must stay flat. The baseline reads the whole file and
splits its lines at blanks, as scripts in the field do; it loses the lines whose columns touch.

usage: python benchmarks/outdock.py [LINES]      (500,000 by default)
"""

import random
import sys
import tempfile
from pathlib import Path

from _measure import measure, table

from worker.tools.outdock import Docked, OutdockReader

MAX_ENERGY = -20.0
HEADER = "  mol#           id_num     flexiblecode  matched    nscored    time hac    setnum ...\n"


def write_outdock(path: Path, lines: int) -> None:
    """Poses and failed ligands, one in ten; one in a hundred has columns that touch."""
    source = random.Random(1)
    with path.open("w") as out:
        out.write(HEADER)
        for number in range(1, lines + 1):
            head = f"{number % 1_000_000:6d} ZINC{number:012d}"
            if number % 10 == 0:
                out.write(f"{head}{1368:8d} {51588:10d} {0.06:7.2f} no_match\n")
                continue
            psol = 1055.08 if number % 100 == 1 else 55.08
            out.write(
                f"{head} {'1':16s} {1494:8d} {120356:10d} {0.08:7.2f} {22:3d} {6:9d} {975:9d} "
                f"{1:6d}   {-2:7.2f}  {-80.34:7.2f} {0:7.2f} {-7.57:7.2f}{psol:7.2f} {0.1:7.2f} "
                f"{4.64:7.2f} {2.4:7.2f} {0:7.2f} {0:7.2f}{source.gauss(-20, 15):10.2f}\n"
            )
        out.write(" end of file encountered\n")


def ours(path: str) -> tuple[int, int, float]:
    """Poses, those below the bound, and the best energy."""
    poses = kept = 0
    best = 0.0
    with Path(path).open(encoding="latin-1", newline="\n") as lines:
        for row in OutdockReader().rows(lines):
            if isinstance(row, Docked) and (total := row.total) is not None:
                poses += 1
                if total < MAX_ENERGY and row.id:
                    kept += 1
                    best = min(best, total)
    return poses, kept, best


def baseline(path: str) -> tuple[int, int, float]:
    """The same of lines that have 21 words."""
    poses, found = 0, []
    for line in Path(path).read_text("latin-1").splitlines():
        words = line.split()
        if len(words) == 21:
            poses += 1
            if float(words[20]) < MAX_ENERGY:
                found.append((words[1], float(words[20])))
    return poses, len(found), min(total for _, total in found)


def main() -> None:
    """Print the comparison at the size asked for, and ours alone at four times the lines."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 500_000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (lines, 4 * lines):
            path = Path(folder) / "OUTDOCK"
            write_outdock(path, size)
            candidates = [("ours", measure(ours, str(path)))]
            if size == lines:
                reference = measure(baseline, str(path))
                candidates.insert(0, ("baseline", reference))
            for name, measured in candidates:
                poses, kept, best = measured.result
                ratio = measured.seconds / reference.seconds
                rows.append(
                    (
                        f"{size:,}",
                        name,
                        f"{measured.seconds:.2f}",
                        f"{ratio:.2f}",
                        f"{measured.peak_mib:.1f}",
                        f"{poses:,}",
                        f"{kept:,}",
                        f"{best}",
                    )
                )
    header = ("lines", "", "CPU s", "ratio", "MiB", "poses", "below the bound", "best")
    table(header, rows)


if __name__ == "__main__":
    main()
