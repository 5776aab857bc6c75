"""The best 1,000 of 1,000,000 molecules in 1,000 sorted tables: seconds, memory, rows looked at.

Ours is what MergeResults does; memory must stay flat at ten times the rows. The baselines read one
table after the other, keep the best of each molecule and sort: from the same tables, and from
csv.gz, which is what peers leave.

usage: python benchmarks/ranking.py [TABLES [ROWS_A_TABLE]]      (1,000 and 1,000 by default)
"""

import csv
import gzip
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _figures import Figure, ratio
from _measure import measure, table

from drydock.ranking import Ranking, parse_ranked

KEEP = 1000
PACKED = "csv"


def write_tables(folder: Path, tables: int, rows: int) -> None:
    """One sorted table an object, as a shard's workers leave them."""
    source = random.Random(1)
    for number in range(tables):
        scores = sorted(round(source.gauss(-7, 1.5), 3) for _ in range(rows))
        with (folder / f"{number:06d}.tsv").open("w") as out:
            for row, score in enumerate(scores):
                molecule = f"ZINC{number * rows + row:012d}"
                out.write(f"{score}\t{molecule}\ts3://lab/in/{number:06d}.pdbqt\t{number}\n")


def pack_tables(folder: Path) -> None:
    """The same tables as csv.gz, in a folder beside them."""
    (folder / PACKED).mkdir()
    for path in folder.glob("*.tsv"):
        text = path.read_text().replace("\t", ",")
        packed = folder / PACKED / f"{path.stem}.csv.gz"
        packed.write_bytes(gzip.compress(text.encode(), compresslevel=1))


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
    for path in sorted(Path(folder).glob("*.tsv")):
        ranking.add_sorted(parse_ranked(counted.read(path)))
    last = ranking.best()[-1]
    return counted.lines, f"{last.score} {last.molecule_id}"


def baseline(folder: str) -> tuple[int, str]:
    """The same by reading and sorting everything."""
    best: dict[str, tuple[float, str, str]] = {}
    counted = _Counted()
    for path in sorted(Path(folder).glob("*.tsv")):
        for line in counted.read(path):
            score, molecule, _ = line.split("\t", 2)
            row = (float(score), molecule, line)
            best[molecule] = min(row, best.get(molecule, row))
    last = sorted(best.values())[:KEEP][-1]
    return counted.lines, f"{last[0]} {last[1]}"


def serial_csv(folder: str) -> tuple[int, str]:
    """The same from csv.gz."""
    best: dict[str, tuple[float, str, list[str]]] = {}
    rows = 0
    for path in sorted(Path(folder, PACKED).iterdir()):
        with gzip.open(path, "rt", newline="") as stream:
            for cells in csv.reader(stream):
                rows += 1
                row = (float(cells[0]), cells[1], cells)
                best[cells[1]] = min(row, best.get(cells[1], row))
    last = sorted(best.values())[:KEEP][-1]
    return rows, f"{last[0]} {last[1]}"


def main() -> None:
    """Print the comparison at the size asked for, and ours alone at ten times the rows."""
    tables = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    rows_a_table = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    rows, found = [], []
    for size in (rows_a_table, 10 * rows_a_table):
        with tempfile.TemporaryDirectory() as folder:
            write_tables(Path(folder), tables, size)
            candidates = [("ours", measure(ours, folder))]
            found.append(candidates[0][1])
            if size == rows_a_table:
                pack_tables(Path(folder))
                reference = measure(serial_csv, folder)
                candidates.insert(0, ("the tables", measure(baseline, folder)))
                candidates.insert(0, ("csv.gz", reference))
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
    once, tenfold = found
    of = f"the best {KEEP:,} of {tables * rows_a_table:,} rows"
    Figure(
        f"{of}, CPU s",
        f"{reference.seconds:.2f} (csv.gz, one after the other)",
        f"{once.seconds:.2f}",
        ratio(once.seconds, reference.seconds),
        "<= 2",
        once.seconds <= 2,
    ).tell()
    Figure(
        "its memory, MiB (ours at ten times the rows)",
        f"{reference.peak_mib:.0f}",
        f"{once.peak_mib:.1f} ({tenfold.peak_mib:.1f})",
        ratio(once.peak_mib, reference.peak_mib),
        "flat",
        tenfold.peak_mib <= once.peak_mib + 1,
    ).tell()


if __name__ == "__main__":
    main()
