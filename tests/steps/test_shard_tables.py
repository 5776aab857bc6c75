"""Score tables of a turn: in memory that does not grow with them, and with what workers wrote."""

import gzip
import json
import re
import shutil
import tracemalloc
from types import SimpleNamespace

import pyarrow.parquet
import pytest

from drydock import shard_tables, tables
from drydock.errors import Malformed
from drydock.keys import RunKeys
from drydock.markers import InputSummary
from drydock.outcome import Settled
from drydock.parts import OutputObject, PartOutputs
from drydock.store import StoredObject
from drydock.tables import write_scores
from tests.steps.aggregating import WHOLE, finish, results, rows
from tests.steps.world import DATA

RUN = SimpleNamespace(
    run_id="0123456789abcdef",
    output_bucket="data",
    output_prefix="out/",
    current=SimpleNamespace(request={"keep_top": 10}),
)


class Disk:
    """S3 on a disk: what it holds is in nobody's memory."""

    def __init__(self, root):
        self.root = root

    def path(self, key):
        found = self.root / key
        found.parent.mkdir(parents=True, exist_ok=True)
        return found

    def get(self, bucket, key, *, first_byte=None, last_byte=None, etag=None):
        with self.path(key).open("rb") as file:
            file.seek(first_byte or 0)
            body = file.read(-1 if last_byte is None else last_byte + 1 - first_byte)
        return StoredObject(body, etag or "", self.path(key).stat().st_size)

    def put(self, bucket, key, body, **_):
        with self.path(key).open("wb") as file:
            if isinstance(body, bytes):
                file.write(body)
            else:
                shutil.copyfileobj(body, file)


def row(number):
    models = [{"affinity": -number / 7 - pose, "rmsd_lower": pose / 3} for pose in range(9)]
    return {"id": f"m{number}", "score": -number / 7, "models": models, "index": 0}


def settled(disk, inputs, rows):
    """Inputs with so many rows each, and the outcome that names them."""
    found = []
    for index in range(inputs):
        path = disk.path(f"in/{rows}-{index}")
        with gzip.open(path, "wt", compresslevel=0) as out:
            for number in range(rows):
                out.write(json.dumps(row(number), separators=(",", ":")) + "\n")
        output = OutputObject("scores", f"in/{rows}-{index}", path.stat().st_size, "etag")
        chain = (PartOutputs(0, (output,)),)
        found.append(Settled(index, "", "", InputSummary(index, index, "", chain, rows, 0, 1.0)))
    return found


