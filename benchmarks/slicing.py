"""Cutting files of many records into slices: MB/s and memory.

The baseline reads the same chunks line by line and counts the lines that end a record, which is the
shortest program that finds the same ends.

usage: python benchmarks/slicing.py [MB]      (200 by default)
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _measure import measure, table

from drydock.records import cut

RECORDS = 1000
CHUNK_BYTES = 1 << 20
_ATOM = b"%10.4f%10.4f%10.4f C   0  0  0  0  0  0  0  0  0  0  0  0\n" % (1.5, -2.25, 3.125)
_PDBQT_ATOM = b"ATOM      1  C   UNL     1      %8.3f%8.3f%8.3f  1.00  0.00     0.086 C \n" % (
    1,
    2,
    3,
)
_SEQUENCE = b"ACGTNACGTT" * 15
ONE = {
    "sdf": b"ZINC%09d\n  made\n\n" + _ATOM * 40 + b"M  END\n> <score>\n-7.5\n\n$$$$\n",
    "smi": b"CC(=O)Nc1ccc(cc1)OCC(O)CNC(C)C ZINC%09d\n",
    "pdbqt": b"MODEL\nREMARK  Name = ZINC%09d\nROOT\n"
    + _PDBQT_ATOM * 30
    + b"ENDROOT\nTORSDOF 0\nENDMDL\n",
    "fastq": b"@read%09d\n" + _SEQUENCE + b"\n+\n" + b"I" * len(_SEQUENCE) + b"\n",
}
ENDS = {"sdf": b"$$$$", "smi": b"", "pdbqt": b"ENDMDL", "fastq": b""}
LINES = {"sdf": 1, "smi": 1, "pdbqt": 1, "fastq": 4}


def write_records(path: Path, kind: str, size: int) -> None:
    """A file of about that many bytes."""
    written = number = 0
    with path.open("wb") as out:
        while written < size:
            written += out.write(ONE[kind] % number)
            number += 1


def chunks(path: str) -> Iterator[bytes]:
    """The file as S3's body would come."""
    with Path(path).open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def ours(path: str, kind: str) -> tuple[int, int]:
    """How many slices there are, and where the last one begins."""
    count = last = 0
    for first, _ in cut(chunks(path), kind, RECORDS, most_bytes=1 << 32):
        count, last = count + 1, first
    return count, last


def baseline(path: str, kind: str) -> tuple[int, int]:
    """The same, line by line."""
    mark, wanted = ENDS[kind], RECORDS * LINES[kind]
    place = found = 0
    firsts = [0]
    with Path(path).open("rb") as stream:
        for line in stream:
            place += len(line)
            if line.startswith(mark):
                found += 1
                if found == wanted:
                    firsts.append(place)
                    found = 0
    if firsts[-1] == place:
        firsts.pop()
    return len(firsts), firsts[-1]


def main() -> None:
    """Print both for each kind of file."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    rows = []
    for kind in ONE:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"many.{kind}"
            write_records(path, kind, megabytes * 1_000_000)
            size = path.stat().st_size
            reference = measure(baseline, str(path), kind)
            for name, measured in (
                ("baseline", reference),
                ("ours", measure(ours, str(path), kind)),
            ):
                count, last = measured.result
                rows.append(
                    (
                        kind,
                        name,
                        f"{size / 1e6 / measured.seconds:,.0f}",
                        f"{measured.seconds / reference.seconds:.2f}",
                        f"{measured.peak_mib:.1f}",
                        f"{count:,}",
                        f"{last:,}",
                    )
                )
    table(("kind", "", "MB/CPU s", "ratio", "MiB", "slices", "the last one's first byte"), rows)


if __name__ == "__main__":
    main()
