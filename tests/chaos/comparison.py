"""What a run came to, without what may differ from one run to the next; and how two of them differ.

A picture holds no time, place, part, key or attempt: of each input how it settled and its outputs,
joined over its chain of parts and unpacked; of the results their rows; of the accounts the counts.
"""

import csv
import gzip
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterator

import pyarrow.parquet as pq

from drydock.markers import InputSummary, parse_done, parse_marker_name
from drydock.uris import S3Uri, parse_s3_uri

COUNTED = ("inputs", "done", "failed", "skipped", "remaining", "molecules", "failed_molecules")
# What a tool tells of one start of it: seconds, and how often it was started.
_OF_A_START = ("program",)
# Where a molecule's pose lies, which follows from the parts that there were.
_OF_A_PART = ("poses", "first_byte")


def picture(store, request: dict) -> dict:
    """What the run of a request came to, from S3 alone. Raises NotFound: it has no results yet."""
    output = parse_s3_uri(request["output"].rstrip("/") + "/")
    bucket, prefix = output.bucket, output.key
    accounting = json.loads(store.get(bucket, f"{prefix}results/accounting.json").body)
    return {
        "accounting": {name: accounting[name] for name in COUNTED},
        "failures": _failures(store, bucket, prefix),
        "outputs": _outputs(store, output, accounting["run_id"]),
        "top": _rows(store.get(bucket, f"{prefix}results/top.csv").body)
        if _has(store, bucket, f"{prefix}results/top.csv")
        else [],
        "scores": _scores(store, bucket, f"{prefix}results/scores/"),
        "poses": {
            listed.key[len(prefix) :]: _digest(_unpacked(_get(store, bucket, listed)))
            for listed in store.list(bucket, f"{prefix}results/poses")
        },
    }


def differences(quiet: dict, other: dict) -> list[str]:
    """In words, where a picture is not the quiet run's; nothing when it is."""
    found = []
    for part in sorted(quiet.keys() | other.keys()):
        expected, got = quiet.get(part), other.get(part)
        if isinstance(expected, dict) and isinstance(got, dict):
            found += [
                f"{part}: {name} is {got.get(name)!r}, and was {expected.get(name)!r} when quiet"
                for name in sorted(expected.keys() | got.keys())
                if expected.get(name) != got.get(name)
            ]
        elif expected != got:
            found.append(f"{part}: {_first_difference(expected, got)}")
    return found


def problems_of_accounts(pictured: dict, expected: dict[str, int]) -> list[str]:
    """Where the accounts do not add up, or are not what the planted inputs make them."""
    accounts, found = pictured["accounting"], []
    total = sum(accounts[name] for name in ("done", "failed", "skipped", "remaining"))
    if total != accounts["inputs"]:
        found.append(f"accounts: {accounts} do not add up to {accounts['inputs']}")
    found += [
        f"accounts: {accounts[name]} {name}, and not {count}"
        for name, count in expected.items()
        if accounts[name] != count
    ]
    if len(pictured["failures"]) != accounts["failed"]:
        found.append(f"failures.csv has {len(pictured['failures'])} rows: {accounts}")
    if len(pictured["outputs"]) != accounts["done"]:
        found.append(f"{len(pictured['outputs'])} inputs have a marker of their end: {accounts}")
    return found


def _failures(store, bucket, prefix) -> dict[str, str]:
    rows = _rows(store.get(bucket, f"{prefix}results/failures.csv").body)
    return {row["index"]: f"{row['class']} {row['input']}" for row in rows}


def finished(store, output: S3Uri, run_id: str) -> Iterator[InputSummary]:
    """What the markers of a run say was done: an input once for each attempt that finished it."""
    for listed in store.list(output.bucket, f"{output.key}markers/{run_id}/"):
        name = parse_marker_name(listed.key.rpartition("/")[2])
        if name is not None and name.kind == "done":
            yield from parse_done(_get(store, output.bucket, listed), name)


def _outputs(store, output: S3Uri, run_id) -> dict[str, str]:
    """By input, its digest; inputs that two attempts finished must have been finished alike."""
    found = defaultdict(set)
    for summary in finished(store, output, run_id):
        joined = defaultdict(bytes)
        for part in summary.chain:
            for each in part.outputs:
                if each.name not in _OF_A_START:
                    body = store.get(output.bucket, each.key).body
                    joined[each.name] += _of_the_input(each.name, _unpacked(body))
        told = {name: _digest(body) for name, body in sorted(joined.items())}
        best = [summary.molecules, summary.best_id, summary.best_score]
        found[str(summary.index)].add(json.dumps([told, best]))
    return {index: " or ".join(sorted(each)) for index, each in found.items()}


def _scores(store, bucket, folder) -> list[str]:
    """Rows of all Parquet files, without the shard that they lie in, in an order of their own."""
    rows = []
    for listed in store.list(bucket, folder):
        table = pq.read_table(io.BytesIO(_get(store, bucket, listed)), partitioning=None)
        rows += [_row(row) for row in table.to_pylist()]
    return sorted(rows)


def _of_the_input(name: str, body: bytes) -> bytes:
    """An output without what says in which part it came."""
    if name != "scores":
        return body
    return "".join(f"{_row(json.loads(line))}\n" for line in body.splitlines()).encode()


def _row(row: dict) -> str:
    kept = {name: value for name, value in row.items() if name not in _OF_A_PART}
    return json.dumps(kept, sort_keys=True)


def _first_difference(expected, got) -> str:
    expected, got = list(expected or ()), list(got or ())
    for number, (one, other) in enumerate(zip(expected, got, strict=False)):
        if one != other:
            return f"row {number} is {other!r}, and was {one!r} when quiet"
    return f"{len(got)} rows, and {len(expected)} when quiet"


def _has(store, bucket, key) -> bool:
    return any(listed.key == key for listed in store.list(bucket, key))


def _get(store, bucket, listed) -> bytes:
    return store.get(bucket, listed.key).body


def _rows(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode())))


def _unpacked(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:16]
