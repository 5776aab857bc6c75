"""Tables of results: score rows as Parquet, failures and the best molecules as CSV."""

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any

from drydock.ranking import Ranked

TEXT_COLUMNS = ("id", "reason", "smiles", "input", "input_etag", "poses")
NUMBER_COLUMNS = ("index", "ligand", "first_byte", "length")
JSON_COLUMNS = ("terms", "models")
ROWS_PER_GROUP = 10_000
# Of JSON in memory as columns.
_MOST_CHARACTERS = 16 << 20


def write_scores(rows: Iterable[Mapping[str, Any]], file: IO[bytes]) -> int:
    """Write score rows as one Parquet file (zstd), in memory that does not grow with them.

    Columns that a tool does not write are null. Returns how many rows there were.

    The library is loaded here and not with the module: a run that has nothing new to tabulate
    does not pay for it. ``rows`` are asked for from within it, so they must not come from S3.
    """
    from arro3.core import Array, DataType, Field, RecordBatch, RecordBatchReader, Schema  # noqa: PLC0415
    from arro3.io import write_parquet  # noqa: PLC0415

    types = {"score": DataType.float64()}
    types |= dict.fromkeys(TEXT_COLUMNS, DataType.string())
    types |= dict.fromkeys(NUMBER_COLUMNS, DataType.int64())
    types |= dict.fromkeys(JSON_COLUMNS, DataType.string())
    schema = Schema([Field(name, kind, nullable=True) for name, kind in types.items()])
    count, raised = 0, list[Exception]()

    def batches() -> Iterator[RecordBatch]:
        nonlocal count
        try:
            for columns in _in_columns(rows):
                count += len(columns["score"])
                yield RecordBatch.from_pydict(
                    {name: Array(columns[name], kind) for name, kind in types.items()}
                )
        except Exception as error:
            raised.append(error)
            raise

    reader = RecordBatchReader.from_batches(schema, batches())
    try:
        write_parquet(reader, file, compression="zstd(1)", max_row_group_size=ROWS_PER_GROUP)
    except Exception:
        # The library tells of what the rows raised as an error of its own.
        if raised:
            raise raised[0] from None
        raise
    return count


def _in_columns(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, list[Any]]]:
    """Some rows at a time, as columns: a row group of them, or fewer whose texts are long."""
    columns, characters = defaultdict[str, list[Any]](list), 0
    for row in rows:
        for name in ("score", *TEXT_COLUMNS, *NUMBER_COLUMNS):
            columns[name].append(row.get(name))
        for name in JSON_COLUMNS:
            text = json.dumps(row[name]) if name in row else None
            columns[name].append(text)
            characters += len(text or "")
        if len(columns["score"]) == ROWS_PER_GROUP or characters > _MOST_CHARACTERS:
            yield columns
            columns, characters = defaultdict(list), 0
    if columns:
        yield columns


def ranked_row(row: dict[str, Any]) -> Ranked:
    """A score row as a candidate for the ranking, which keeps it as a line for merging."""
    kept = ("smiles", "input", "index", "poses", "first_byte", "length")
    rest = json.dumps({name: row[name] for name in kept if name in row}, separators=(",", ":"))
    score, molecule_id = float(row["score"]), re.sub(r"[\t\n]", " ", str(row["id"]))
    return Ranked(score, molecule_id, f"{score!r}\t{molecule_id}\t{rest}\n")


def top_csv(best: Iterable[Ranked]) -> bytes:
    """The best molecules, best first."""
    rows: list[list[object]] = []
    for rank, found in enumerate(best, start=1):
        more = json.loads(found.row.split("\t", 2)[2])
        rows.append(
            [rank, found.molecule_id, found.score]
            + [more.get(name, "") for name in ("smiles", "input", "index")]
        )
    return csv_bytes(["rank", "id", "score", "smiles", "input", "index"], rows)


_HEADING = """\
# The inputs that the best molecules of {name} come from: of the best molecule first, each once.
# The next request takes this file as its input.
"""
_OF_SLICES = """\
# The inputs were slices of files. A file is named once, whole: top.csv has the index of the slice
# that a molecule is of, manifest/<shard>.tsv the bytes of each, poses.* the molecules alone.
"""


def top_inputs(name: str, best: Iterable[Ranked], *, are_slices: bool) -> bytes:
    """The inputs that the best molecules come from, as a list that a request takes as its input.

    The same molecules make the same bytes, so that nothing that rests on them changes when a run
    is started again. A key that no line can say is a comment.
    """
    rows = (json.loads(found.row.split("\t", 2)[2]) for found in best)
    uris = dict.fromkeys(str(row["input"]) for row in rows if row.get("input"))
    heading = _HEADING.format(name=name) + (_OF_SLICES if are_slices else "")
    return "".join((heading, *map(_list_line, uris))).encode()


def _list_line(uri: str) -> str:
    # A list's lines are read without the blanks at their ends.
    is_sayable = "\n" not in uri and uri.encode().strip() == uri.encode()
    return f"{uri}\n" if is_sayable else f"# No line can say this key: {json.dumps(uri)}\n"


FAILURE_COLUMNS = ("index", "input", "class", "reason", "exit_code", "epoch", "log_stream")


def csv_bytes(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> bytes:
    """A CSV file with a header, whose lines end with LF."""
    lines: list[str] = []
    row_text = io.StringIO()
    # Before Python 3.13 a field is quoted for the characters of the line's end alone: with CR LF,
    # for a carriage return too.
    writer = csv.writer(row_text, lineterminator="\r\n")
    for row in (columns, *rows):
        writer.writerow(list(row))
        lines.append(row_text.getvalue().removesuffix("\r\n") + "\n")
        row_text.seek(0)
        row_text.truncate()
    return "".join(lines).encode()
