"""The best 1,000 of 1,000,000 molecules in 1,000 sorted tables: seconds, memory, rows looked at.

Ours is what MergeResults does; memory must stay flat at ten times the rows. The baseline reads
everything and sorts.

usage: python benchmarks/ranking.py [TABLES [ROWS_A_TABLE]]      (1,000 and 1,000 by default)
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _measure import measure, table

from drydock.ranking import Ranking, parse_ranked

KEEP = 1000


def write_tables(folder: Path, tables: int, rows: int) -> None:
    """One sorted table an object, as a shard's workers leave them."""
    source = random.Random(1)
    for number in range(tables):
        scores = sorted(round(source.gauss(-7, 1.5), 3) for _ in range(rows))
        with (folder / f"{number:06d}.tsv").open("w") as out:
            for row, score in enumerate(scores):
                molecule = f"ZINC{number * rows + row:012d}"
                out.write(f"{score}\t{molecule}\ts3://lab/in/{number:06d}.pdbqt\t{number}\n")


class _Counted:
    """Lines of a file, counted as they are asked for."""

    def __init__(self) -> None:
        self.lines = 0

    def read(self, path: Path) -> Iterator[str]:
        """The lines one by one."""
        with path.open() as stream:
            for line in stream:
                self.lines += 1
                yield line.rstrip("\n")


def ours(folder: str) -> tuple[int, str]:
    """Rows read and the last of the best."""
    ranking, counted = Ranking(KEEP), _Counted()
    for path in sorted(Path(folder).iterdir()):
        ranking.add_sorted(parse_ranked(counted.read(path)))
    last = ranking.best()[-1]
    return counted.lines, f"{last.score} {last.molecule_id}"


def baseline(folder: str) -> tuple[int, str]:
    """The same by reading and sorting everything."""
    best: dict[str, tuple[float, str, str]] = {}
    counted = _Counted()
    for path in sorted(Path(folder).iterdir()):
        for line in counted.read(path):
            score, molecule, _ = line.split("\t", 2)
            row = (float(score), molecule, line)
            best[molecule] = min(row, best.get(molecule, row))
    last = sorted(best.values())[:KEEP][-1]
    return counted.lines, f"{last[0]} {last[1]}"


def main() -> None:
    """Print the comparison at the size asked for, and ours alone at ten times the rows."""
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows_a_table = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rows = []
    for size in (rows_a_table, 10 * rows_a_table):
        with tempfile.TemporaryDirectory() as folder:
            write_tables(Path(folder), tables, size)
            candidates = [("ours", measure(ours, folder))]
            if size == rows_a_table:
                reference = measure(baseline, folder)
                candidates.insert(0, ("baseline", reference))
            for name, measured in candidates:
                read, last = measured.result
                rows.append(
                    (
                        f"{tables * size:,}",
                        name,
                        f"{measured.seconds:.2f}",
                        f"{measured.seconds / reference.seconds:.3f}",
                        f"{measured.peak_mib:.1f}",
                        f"{read:,}",
                        last,
                    )
                )
    table(("rows", "", "CPU s", "ratio", "MiB", "rows read", "the 1,000th"), rows)


if __name__ == "__main__":
    main()
