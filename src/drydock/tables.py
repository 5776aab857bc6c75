"""Tables of results: score rows as Parquet, failures and the best molecules as CSV."""

import csv
import io
import json
import re
from collections.abc import Iterable
from typing import Any

from drydock.ranking import Ranked

TEXT_COLUMNS = ("id", "reason", "smiles", "input", "input_etag", "poses")
NUMBER_COLUMNS = ("index", "ligand", "first_byte", "length")
JSON_COLUMNS = ("terms", "models")


def scores_parquet(rows: list[dict[str, Any]]) -> bytes:
    """Score rows as one Parquet file (zstd). Columns that a tool does not write are null.

    The library is loaded here and not with the module: a run that has nothing new to tabulate
    does not pay for it.
    """
    from arro3.core import Array, DataType, Table  # noqa: PLC0415
    from arro3.io import write_parquet  # noqa: PLC0415

    scores = Array([row.get("score") for row in rows], DataType.float64())
    columns: dict[str, Any] = {"score": scores}
    for name in TEXT_COLUMNS:
        columns[name] = Array([row.get(name) for row in rows], DataType.string())
    for name in NUMBER_COLUMNS:
        columns[name] = Array([row.get(name) for row in rows], DataType.int64())
    for name in JSON_COLUMNS:
        texts = [json.dumps(row[name]) if name in row else None for row in rows]
        columns[name] = Array(texts, DataType.string())
    buffer = io.BytesIO()
    write_parquet(Table.from_pydict(columns), buffer, compression="zstd(1)")
    return buffer.getvalue()


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
    """A CSV file with a header."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(columns))
    writer.writerows(rows)
    return text.getvalue().encode()