def peak_of(disk, outcome):
    tracemalloc.start()
    scores = shard_tables.write_tables(SimpleNamespace(store=disk), RUN, 0, outcome, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak, scores.count


@pytest.mark.parametrize("inputs", [1, 20])
def test_memory_is_the_same_for_ten_times_the_rows(tmp_path, monkeypatch, inputs):
    monkeypatch.setattr(tables, "ROWS_PER_GROUP", 100)
    monkeypatch.setattr(shard_tables, "SPOOLED_BYTES", 1)
    monkeypatch.setattr(shard_tables, "PIECE_BYTES", 1 << 14)
    monkeypatch.setattr(shard_tables, "_BYTES_AT_ONCE", 1 << 16)
    monkeypatch.setattr(shard_tables, "_SCORES_AT_ONCE", 100)
    disk = Disk(tmp_path)
    few, many = settled(disk, inputs, 600 // inputs), settled(disk, inputs, 6000 // inputs)
    peak_of(disk, few)  # What is imported then stays.
    less, count = peak_of(disk, few)
    more, tenfold = peak_of(disk, many)
    assert (count, tenfold) == (600, 6000)
    assert more < 1.5 * less
    file = pyarrow.parquet.ParquetFile(tmp_path / shard_tables.scores_key(RUN, 0, 0))
    assert file.metadata.num_rows == 6000
    assert file.metadata.row_group(0).num_rows == 100


ROWS = [
    {"id": "a", "score": -7.25, "terms": {"inter": -1.10}, "models": [{"x": 1e-7}], "index": 3},
    {"id": "ü", "score": None, "reason": "no atoms", "terms": None, "prepared_with": "other"},
    {"id": "b", "score": float("nan"), "ligand": 2**40, "first_byte": 0, "length": 9},
    {"id": "c", "smiles": "C", "input": "s3://a/b", "input_etag": "e", "poses": "p", "score": -1},
]


@pytest.mark.parametrize("rows_a_group", [1, 3, 10_000])
@pytest.mark.parametrize("characters", [0, 1 << 24])
def test_a_table_has_each_row_and_null_for_what_a_tool_does_not_say(
    tmp_path, monkeypatch, rows_a_group, characters
):
    monkeypatch.setattr(tables, "ROWS_PER_GROUP", rows_a_group)
    monkeypatch.setattr(tables, "_MOST_CHARACTERS", characters)
    path = tmp_path / "table"
    with path.open("wb") as file:
        assert write_scores(iter(ROWS), file) == 4
    found = pyarrow.parquet.read_table(path)
    kinds = {field.name: str(field.type) for field in found.schema}
    assert kinds == (
        {"score": "double"}
        | dict.fromkeys(("id", "reason", "smiles", "input", "input_etag", "poses"), "string")
        | dict.fromkeys(("index", "ligand", "first_byte", "length"), "int64")
        | dict.fromkeys(("terms", "models"), "string")
    )
    assert next(iter(kinds)) == "score"
    a, u, b, c = found.to_pylist()
    assert (a["score"], a["terms"], a["models"]) == (-7.25, '{"inter": -1.1}', '[{"x": 1e-07}]')
    assert (u["id"], u["score"], u["terms"], u["models"]) == ("ü", None, "null", None)
    assert (b["ligand"], b["score"] != b["score"]) == (2**40, True)
    assert (c["score"], c["poses"], c["reason"], c["index"]) == (-1.0, "p", None, None)


def test_what_the_rows_raise_is_raised(tmp_path):
    def broken():
        yield ROWS[0]
        raise Malformed("cut")

    with (tmp_path / "table").open("wb") as file, pytest.raises(Malformed, match="cut"):
        write_scores(broken(), file)


# -- what workers wrote


def replace_scores(world, keys, body):
    """Let the first input have left another table of scores."""
    etag = world.put(DATA, keys.input_folder(0, 0) + "scores.0.jsonl.gz", body)
    marker = keys.done_marker(0, 0, 0)
    summary = json.loads(world.get(DATA, marker).splitlines()[0])
    summary["chain"][0]["outputs"][1] |= {"size": len(body), "etag": etag}
    world.put(DATA, marker, json.dumps(summary).encode() + b'\n{"end": 1}\n')


@pytest.mark.parametrize(
    "row",
    [
        {"id": "nan", "score": float("nan"), "index": 0},
        {"id": "failed", "score": None, "reason": "no atoms", "index": 0},
        {"id": "failed", "reason": "no atoms", "index": 0},
    ],
)
def test_a_row_without_a_score_is_kept_and_not_ranked(world, run_id, job, row):
    finish(world, job)
    body = gzip.compress(json.dumps(row).encode() + b"\n", mtime=0)
    replace_scores(world, RunKeys(run_id, "out/"), body)
    assert world.aggregate(run_id) == WHOLE
    assert len(rows(world, run_id)) == 4
    top = world.get(DATA, "out/results/shards/000000/top-00000.tsv").decode()
    assert [line.split("\t")[1] for line in top.splitlines()] == ["m3", "m2", "m1"]


def test_a_table_that_is_read_in_pieces_is_the_same(world, run_id, job, monkeypatch):
    finish(world, job)
    world.aggregate(run_id)
    before = results(world)
    for key in world.keys(DATA, "out/results/"):
        world.remove(DATA, key)
    monkeypatch.setattr(shard_tables, "PIECE_BYTES", 7)
    world.aggregate(run_id)
    assert results(world) == before


def test_a_table_that_is_none_is_told_by_its_key(world, run_id, job):
    finish(world, job)
    keys = RunKeys(run_id, "out/")
    replace_scores(world, keys, gzip.compress(b'{"id":"a","score":-1}\nno row\n', mtime=0))
    with pytest.raises(Malformed, match=re.escape(keys.input_folder(0, 0) + "scores.0.jsonl.gz")):
        world.aggregate(run_id)
