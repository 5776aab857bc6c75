"""AggregateShard's tables of one turn, and of one input as large: seconds of CPU, and memory.

Rows have the shape of vina's, with so many poses a ligand. S3 is a folder. Memory is what the call
adds to a process that has read nothing yet, and must stay flat at ten times the rows.

usage: python benchmarks/aggregation.py [ROWS [INPUTS]]      (200,000 in 1,000 inputs by default)
"""

import gzip
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import IO

from _measure import measure, table

from drydock.errors import NotFound
from drydock.markers import InputSummary
from drydock.outcome import Settled
from drydock.parts import OutputObject, PartOutputs
from drydock.shard_tables import write_tables
from drydock.store import StoredObject

POSES = (1, 9)
TERMS = ("inter", "intra", "torsional", "unbound")


class Folder:
    """S3, as far as a turn asks for it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(
        self,
        bucket: str,
        key: str,
        *,
        first_byte: int | None = None,
        last_byte: int | None = None,
        etag: str | None = None,
    ) -> StoredObject:
        """The object, or a range of it."""
        path = self._root / bucket / key
        if not path.exists():
            raise NotFound(key)
        size, first = path.stat().st_size, first_byte or 0
        with path.open("rb") as file:
            file.seek(first)
            body = file.read((size if last_byte is None else last_byte + 1) - first)
        return StoredObject(body, etag or "", size)

    def put(self, bucket: str, key: str, body: bytes | IO[bytes], **_: str) -> str:
        """Write an object."""
        path = self._root / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            if isinstance(body, bytes):
                file.write(body)
            else:
                shutil.copyfileobj(body, file)
        return ""

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object."""
        (self._root / bucket / key).unlink(missing_ok=True)


def drawn_row(poses: int, source: random.Random) -> dict[str, object]:
    """What a row of worker/tools/vina_table.py has by chance."""

    def terms() -> dict[str, float]:
        return {name: round(source.gauss(-2, 2), 3) for name in TERMS}

    models = [
        {
            "affinity": round(source.gauss(-7, 1.5), 3),
            "rmsd_lower": round(source.uniform(0, 9), 3),
            "rmsd_upper": round(source.uniform(0, 9), 3),
            **terms(),
        }
        for _ in range(poses)
    ]
    return {
        "score": round(source.gauss(-7, 1.5), 3),
        "terms": terms(),
        "models": models,
        "smiles": "".join(source.choice("CCCccNOS()=12") for _ in range(50)),
    }


def names(number: int, index: int) -> dict[str, object]:
    """What else it has: of which molecule of which input it is."""
    return {
        "id": f"ZINC{index * 1_000_003 + number:012d}",
        "ligand": number,
        "first_byte": 1234 * number,
        "length": 1234,
        "input": f"s3://lab/library/{index:06d}.sdf.gz",
        "index": index,
        "input_etag": f"{index:032x}",
        "poses": f"out/shards/000000/{index:05d}/poses.0.pdbqt.gz",
    }


def packed(row: dict[str, object]) -> str:
    """JSON as workers write it."""
    return json.dumps(row, separators=(",", ":"))


def write_inputs(root: Path, rows: int, inputs: int, poses: int) -> None:
    """What workers leave of a shard."""
    source = random.Random(1)
    # So many that none comes twice in a group of rows.
    drawn = [packed(drawn_row(poses, source)) for _ in range(50_000)]
    (root / "data").mkdir()
    for index in range(inputs):
        count = rows // inputs
        with gzip.open(root / "data" / f"scores-{index}", "wt", compresslevel=1) as out:
            for number in range(count):
                drawn_text = drawn[(index * count + number) % len(drawn)]
                out.write(f"{packed(names(number, index))[:-1]},{drawn_text[1:]}\n")


def settled(root: Path, inputs: int, molecules: int) -> list[Settled]:
    """The outcome that names it."""
    found = []
    for index in range(inputs):
        key = f"scores-{index}"
        output = OutputObject("scores", key, (root / "data" / key).stat().st_size, "")
        chain = (PartOutputs(0, (output,)),)
        summary = InputSummary(index, index, "", chain, molecules, 0, 1.0)
        found.append(Settled(index, "", "", summary))
    return found


def turn(folder: str, inputs: int, molecules: int) -> tuple[int, int]:
    """The tables' size, and how many scores were counted."""
    root = Path(folder)
    request = {"keep_top": 1000}
    run = SimpleNamespace(
        run_id="0123456789abcdef",
        output_bucket="data",
        output_prefix="out/",
        current=SimpleNamespace(request=request),
    )
    services = SimpleNamespace(store=Folder(root))
    scores = write_tables(services, run, 0, settled(root, inputs, molecules), 0)
    return sum(path.stat().st_size for path in root.rglob("*.parquet")), scores.count


def main() -> None:
    """Print each size: in many inputs and in one, at a tenth of the rows and at all of them."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    many = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    found = []
    for poses in POSES:
        for size, inputs in ((rows // 10, many), (rows, many), (rows, 1)):
            with tempfile.TemporaryDirectory() as folder:
                write_inputs(Path(folder), size, inputs, poses)
                packed = sum(path.stat().st_size for path in Path(folder, "data").iterdir())
                measured = measure(turn, folder, inputs, size // inputs)
                table_bytes, count = measured.result
                found.append(
                    (
                        f"{count:,}",
                        f"{inputs:,}",
                        str(poses),
                        f"{measured.seconds:.1f}",
                        f"{measured.peak_mib:.0f}",
                        f"{packed / count:.0f}",
                        f"{table_bytes / count:.0f}",
                    )
                )
    head = ("rows", "inputs", "poses", "CPU s", "MiB", "packed bytes a row", "in the table")
    table(head, found)


if __name__ == "__main__":
    main()
