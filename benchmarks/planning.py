"""Planning a run from a list of S3 URIs: seconds a million lines, memory, duplicates found.

Ours reads the list twice and streams; the baseline reads it once and keeps a dict of all lines,
which is the shortest program that finds the same duplicates. Both digest the same manifest.

usage: python benchmarks/planning.py [LINES]      (1,000,000 by default)
"""

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from _figures import Figure, ratio
from _measure import measure, table

from drydock.planning import ShardSizes, plan_list, survey_list

SHARD_SIZE = 10_000
DUPLICATE_EVERY = 1000
CHUNK_BYTES = 1 << 20


def write_list(path: Path, lines: int) -> None:
    """A list like a ZINC tranche's, in which every 1,000th line repeats an earlier one."""
    with path.open("w") as out:
        for number in range(lines):
            original = number // 2 if number % DUPLICATE_EVERY == 0 and number else number
            out.write(f"s3://lab-zinc22/zinc-22a/H{original % 30:02d}/{original:09d}.db2.tgz\n")


def chunks(path: str) -> Iterator[bytes]:
    """The file as S3's body would come."""
    with Path(path).open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def ours(path: str) -> tuple[int, int, str]:
    """Inputs, duplicates and a digest of the manifest, as EnumerateInputs makes them."""
    digest, inputs, duplicates = hashlib.sha256(), 0, 0
    survey = survey_list(chunks(path), Path(path).stat().st_size, ["lab-zinc22"])
    for shard in plan_list(chunks(path), survey, ShardSizes(SHARD_SIZE)):
        inputs += shard.inputs
        duplicates += len(shard.duplicates)
        digest.update(b"".join(shard.lines))
    return inputs, duplicates, digest.hexdigest()[:12]


def baseline(path: str) -> tuple[int, int, str]:
    """The same with everything in memory."""
    digest, duplicates = hashlib.sha256(), 0
    first: dict[str, int] = {}
    lines = [line.strip() for line in Path(path).read_text().splitlines() if line.strip()]
    for index, uri in enumerate(lines):
        original = first.setdefault(uri, index)
        record: list[object] = [index % SHARD_SIZE, index, uri]
        if original != index:
            duplicates += 1
            record += [None, None, None, None, original]
        digest.update(json.dumps(record, separators=(",", ":")).encode() + b"\n")
    return len(lines), duplicates, digest.hexdigest()[:12]


def main() -> None:
    """Print the comparison at the size asked for, and ours at ten times less, for the memory."""
    lines = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in (lines // 10, lines):
            path = Path(folder) / f"{size}.txt"
            write_list(path, size)
            reference = measure(baseline, str(path))
            found = measure(ours, str(path))
            for name, measured in (("baseline", reference), ("ours", found)):
                inputs, duplicates, digest = measured.result
                rows.append(
                    (
                        f"{inputs:,}",
                        name,
                        f"{measured.seconds:.2f}",
                        f"{measured.seconds / reference.seconds:.2f}",
                        f"{measured.peak_mib:.0f}",
                        f"{measured.peak_mib * 2**20 / inputs:.0f}",
                        f"{duplicates:,}",
                        digest,
                    )
                )
    table(("lines", "", "CPU s", "ratio", "MiB", "bytes/line", "duplicates", "manifest"), rows)
    seconds, bytes_a_line = found.seconds * 1e6 / lines, found.peak_mib * 2**20 / lines
    Figure(
        f"planning {lines:,} inputs from a list, CPU s",
        f"{reference.seconds:.2f} (a dict of all lines)",
        f"{found.seconds:.2f}",
        ratio(found.seconds, reference.seconds),
        "<= 2 a 1,000,000",
        seconds <= 2,
    ).tell()
    Figure(
        "its memory, bytes a line",
        f"{reference.peak_mib * 2**20 / lines:.0f}",
        f"{bytes_a_line:.0f}",
        ratio(found.peak_mib, reference.peak_mib),
        "<= 16",
        bytes_a_line <= 16,
    ).tell()


if __name__ == "__main__":
    main()
